"""The dataset: splits, pairs, answers, texts."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.shop import draw_shop, rows, write_table
from tmcir.core.errors import TMCIRError
from tmcir.data.catalogue import Catalogue
from tmcir.data.catalogue.dataset import TWO, WITHOUT
from tmcir.data.catalogue.pairs import Change, Pair, Pairs
from tmcir.data.catalogue.phrases import Phrases, read_phrases
from tmcir.data.catalogue.reading import Item
from tmcir.data.catalogue.splits import join_near_duplicates, small_pixels
from tmcir.data.catalogue.texts import Texts
from tmcir.data.datasets import open_dataset
from tmcir.evaluation import evaluate


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return draw_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMCIR_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def open_split(shop: tuple[Path, Path], split: str, **options: object) -> Catalogue:
    return Catalogue(shop[0], split, shop[1], columns="kind,colour", **options)


def test_splits_are_of_products_and_do_not_overlap(shop: tuple[Path, Path]) -> None:
    names = {
        split: set(open_split(shop, split).image_names()) for split in ("train", "val", "test")
    }
    assert sum(map(len, names.values())) == len(set.union(*names.values()))
    assert 0.4 * 120 < len(names["train"]) < 0.8 * 120
    assert min(map(len, names.values())) >= 10


def test_all_photos_of_a_product_are_in_one_split(shop: tuple[Path, Path], tmp_path: Path) -> None:
    table = [{**row, "product": number // 4} for number, row in enumerate(rows())]
    path = write_table(tmp_path / "grouped.csv", table)
    dataset = Catalogue(shop[0], "train", path, group="product")
    split_by_product: dict[object, set[str]] = {}
    for row in table:
        split_by_product.setdefault(row["product"], set()).add(dataset.splits[f"{row['id']}.png"])
    assert all(len(splits) == 1 for splits in split_by_product.values())
    assert "product" not in [column.name for column in dataset.products.columns]


def test_near_duplicates_are_in_one_split(tmp_path: Path) -> None:
    generator = random.Random(3)
    paths = []
    for number in range(4):
        image = Image.frombytes("RGB", (4, 4), generator.randbytes(48)).resize((64, 64))
        for copy, quality in enumerate((95, 70)):
            paths.append(tmp_path / f"{number}-{copy}.jpg")
            image.save(paths[-1], quality=quality)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    (tmp_path / "broken2.jpg").write_bytes(b"no photo")
    paths += [tmp_path / "broken.jpg", tmp_path / "broken2.jpg"]
    joined, copies = join_near_duplicates([path.name for path in paths], small_pixels(paths))
    assert joined[:8] == [f"{number}-0.jpg" for number in range(4) for _ in range(2)]
    assert joined[8:] == ["broken.jpg", "broken2.jpg"]  # nothing is known of them
    assert copies == 4


def test_training_pairs_differ_as_they_say_and_keep_the_rest(shop: tuple[Path, Path]) -> None:
    dataset = open_split(shop, "train")
    values = {item.name: item.values for item in dataset.items}
    triplets = dataset.training_triplets(0)
    assert {triplet.kind for triplet in triplets} == {"kind", "colour", TWO, WITHOUT}
    for triplet in triplets:
        assert triplet.target is not None
        old, new = values[triplet.reference], values[triplet.target]
        changed = {name for name, a, b in zip(("kind", "colour"), old, new, strict=True) if a != b}
        expected = {"kind": {"kind"}, "colour": {"colour"}, TWO: {"kind", "colour"}}
        assert changed == expected.get(triplet.kind, changed)
        assert len(changed) == (2 if triplet.kind == TWO else 1)
        assert triplet.target in triplet.answers
        assert {values[name] for name in triplet.answers} == {new}


def test_an_epoch_is_a_function_of_its_seed(shop: tuple[Path, Path]) -> None:
    first, second = open_split(shop, "train"), open_split(shop, "train")
    assert first.training_triplets(1, 2) == second.training_triplets(1, 2)
    assert first.training_triplets(1, 2) != first.training_triplets(2, 2)
    assert open_split(shop, "val").triplets == open_split(shop, "val").triplets


def test_queries_are_different_and_their_answers_fit(shop: tuple[Path, Path]) -> None:
    dataset = open_split(shop, "test", queries=60)
    (task,) = dataset.tasks()
    assert len({triplet.id for triplet in task.triplets}) == len(task.triplets) == 60
    for triplet in task.triplets:
        assert triplet.target in triplet.answers
        assert triplet.reference not in triplet.answers
        judged = [dataset.judge(triplet, name) for name in triplet.answers]
        assert all(one.changed == 1 for one in judged)
        assert len({one.kept for one in judged}) == 1


def item(name: str, *values: str) -> Item:
    return Item(name, name, tuple(tuple(cell.split("|")) if cell else () for cell in values), ())


def columns_of(items: list[Item], *names: str) -> list[object]:
    from tmcir.data.catalogue.columns import Column

    found: list[object] = []
    for place, name in enumerate(names):
        counts = Counter(value for one in items for value in one.values[place])
        cells = tuple(one.values[place] for one in items)
        found.append(Column(name, name, name, tuple(counts), cells, 1.0))
    return found


ITEMS = [
    item("a", "shirt", "red", "wool"),
    item("b", "shirt", "blue", "wool"),
    item("c", "shirt", "blue", "silk"),
    item("d", "skirt", "blue", "wool"),
    item("e", "shirt", "red|blue", "wool"),
    item("f", "shirt", "", "wool"),
]


def test_answers_are_graded_by_what_is_kept() -> None:
    pairs = Pairs(ITEMS, columns_of(ITEMS, "kind", "colour", "material"))
    # blue instead of a's red: b keeps kind and material, e too (it has blue); c and d keep one
    blue = Pair(0, 1, (Change(1, "red", "blue"),))
    assert pairs.answers(blue) == [1, 4]
    # anything but red: b again; f has no colour, e has red
    other = Pair(0, 1, (Change(1, "red", None),))
    assert pairs.answers(other) == [1]
    # blue and silk: only c, which keeps the kind
    both = Pair(0, 2, (Change(1, "red", "blue"), Change(2, "wool", "silk")))
    assert pairs.answers(both) == [2]
    assert pairs.kept(0, 3, [1]) == 0.5  # material stays, kind does not
    assert pairs.kept(0, 1, [1]) == 1.0


def test_a_sparse_table_gives_the_nearest_pairs() -> None:
    items = [
        item("a", "shirt", "red", "wool", "s"),
        item("b", "shirt", "blue", "silk", "s"),  # keeps two of three
        item("c", "skirt", "blue", "silk", "m"),  # keeps none
    ]
    pairs = Pairs(items, columns_of(items, "kind", "colour", "material", "size"))
    generator = random.Random(0)
    drawn = [pairs.draw(0, generator) for _ in range(40)]
    assert {pair.target for pair in drawn if pair is not None} == {1}


def test_every_form_of_text_is_filled() -> None:
    columns = columns_of(ITEMS, "kind", "colour", "material")
    texts = Texts(columns, Phrases())
    generator = random.Random(0)
    found = texts.choose(ITEMS[0], [Change(1, "red", "blue")], generator, 99)
    assert {"in blue", "the same shirt in blue", "blue instead of red"} <= set(found)
    assert not any("{" in text for text in found)
    without_old = texts.choose(ITEMS[5], [Change(1, None, "blue")], generator, 99)
    assert "in blue" in without_old
    assert not any("instead" in text for text in without_old)
    two = texts.choose(
        ITEMS[0], [Change(1, "red", "blue"), Change(2, "wool", "silk")], generator, 99
    )
    assert {"in blue and made of silk", "made of silk and in blue"} & set(two)
    assert "not red" in texts.choose(ITEMS[0], [Change(1, "red", None)], generator, 99)


def test_captions_put_attributes_before_the_kind() -> None:
    columns = columns_of(ITEMS, "kind", "colour", "material")
    texts = Texts(columns, Phrases())
    assert texts.captions(ITEMS[0])[0] == "red wool shirt"


def test_own_phrases_are_of_any_language(tmp_path: Path) -> None:
    path = tmp_path / "de.yaml"
    path.write_text(
        "general: ['lieber {new}', '{new} statt {old}']\n"
        "columns:\n"
        "  colour: {forms: ['in {new}'], values: {blue: Blau, red: Rot}}\n"
        "not: ['kein {old}']\n"
        "two: ['{first} und {second}']\n"
    )
    texts = Texts(columns_of(ITEMS, "kind", "colour", "material"), read_phrases(path))
    generator = random.Random(0)
    assert texts.choose(ITEMS[0], [Change(1, "red", "blue")], generator, 9) == ("in Blau",)
    silk = texts.choose(ITEMS[0], [Change(2, "wool", "silk")], generator, 9)
    assert set(silk) == {"lieber silk", "silk statt wool"}
    assert texts.choose(ITEMS[0], [Change(1, "red", None)], generator, 9) == ("kein Rot",)
    both = [Change(1, "red", "blue"), Change(2, "wool", "silk")]
    assert texts.choose(ITEMS[0], both, generator, 9)[0] in ("in Blau und silk", "silk und in Blau")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a", "not a mapping of general, columns, not, two, flag"),
        ("generel: ['{new}']", "did you mean 'general'"),
        ("general: '{new}'", "general: must be a list of texts"),
        ("general: ['{neu}']", r"\{neu\} is none of \{old\}, \{new\}, \{kind\}, \{column\}"),
        ("general: ['{new']", "expected '}'"),
        ("two: ['{new}']", r"\{new\} is none of \{first\}, \{second\}"),
        ("columns: {colour: {form: []}}", "columns.colour: .*did you mean 'forms'"),
        ("general: [3]", "3 is no text"),
        ("a: b: c", "not YAML"),
    ],
)
def test_a_fault_in_phrases_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "phrases.yaml"
    path.write_text(content)
    with pytest.raises(TMCIRError, match=message) as caught:
        read_phrases(path)
    assert "\n" not in str(caught.value)


def test_it_is_opened_by_name_and_finds_its_table(shop: tuple[Path, Path], tmp_path: Path) -> None:
    dataset = open_dataset("catalogue", shop[0], "val", metadata=shop[1], skip_columns=["season"])
    assert isinstance(dataset, Catalogue)
    assert [column.name for column in dataset.products.taken] == ["kind", "colour"]
    with pytest.raises(TMCIRError, match="no such file: give the table with metadata=FILE"):
        open_dataset("catalogue", shop[0])
    with pytest.raises(TMCIRError, match="unknown catalogue split"):
        open_dataset("catalogue", shop[0], "dev", metadata=shop[1])


def test_a_product_of_many_photos_does_not_fill_an_epoch(
    shop: tuple[Path, Path], tmp_path: Path
) -> None:
    table = [
        {**row, "product": "one" if number < 40 else number} for number, row in enumerate(rows())
    ]
    path = write_table(tmp_path / "forty.csv", table)
    for split in ("train", "val", "test"):
        dataset = Catalogue(shop[0], split, path, columns=["kind", "colour"], group="product")
        if any(item.product == "one" for item in dataset.items):
            break
    forty = {item.name for item in dataset.items if item.product == "one"}
    assert len(forty) == 40
    # references, and as many reverses of pairs; never a pair within the product
    drawn = [t for t in dataset.training_triplets(0) if t.reference in forty]
    assert all(triplet.target not in forty for triplet in drawn)


def test_it_is_measured_by_its_own_protocol(shop: tuple[Path, Path]) -> None:
    from tests.tiny import build_model

    dataset = open_split(shop, "test", queries=20)
    report = evaluate(build_model(dataset), dataset)
    assert report.headline == "mAP@10"
    assert {"R@1", "R@10", "changed@10", "kept@10"} <= set(report.overall.metrics)
    assert {part.name for part in report.parts} <= {"kind", "colour", TWO, WITHOUT}
