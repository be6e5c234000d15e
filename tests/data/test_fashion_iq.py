from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.layouts import FASHION_IQ, draw, write, write_fashion_iq
from tmcir.core.errors import TMCIRError
from tmcir.data.fashion_iq import FashionIQ, join_captions, training_forms


def test_captions_are_joined_as_published_results_did() -> None:
    assert join_captions(" is Red.", "with long sleeves?") == "Is red and with long sleeves"
    # One of the real queries has an empty caption, and the published text keeps the "and".
    assert join_captions("is red", "?") == "Is red and "


def test_training_draws_from_four_forms() -> None:
    assert training_forms("is red.", " has dots") == (
        "Is red and has dots",
        "Has dots and is red",
        "Is red",
        "Has dots",
    )
    assert training_forms("is red", " .") == ("Is red",)
    assert training_forms("", ".") == ()


def test_only_training_triplets_carry_the_four_forms(tmp_path: Path) -> None:
    write_fashion_iq(tmp_path)
    write_fashion_iq(tmp_path, split="train")
    assert FashionIQ(tmp_path, "val", "dress").triplets[0].training_texts == ()
    assert len(FashionIQ(tmp_path, "train", "dress").triplets[0].training_texts) == 4


def test_protocols_differ_in_gallery_and_reference(tmp_path: Path) -> None:
    dataset = FashionIQ(write_fashion_iq(tmp_path), categories=["dress"])
    (original,), (without,), (val,) = (dataset.tasks(name) for name in dataset.protocols)
    assert original.gallery == without.gallery == ["D", "C", "B", "A"]
    assert val.gallery == ["C", "B", "A"]  # no query names D
    assert [original.remove_reference, without.remove_reference, val.remove_reference] == [
        False,
        True,
        True,
    ]
    assert dataset.tasks() == [original]
    assert [triplet.kind for triplet in dataset.triplets] == ["dress", "dress"]
    assert dataset.triplets[0].target == "B"


@pytest.mark.parametrize("given", ["toptee/dress", "toptee,dress", ["toptee", "dress", "dress"]])
def test_categories_are_kept_in_the_authors_order(tmp_path: Path, given: Any) -> None:
    write_fashion_iq(tmp_path)
    write_fashion_iq(tmp_path, category="toptee")
    dataset = FashionIQ(tmp_path, categories=given)
    assert [task.name for task in dataset.tasks()] == ["dress", "toptee"]
    assert len({triplet.id for triplet in dataset.triplets}) == 4


def test_labels_of_the_test_split_are_hidden(tmp_path: Path) -> None:
    write_fashion_iq(tmp_path, [{"candidate": "A", "captions": ["a", "b"]}], split="test")
    assert FashionIQ(tmp_path, "test", "dress").triplets[0].target is None


def test_images_are_found_by_any_extension(tmp_path: Path) -> None:
    write_fashion_iq(tmp_path)
    first = draw(tmp_path / "images" / "A.JPG")
    second = draw(tmp_path / "images" / "dress" / "B.png")
    draw(tmp_path / "images" / "D.jpg")
    both = draw(tmp_path / "images" / "D.png")
    (tmp_path / "images" / "C.txt").write_text("not an image")
    dataset = FashionIQ(tmp_path, categories="dress")
    assert [dataset.find_image(name) for name in "ABCD"] == [first, second, None, both]
    assert dataset.find_image("../captions/cap.dress.val") is None


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ('{"a": ', "not readable as JSON"),
        ({"a": 1}, "must be a list of objects"),
        (["text"], "entry 0: must be an object"),
        ([{"candidate": "A", "captions": ["a", "b"]}], "entry 0: 'target' is missing"),
        ([FASHION_IQ[0] | {"captions": ["one"]}], "entry 0: 'captions' has 1 texts"),
        ([FASHION_IQ[0] | {"captions": ["one", 2]}], "'captions' must be a list of texts"),
        ([FASHION_IQ[0] | {"captions": "one"}], "'captions' must be a list of texts"),
        ([FASHION_IQ[0] | {"candidate": ""}], "'candidate' is empty"),
        ([FASHION_IQ[0] | {"candidate": 3}], "'candidate' must be a text"),
        ([*FASHION_IQ, FASHION_IQ[0] | {"target": "Z"}], "entry 2: image 'Z' is not in the split"),
    ],
)
def test_malformed_captions_are_named(tmp_path: Path, queries: Any, message: str) -> None:
    write_fashion_iq(tmp_path, queries)
    with pytest.raises(TMCIRError, match=message) as caught:
        FashionIQ(tmp_path, categories="dress")
    assert "cap.dress.val.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [{"A": 1}, ["A", 1], ["A", "B", "C", "A"]])
def test_a_malformed_split_file_is_named(tmp_path: Path, names: Any) -> None:
    write_fashion_iq(tmp_path)
    write(tmp_path / "image_splits" / "split.dress.val.json", names)
    with pytest.raises(TMCIRError, match=r"split\.dress\.val\.json: (must be|names an image)"):
        FashionIQ(tmp_path, categories="dress")


def test_a_missing_file_says_where_the_dataset_comes_from(tmp_path: Path) -> None:
    write_fashion_iq(tmp_path)
    with pytest.raises(TMCIRError, match=r"split\.shirt\.val\.json: no such file.*github\.com"):
        FashionIQ(tmp_path)


def test_unknown_choices_name_the_nearest(tmp_path: Path) -> None:
    write_fashion_iq(tmp_path)
    with pytest.raises(TMCIRError, match="did you mean 'dress'"):
        FashionIQ(tmp_path, categories="dres")
    with pytest.raises(TMCIRError, match="unknown fashion-iq split 'vall'"):
        FashionIQ(tmp_path, "vall")
    with pytest.raises(TMCIRError, match="at least one category"):
        FashionIQ(tmp_path, categories=[])
    with pytest.raises(TMCIRError, match="did you mean 'original'"):
        FashionIQ(tmp_path, categories="dress").tasks("orignal")


@pytest.mark.shared_data
def test_counts_of_the_real_annotation(shared_data: Path) -> None:
    dataset = FashionIQ(shared_data / "fashion-iq")
    galleries = {
        protocol: [len(task.gallery) for task in dataset.tasks(protocol)]
        for protocol in dataset.protocols
    }
    assert [len(task.triplets) for task in dataset.tasks()] == [2017, 2038, 1961]
    assert galleries == {
        "original": [3817, 6346, 5373],
        "original-no-reference": [3817, 6346, 5373],
        "val": [2628, 3089, 2902],
    }
    train = FashionIQ(shared_data / "fashion-iq", "train")
    assert len(train.triplets) == 18000
    assert all(triplet.training_texts for triplet in train.triplets)
