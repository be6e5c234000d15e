"""Phone photos that ask for the colour of a product of the same kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.test_fashion_products import make_rows, write_products
from tmcir.core.errors import TMCIRError
from tmcir.data.clothing import Clothing
from tmcir.data.datasets import open_dataset

LABELS = ("T-Shirt", "Pants", "Skirt", "Not sure")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_products(tmp_path / "fashion-products", make_rows())
    folder = tmp_path / "clothing"
    (folder / "images").mkdir(parents=True)
    lines = ["image,sender,label,kids"]
    for number in range(40):
        (folder / "images" / f"{number}.jpg").touch()
        lines.append(f"{number}.jpg,{number % 10},{LABELS[number % 4]},False")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_senders_are_split_and_labels_without_products_ask_nothing(root: Path) -> None:
    val = open_dataset("clothing", root, "val")
    train = open_dataset("clothing", root, "train")
    references = [{int(one.reference[:-4]) for one in part.triplets} for part in (val, train)]
    assert references[0] and references[1] and not references[0] & references[1]
    assert {number % 10 for number in references[0]} <= {1, 6}
    # Skirts are no kind of these products, and "Not sure" is none at all.
    assert {one.kind for one in (*val.triplets, *train.triplets)} == {"T-Shirt", "Pants"}


def test_answers_are_the_products_of_that_kind_and_colour(root: Path) -> None:
    dataset = Clothing(root, "val", products_split="test", queries=50)
    for task in dataset.tasks():
        for triplet in task.triplets:
            assert triplet.target in triplet.answers and set(triplet.answers) <= {*task.gallery}
            for name in task.gallery:
                caption = dataset.products.caption_of(name.removeprefix("product "))
                assert caption is not None
                named = triplet.text == f"in {caption.colour.lower()}"
                assert (name in triplet.answers) == named
    assert dataset.find_image(dataset.triplets[0].reference) is not None
    assert dataset.find_image(dataset.triplets[0].answers[0]) is not None
    assert dataset.find_image("nothing.jpg") is None


def test_epochs_ask_other_colours_of_the_same_photos(root: Path) -> None:
    dataset = Clothing(root, "train")
    first, second = dataset.training_triplets(0), dataset.training_triplets(1)
    assert {one.reference for one in first} == {one.reference for one in second}
    assert first == dataset.training_triplets(0) and first != second
    assert all("{" not in text for one in first for text in one.training_texts)


def test_bad_options_and_tables_are_named(root: Path) -> None:
    with pytest.raises(TMCIRError, match="unknown clothing split 'test'"):
        Clothing(root, "test")
    with pytest.raises(TMCIRError, match="unknown clothing products_split"):
        Clothing(root, "val", products_split="all")
    (root / "images.csv").write_text("image,sender\n1.jpg,3\n")
    with pytest.raises(TMCIRError, match="lacks the column 'label'"):
        Clothing(root, "val")
