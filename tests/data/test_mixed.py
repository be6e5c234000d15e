"""Several datasets as one: names, blocks of one part, rates, and parts that are not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layouts import write_fashion_iq
from tests.tiny import draw_catalogue
from tmcir.core.errors import ImageError, TMCIRError
from tmcir.data.dataset import Dataset, Task, Triplet
from tmcir.data.datasets import open_dataset
from tmcir.data.fashion_products import FashionProducts
from tmcir.data.mixed import Mixed, _Part
from tmcir.rendered.catalogue import RenderedCatalogue

RENDERED = {"items": 40, "queries": 20, "image_size": 32}
PRODUCTS = {"queries": 30}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    draw_catalogue(folder / "products")
    return folder


def open_mixed(root: Path, split: str = "val", **options: Any) -> Mixed:
    return Mixed(root, split, parts=two_parts(**options.pop("second", {})), **options)


def two_parts(**second: Any) -> list[dict[str, Any]]:
    return [
        {"name": "rendered", "root": "drawn", "options": RENDERED},
        {"name": "fashion-products", "root": "products", "options": PRODUCTS, **second},
    ]


def open_alone(root: Path, split: str = "val") -> tuple[RenderedCatalogue, FashionProducts]:
    return (
        RenderedCatalogue(root / "drawn", split, **RENDERED),
        FashionProducts(root / "products", split, **PRODUCTS),
    )


# Names


def test_names_begin_with_their_part(root: Path) -> None:
    mixed, (rendered, products) = open_mixed(root), open_alone(root)
    first, last = mixed.triplets[0], mixed.triplets[-1]
    assert first.id == f"rendered:{rendered.triplets[0].id}"
    assert first.reference == f"rendered:{rendered.triplets[0].reference}"
    assert first.text == rendered.triplets[0].text
    assert last.target == f"fashion-products:{products.triplets[-1].target}"
    answers = products.triplets[-1].answers
    assert last.answers == tuple(f"fashion-products:{name}" for name in answers)
    assert len(mixed.triplets) == len(rendered.triplets) + len(products.triplets)
    assert len({triplet.id for triplet in mixed.triplets}) == len(mixed.triplets)


def test_images_are_found_in_their_part(root: Path) -> None:
    mixed, parts = open_mixed(root), open_alone(root)
    for name in mixed.image_names():
        label, own = name.split(":")
        part = {part.name: part for part in parts}[label]
        assert mixed.image_path(name) == part.image_path(own)
    assert len(mixed.image_names()) == sum(len(part.image_names()) for part in parts)
    for name in ("105", "fashion-products:none", "rendered:105", "other:105"):
        assert mixed.find_image(name) is None
    commands = "check rendered --root .*` and `tmcir data check fashion-products --root"
    with pytest.raises(ImageError, match=commands):
        mixed.image_path("105")


def test_captions_are_those_of_all_parts(root: Path) -> None:
    mixed = dict(open_mixed(root, "train").captions())
    alone = {f"{d.name}:{n}": texts for d in open_alone(root, "train") for n, texts in d.captions()}
    assert mixed == alone


@pytest.mark.slow
def test_the_same_name_in_two_parts_is_two_images(root: Path) -> None:
    part = {"name": "fashion-products", "root": "products"}
    mixed = Mixed(root, parts=[part, part])
    names = {name.split(":")[0] for name in mixed.image_names()}
    assert names == {"fashion-products", "fashion-products-2"}
    assert len({triplet.id for triplet in mixed.triplets}) == len(mixed.triplets)


def test_tasks_are_those_of_the_parts(root: Path) -> None:
    mixed, parts = open_mixed(root), open_alone(root)
    tasks = mixed.tasks("mixed")
    assert [task.name for task in tasks] == ["rendered", "fashion-products"]
    for task, part in zip(tasks, parts, strict=True):
        (own,) = part.tasks()
        assert task.gallery == [f"{part.name}:{name}" for name in own.gallery]
        assert [t.text for t in task.triplets] == [t.text for t in own.triplets]
        assert task.remove_reference == own.remove_reference
    with pytest.raises(TMCIRError, match="unknown mixed protocol"):
        mixed.tasks("fashion200k")


def test_a_part_of_several_tasks_keeps_them_apart(tmp_path: Path) -> None:
    for category in ("dress", "shirt"):
        write_fashion_iq(tmp_path, category=category)
    options = {"categories": "dress,shirt"}
    mixed = Mixed(tmp_path, parts=[{"name": "fashion-iq", "root": ".", "options": options}])
    assert [task.name for task in mixed.tasks()] == ["fashion-iq dress", "fashion-iq shirt"]


def test_each_part_judges_its_own_results(root: Path) -> None:
    mixed = open_mixed(root)
    for part in open_alone(root):
        (task,) = part.tasks()
        for triplet in part.triplets[:5]:
            whole = next(t for t in mixed.triplets if t.id == f"{part.name}:{triplet.id}")
            for name in task.gallery[:20]:
                prefixed = f"{part.name}:{name}"
                assert mixed.can_judge(prefixed) == part.can_judge(name)
                assert mixed.judge(whole, prefixed) == part.judge(triplet, name)
    assert not mixed.can_judge("other:105")
    with pytest.raises(
        TMCIRError, match="mixed: the attributes of image 'other:105' are not known"
    ):
        mixed.judge(mixed.triplets[0], "other:105")


# Blocks


@pytest.mark.parametrize("block", [1, 7, 16])
def test_blocks_are_of_one_part_and_in_random_order(root: Path, block: int) -> None:
    mixed = open_mixed(root, "train", block=block)
    triplets = mixed.training_triplets(0)
    assert len(triplets) % block == 0
    labels = []
    for start in range(0, len(triplets), block):
        (label,) = {name_of(triplet) for triplet in triplets[start : start + block]}
        labels.append(label)
    assert set(labels) == {"rendered", "fashion-products"}
    assert labels != sorted(labels) and labels != sorted(labels, reverse=True)


def name_of(triplet: Triplet) -> str:
    return triplet.reference.split(":")[0]


def test_seed_and_epoch_fix_everything(root: Path) -> None:
    mixed = open_mixed(root, "train", block=8)
    assert mixed.training_triplets(1) == open_mixed(root, "train", block=8).training_triplets(1)
    assert mixed.training_triplets(0) != mixed.training_triplets(1)
    reseeded = mixed.training_triplets(0, seed=1)
    assert reseeded != mixed.training_triplets(0)
    assert Counter(reseeded) != Counter(mixed.training_triplets(0))  # the parts have other pairs
    other = open_mixed(root, "train", block=8, seed=1).training_triplets(0)
    assert other != mixed.training_triplets(0)
    assert Counter(other) == Counter(mixed.training_triplets(0))


def test_the_rate_is_the_share_of_an_epoch_of_the_part(root: Path) -> None:
    counts = {}
    for rate in (0.5, 1, 2.0):
        mixed = open_mixed(root, "train", block=4, second={"rate": rate})
        counts[rate] = Counter(map(name_of, mixed.training_triplets(0)))
    alone = len(open_alone(root, "train")[1].training_triplets(0))
    for rate, count in counts.items():
        assert abs(count["fashion-products"] - rate * alone) <= 2
        assert count["rendered"] == counts[1]["rendered"]


class Numbered(Dataset):
    """Epoch e is the triplets ``e-0``, ``e-1`` and so on."""

    name = "numbered"
    protocols = ("fashion200k",)

    def __init__(self, size: int) -> None:
        self.root, self.split, self.size = Path("nowhere"), "train", size
        self.triplets = self.training_triplets(0)

    def tasks(self, protocol: str | None = None) -> list[Task]:
        return []

    def find_image(self, name: str) -> Path | None:
        return None

    def training_triplets(self, epoch: int, seed: int = 0) -> Sequence[Triplet]:
        return [Triplet(f"{epoch}-{n}", "a", "text", "b") for n in range(self.size)]


def taken(part: _Part, epochs: int, block: int) -> list[list[str]]:
    return [
        [triplet.id for own in part.blocks(epoch, block) for triplet in own]
        for epoch in range(epochs)
    ]


def test_what_an_epoch_leaves_comes_first_in_the_next() -> None:
    # 7 triplets at rate 1 are 2 blocks of 3 (7 / 3 is nearest to 2): one is left each time.
    assert taken(_Part("n", Numbered(7), 1.0), 2, 3) == [
        ["0-0", "0-1", "0-2", "0-3", "0-4", "0-5"],
        ["0-6", "1-0", "1-1", "1-2", "1-3", "1-4"],
    ]
    # Fewer than a block: it is filled from further epochs of the part.
    assert taken(_Part("n", Numbered(2), 1.0), 2, 3) == [
        ["0-0", "0-1", "1-0"],
        ["1-1", "2-0", "2-1"],
    ]
    assert _Part("n", Numbered(0), 1.0).blocks(0, 3) == []


@settings(deadline=None)
@given(st.integers(1, 30), st.floats(0.01, 4), st.integers(1, 9), st.integers(1, 6))
def test_epochs_are_equally_long_and_leave_nothing_out(
    size: int, rate: float, block: int, epochs: int
) -> None:
    found = taken(_Part("n", Numbered(size), rate), epochs, block)
    (length,) = {len(names) for names in found}
    assert length >= block and length % block == 0
    assert length == block or abs(length - rate * size) <= block / 2
    flat = [name for names in found for name in names]
    assert flat == [f"{place // size}-{place % size}" for place in range(len(flat))]


# Parts that are not there, and mistakes


def test_an_optional_part_is_skipped_with_a_note(root: Path) -> None:
    gone = {"root": "gone", "optional": True}
    mixed = open_mixed(root, second=gone)
    assert [task.name for task in mixed.tasks()] == ["rendered"]
    (note,) = mixed.notes
    assert note.startswith("fashion-products is skipped: ")
    assert note.endswith("gone: no such folder")
    with pytest.raises(TMCIRError, match="no such folder, given as the root of fashion-products"):
        open_mixed(root, second={"root": "gone"})
    with pytest.raises(TMCIRError, match="none of its parts exists: fashion-products is skipped"):
        Mixed(root, parts=two_parts(**gone)[1:])
    # A drawn dataset needs no folder, and one that is there is not skipped.
    optional = [{**part, "optional": True} for part in two_parts()]
    assert len(Mixed(root, parts=optional).tasks()) == 2


def test_notes_name_their_part(tmp_path: Path) -> None:
    draw_catalogue(tmp_path / "products")
    (tmp_path / "products" / "images" / "101.jpg").unlink()
    (note,) = open_mixed(tmp_path, split="val").notes
    assert note == "fashion-products: 1 row of styles.csv has no photo and is skipped: 101"


def test_it_opens_by_its_name(root: Path) -> None:
    mixed = open_dataset("mixed", root, "train", parts=two_parts(), block=8)
    assert mixed.training_triplets(0) == open_mixed(root, "train", block=8).training_triplets(0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "the option parts must be a list"),
        ({"parts": "rendered"}, "the option parts must be a list"),
        ({"parts": ["rendered"]}, "mixed, part 1: must have a name and a root"),
        ({"parts": [{"name": "rendered"}]}, "part 1: 'root' is missing"),
        ({"parts": [*two_parts(), {"rot": "x"}]}, "setting of mixed, part 3 'rot'.*'root'"),
        ({"parts": two_parts(rate=0)}, "part 2: rate is 0, but must be a number above 0"),
        ({"parts": two_parts(rate="x")}, "part 2: rate is 'x'"),
        ({"parts": two_parts(rate=float("nan"))}, "part 2: rate is nan"),
        ({"parts": two_parts(optional="no")}, "part 2: optional must be true or false"),
        ({"parts": two_parts(options={"split": "x"})}, "part 2: options must be settings"),
        ({"parts": two_parts(options={"sed": 1})}, "fashion-products option 'sed'"),
        ({"parts": two_parts(), "block": 0}, "mixed: block must be a whole number from 1"),
        ({"parts": two_parts(), "seed": -1}, "mixed: seed must be a whole number from 0"),
    ],
)
def test_mistakes_are_named(root: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(TMCIRError, match=words):
        Mixed(root, **options)
