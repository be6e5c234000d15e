"""Captions, pseudo-targets, and what those are compared with: what stage align learns from."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import tmcir
from tests.commands import Mistake, run
from tests.manifests import write_manifest
from tests.tiny import FUSION, TOWERS
from tests.training.colours import NAMES, Colours
from tmcir.core.errors import TMCIRError
from tmcir.data.fashion_products import FashionProducts
from tmcir.training import load_recipe, train
from tmcir.training.pairing import Pairing, make_pairing
from tmcir.training.recipe import AlignSettings

KINDS = ("captions", "pseudo-targets", "targets", "references")
COMPARED = KINDS[1:]
EDITS = [
    {"reference": "a", "text": "in blue", "target": "b", "file": "images/0.png"},
    {"reference": "b", "text": "in red", "target": "c", "file": "images/1.png"},
    {"reference": "a", "text": "bigger", "target": "d", "file": "images/2.png"},
    {
        "reference": "e",
        "text": "broken",
        "target": "f",
        "file": "images/3.png",
        "rejected_by": "dark",
    },
]


@pytest.fixture
def colours(tmp_path: Path) -> Colours:
    return Colours(tmp_path)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Three pseudo-targets that were kept, and one that a filter rejected."""
    return write_manifest(tmp_path / "drawn", *EDITS)


def settings(drawn: Path, pairs: str = "pseudo-targets", **changes: Any) -> AlignSettings:
    return AlignSettings(**{"pairs": pairs, "pseudo_targets": drawn, **changes})


def texts(pairing: Pairing) -> list[tuple[str, ...]]:
    return [texts for _, texts in pairing.pairs]


# What is paired


def test_captions_are_paired_with_their_own_photos(colours: Colours) -> None:
    pairing = make_pairing(AlignSettings(), colours)
    assert list(pairing.pairs) == list(colours.captions())
    assert (pairing.caption_share, pairing.files) == (0.0, {})


def test_all_comparisons_learn_from_the_same_texts(colours: Colours, drawn: Path) -> None:
    for pairs in COMPARED:
        pairing = make_pairing(settings(drawn, pairs), colours)
        assert texts(pairing) == [("in blue",), ("in red",), ("bigger",)]


def test_texts_are_paired_with_pseudo_targets_real_targets_or_references(
    colours: Colours, drawn: Path
) -> None:
    def images(pairs: str) -> list[str]:
        return [image for image, _ in make_pairing(settings(drawn, pairs), colours).pairs]

    assert images("targets") == ["b", "c", "d"]
    assert images("references") == ["a", "b", "a"]
    files = make_pairing(settings(drawn), colours).files
    assert [files[name] for name in images("pseudo-targets")] == [
        drawn / "images" / f"{number}.png" for number in range(3)
    ]
    # No pseudo-target has the name of a photo.
    assert not any(colours.find_image(name) for name in files)


def test_what_a_filter_rejected_is_skipped(colours: Colours, tmp_path: Path) -> None:
    rows = [
        {**row, "rejected_by": name} for row, name in zip(EDITS, ("", "x", "", "y"), strict=True)
    ]
    pairing = make_pairing(settings(write_manifest(tmp_path / "other", *rows)), colours)
    assert texts(pairing) == [("in blue",), ("bigger",)]


def test_images_to_skip_are_in_no_pair_on_either_side(colours: Colours, drawn: Path) -> None:
    for pairs in COMPARED:
        of_b = make_pairing(settings(drawn, pairs), colours, frozenset("b"))
        assert texts(of_b) == [("bigger",)]
        of_d = make_pairing(settings(drawn, pairs), colours, frozenset("d"))
        assert texts(of_d) == [("in blue",), ("in red",)]
    mixed = make_pairing(settings(drawn, caption_share=0.5), colours, frozenset("h"))
    assert {name for name, _ in mixed.captions} == set(NAMES) - {"h"}


# Mixing


def epoch_of(pairing: Pairing, seed: int = 0) -> list[tuple[str, tuple[str, ...]]]:
    return pairing.of_epoch(random.Random(seed))


def test_an_epoch_has_every_pair_once_in_random_order() -> None:
    pairing = Pairing([(name, (name,)) for name in NAMES])
    assert sorted(epoch_of(pairing)) == sorted(pairing.pairs)
    assert epoch_of(pairing) == epoch_of(pairing)
    # Of 8! = 40,320 orders these are ten different ones.
    assert len({tuple(epoch_of(pairing, seed)) for seed in range(10)}) == 10


@pytest.mark.parametrize(
    ("share", "captions"),
    [(0.0, 0), (0.1, 3), (0.25, 9), (0.5, 27), (0.75, 81)],  # 27 * share / (1 - share)
)
def test_captions_make_up_the_share_that_is_asked_for(share: float, captions: int) -> None:
    pairs = [(str(number), (f"text {number}",)) for number in range(27)]
    own = [(name, (f"caption {name}",)) for name in NAMES]
    epoch = epoch_of(Pairing(pairs, own, share))
    counts = Counter(epoch)
    assert len(epoch) == 27 + captions
    assert all(counts[pair] == 1 for pair in pairs)
    # Each caption comes once before any comes twice.
    assert {counts[pair] for pair in own} <= {captions // 8, -(-captions // 8)}


def test_captions_are_sampled_in_every_epoch_and_mixed_in() -> None:
    pairs = [(str(number), ("text",)) for number in range(4)]
    own = [(name, ("caption",)) for name in NAMES]
    pairing = Pairing(pairs, own, 0.5)
    epochs = [epoch_of(pairing, seed) for seed in range(40)]
    drawn = Counter(name for epoch in epochs for name, (text,) in epoch if text == "caption")
    # 20 times each, with a standard deviation of 3.2.
    assert drawn.keys() == set(NAMES) and all(8 <= count <= 32 for count in drawn.values())
    places = [place for epoch in epochs for place, pair in enumerate(epoch) if pair in own]
    # 160 captions in 320 places: as many in the first half as in the second.
    assert 55 <= sum(place < 4 for place in places) <= 105


def test_mixing_takes_the_captions_of_the_dataset(colours: Colours, drawn: Path) -> None:
    pairing = make_pairing(settings(drawn, caption_share=0.4), colours)
    assert list(pairing.captions) == list(colours.captions())
    epoch = epoch_of(pairing)
    assert len(epoch) == 3 + 2
    assert sum(pair in pairing.captions for pair in epoch) == 2


# Mistakes


class Wordless(Colours):
    def captions(self) -> list[tuple[str, tuple[str, ...]]]:
        return []


def test_pseudo_targets_need_no_captions_unless_they_are_mixed_in(
    tmp_path: Path, drawn: Path
) -> None:
    wordless = Wordless(tmp_path)
    assert len(make_pairing(settings(drawn), wordless).pairs) == 3
    with pytest.raises(TMCIRError, match="colours has no captions to align on"):
        make_pairing(settings(drawn, caption_share=0.1), wordless)


def test_a_manifest_of_another_dataset_is_an_error(colours: Colours, tmp_path: Path) -> None:
    foreign = {"reference": "12345", "text": "in red", "target": "b", "file": "images/9.png"}
    folder = write_manifest(tmp_path / "other", *EDITS, foreign)
    for pairs in COMPARED:
        with pytest.raises(TMCIRError, match="of another dataset: colours has no image '12345'"):
            make_pairing(settings(folder, pairs), colours)
    swapped = {**foreign, "reference": "a", "target": "12345"}
    folder = write_manifest(tmp_path / "other", *EDITS, swapped)
    with pytest.raises(TMCIRError, match="of another dataset: colours has no image '12345'"):
        make_pairing(settings(folder, "targets"), colours)


def test_hidden_targets_are_missed_only_where_they_are_asked_for(
    colours: Colours, tmp_path: Path
) -> None:
    folder = write_manifest(tmp_path / "hidden", *({**row, "target": None} for row in EDITS))
    for pairs in ("pseudo-targets", "references"):
        assert len(make_pairing(settings(folder, pairs), colours).pairs) == 3
    with pytest.raises(TMCIRError, match="hidden: the real target of '0' is not known") as caught:
        make_pairing(settings(folder, "targets"), colours)
    assert "\n" not in str(caught.value)


def test_a_manifest_of_which_nothing_is_left_is_an_error(colours: Colours, tmp_path: Path) -> None:
    folder = write_manifest(
        tmp_path / "rejected", *({**row, "rejected_by": "dark"} for row in EDITS)
    )
    for used, skip in ((folder, frozenset("z")), (tmp_path / "drawn", frozenset("abcdef"))):
        write_manifest(tmp_path / "drawn", *EDITS)
        with pytest.raises(TMCIRError, match="has no pseudo-target that passed the filters"):
            make_pairing(settings(used), colours, skip)


def test_a_manifest_that_is_missing_is_an_error(colours: Colours, tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match=r"nothing: no manifest\.parquet"):
        make_pairing(settings(tmp_path / "nothing"), colours)


@pytest.mark.parametrize(
    ("align", "problem"),
    [
        ({"pairs": "pseudo-targets"}, "pseudo_targets is needed for every kind of pairs but"),
        ({"pairs": "targets"}, "pseudo_targets is needed"),
        ({"pseudo_targets": "drawn"}, "and only for those"),
        ({"caption_share": 0.5}, "caption_share mixes captions with other pairs"),
        (
            {"pairs": "references", "pseudo_targets": "drawn", "caption_share": 1.0},
            "caption_share: Input should be less than 1",
        ),
        ({"pairs": "photos"}, "pairs: Input should be 'captions', 'pseudo-targets', 'targets'"),
    ],
)
def test_settings_that_do_not_fit_are_explained(
    align: dict[str, Any], problem: str, catalogue: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path / "run.yaml", catalogue, **align)
    with pytest.raises(TMCIRError) as caught:
        load_recipe(path)
    assert "stages.align" in str(caught.value)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


# Whole runs


def write_recipe(path: Path, catalogue: Path, **align: Any) -> Path:
    stage = {"epochs": 2, "batch_size": 8, "learning_rate": 2.0e-3, **align}
    content = {
        "name": "tiny",
        "description": "a tiny run",
        "dataset": {"name": "fashion-products", "root": str(catalogue)},
        "model": {"build": {**TOWERS, "vocabulary_size": 300, "text_length": 12}, "method": FUSION},
        "stages": {"align": stage},
        "output": str(path.with_suffix("")),
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def products(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pseudo-targets of the product photos: each is of one colour."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "images").mkdir()
    rows = []
    for number, triplet in enumerate(FashionProducts(catalogue, "train").training_triplets(0)[:24]):
        file = f"images/{number}.png"
        Image.new("RGB", (16, 16), (10 * number, 90, 200)).save(folder / file)
        rows.append(
            {
                "id": triplet.id,
                "reference": triplet.reference,
                "text": triplet.text,
                "target": triplet.target,
                "file": file,
            }
        )
    return write_manifest(folder, *rows)


@pytest.mark.slow
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("pairs", KINDS)
def test_a_run_on_every_kind_of_pairs_ends_with_a_model(
    pairs: str, symmetric: bool, catalogue: Path, products: Path, tmp_path: Path
) -> None:
    align: dict[str, Any] = {"pairs": pairs, "symmetric": symmetric}
    if pairs != "captions":
        align |= {"pseudo_targets": str(products), "caption_share": 0.25}
    path = write_recipe(tmp_path / "run.yaml", catalogue, **align)
    model = tmcir.load(train(load_recipe(path)), device="cpu")
    assert model.encode_texts(["in red"]).isfinite().all()
    steps = (tmp_path / "run" / "align" / "metrics.jsonl").read_text().splitlines()
    captions = len(FashionProducts(catalogue, "train").captions())
    # 24 pairs and 8 captions, or all captions, in batches of 8; twice.
    assert len(steps) == 2 * ((captions if pairs == "captions" else 24 + 8) // 8)


@pytest.mark.slow
def test_a_pseudo_target_that_is_gone_is_named(
    catalogue: Path, products: Path, tmp_path: Path
) -> None:
    row = {"reference": "102", "text": "in red", "target": "103", "file": "images/gone.png"}
    folder = write_manifest(tmp_path / "drawn", *([row] * 8))
    align = {"pairs": "pseudo-targets", "pseudo_targets": str(folder)}
    path = write_recipe(tmp_path / "run.yaml", catalogue, **align)
    with pytest.raises(TMCIRError, match=r"images/gone\.png: no such file"):
        train(load_recipe(path))


@pytest.mark.slow
def test_check_names_a_manifest_that_is_missing(
    catalogue: Path, products: Path, tmp_path: Path, mistake: Mistake
) -> None:
    align = {"pairs": "targets", "pseudo_targets": str(tmp_path / "nothing")}
    path = write_recipe(tmp_path / "run.yaml", catalogue, **align)
    problem = f"recipe tiny: stages.align: {tmp_path / 'nothing'}: no manifest.parquet"
    assert mistake("train", str(path), "--check").startswith(f"error: {problem}")
    there = f"stages.align.pseudo_targets={products}"
    assert run("train", str(path), there, "--check") == 0
    assert not (tmp_path / "run").exists()
