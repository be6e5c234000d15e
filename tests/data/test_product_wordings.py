"""Wordings of product changes: what they may say, and that held-out ones are never trained on."""

from __future__ import annotations

import random
from itertools import permutations
from pathlib import Path

import pytest

from tests.data.test_fashion_products import COLUMNS, make_rows, write_products
from tmcir.core.errors import TMCIRError
from tmcir.data.fashion_products import FashionProducts
from tmcir.data.product_wordings import HELD_OUT, HELD_OUT_USAGE, describe, held_out, modify

VALUES = {
    "gender": ("men", "women", "unisex", "boys"),
    "colour": ("red", "navy blue", "cream"),
    "pattern": ("solid", "striped", "checked", "printed"),
    "type": ("tshirts", "jeans", "sandals", "an unknown type"),
    "usage": ("formal", "casual", "sports", "ethnic"),
}
SEEDS = range(60)


@pytest.fixture
def products(tmp_path: Path) -> Path:
    """240 products whose usage alternates between three values."""
    usages = ("Casual", "Formal", "Sports")
    rows = [
        ",".join(map(str, (*row, usages[number % 3]))) for number, row in enumerate(make_rows())
    ]
    return write_products(tmp_path / "shop", rows, columns=(*COLUMNS, "usage"))


@pytest.mark.parametrize("kind", VALUES)
def test_every_change_has_a_text_without_gaps(kind: str) -> None:
    for old, new in permutations(VALUES[kind], 2):
        for seed in SEEDS:
            for word in (modify, held_out):
                text = word(kind, old, new, random.Random(seed))
                assert text.strip() and "{" not in text and "  " not in text


@pytest.mark.parametrize("kind", VALUES)
def test_no_training_text_is_a_held_out_one(kind: str) -> None:
    for old, new in permutations(VALUES[kind], 2):
        forms = HELD_OUT_USAGE[new] if kind == "usage" else HELD_OUT[kind]
        kept_out = {form.format(old=old, new=new) for form in forms}
        assert not kept_out & {modify(kind, old, new, random.Random(seed)) for seed in SEEDS}


def test_a_caption_names_colour_and_type() -> None:
    values = ("women", "red", "striped", "dresses", "formal")
    for seed in SEEDS:
        text = describe(values, random.Random(seed))
        assert "red" in text and "striped" in text and "dress" in text


def test_the_protocol_is_the_same_whatever_is_trained_on(products: Path) -> None:
    plain = FashionProducts(products, "test", queries=40)
    varied = FashionProducts(products, "test", queries=40, wordings="varied", usage_share=0.5)
    assert varied.triplets == plain.triplets


def test_held_out_wordings_ask_the_same_queries(products: Path) -> None:
    plain = FashionProducts(products, "test", queries=40).triplets
    asked = FashionProducts(products, "test", queries=40, wordings="held-out").triplets
    # The texts differ, and with them the generator's state: each pair and its answers are valid.
    answers = {triplet.id: triplet.answers for triplet in plain}
    assert all(answers.get(one.id, one.answers) == one.answers for one in asked)
    assert {len(one.training_texts) for one in asked} == {1}


def test_training_mixes_the_protocols_texts_with_varied_ones(products: Path) -> None:
    dataset = FashionProducts(products, "train", wordings="varied")
    protocol = {
        text for one in FashionProducts(products, "train").triplets for text in one.training_texts
    }
    texts = [text for one in dataset.triplets for text in one.training_texts]
    share = sum(text in protocol for text in texts) / len(texts)
    assert 0.5 <= share < 0.8  # some varied texts are the protocol's, too
    captions = dict(dataset.captions())
    assert all(len(texts) == 10 for texts in captions.values())


def test_a_change_of_usage_keeps_gender_colour_and_type(products: Path) -> None:
    dataset = FashionProducts(products, "test", queries=30, changes="usage")
    assert dataset.triplets
    for triplet in dataset.triplets:
        assert triplet.kind == "usage" and triplet.target in triplet.answers
        old, new = dataset.caption_of(triplet.reference), dataset.caption_of(triplet.target or "")
        assert old is not None and new is not None
        assert (old.gender, old.colour, old.type) == (new.gender, new.colour, new.type)
        judged = dataset.judge(triplet, triplet.target or "")
        assert (judged.changed, judged.kept) == (1.0, 1.0)
        assert dataset.judge(triplet, triplet.reference).changed == 0.0


def test_usage_share_adds_changes_of_usage_to_training(products: Path) -> None:
    def kinds(share: float) -> list[str]:
        triplets = FashionProducts(products, "train", usage_share=share).triplets
        return [triplet.kind for triplet in triplets]

    assert "usage" not in kinds(0.0)
    assert 0.2 < kinds(0.4).count("usage") / len(kinds(0.4)) < 0.6


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("wordings", "many", "unknown fashion-products wordings 'many'"),
        ("changes", "price", "unknown fashion-products changes 'price'"),
        ("usage_share", 2, "usage_share must be a number between 0 and 1"),
    ],
)
def test_options_are_checked(products: Path, option: str, value: object, message: str) -> None:
    with pytest.raises(TMCIRError, match=message):
        FashionProducts(products, "test", **{option: value})
