"""Composed queries from a catalogue's attributes, against a plain search over all pairs."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmcir.core.errors import TMCIRError
from tmcir.data.dataset import Judgement, Triplet
from tmcir.data.fashion_products import SPLITS, FashionProducts
from tmcir.data.products import KINDS, MINIMUM_ITEMS, pattern_of

COLUMNS = ("id", "gender", "articleType", "baseColour", "productDisplayName")
Row = tuple[object, str, str, str, str]


def write_products(
    root: Path,
    rows: Iterable[Row | str],
    without: Iterable[object] = (),
    columns: tuple[str, ...] = COLUMNS,
) -> Path:
    """Write styles.csv without quotes, as Kaggle's is, and an empty file for each photo."""
    lines = [row if isinstance(row, str) else ",".join(map(str, row)) for row in rows]
    (root / "images").mkdir(parents=True)
    (root / "styles.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
    for name in {line.split(",")[0] for line in lines} - set(map(str, without)):
        (root / "images" / f"{name}.jpg").touch()
    return root


def make_rows(count: int = 240, seed: int = 5) -> list[Row]:
    """Draw items of two genders, colours and types and four patterns; none of them is rare."""
    generator = random.Random(seed)
    rows: list[Row] = []
    for number in range(1000, 1000 + count):
        gender = generator.choice(("Men", "Women"))
        colour = generator.choice(("Red", "Navy Blue"))
        article = generator.choice(("Tshirts", "Jeans"))
        pattern = generator.choice(("", "Striped", "Checks", "Print"))
        rows.append((number, gender, article, colour, f"Maker {pattern} {article}"))
    return rows


def plain_rows(first: int, count: int, gender: str, colour: str, article: str) -> list[Row]:
    return [(first + n, gender, article, colour, f"Maker {article}") for n in range(count)]


def differences(dataset: FashionProducts, one: str, other: str) -> list[str]:
    first, second = dataset.caption_of(one), dataset.caption_of(other)
    assert first is not None and second is not None
    return [kind for kind, a, b in zip(KINDS, first, second, strict=True) if a != b]


def words(triplets: Iterable[Triplet]) -> list[tuple[str, str]]:
    return [(triplet.id, triplet.text) for triplet in triplets]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_products(tmp_path_factory.mktemp("catalogue") / "products", make_rows())


# Captions


@pytest.mark.parametrize(
    ("title", "pattern"),
    [
        ("Maker Men Striped Shirt", "striped"),
        ("Maker Stripes Tee", "striped"),
        ("Maker STRIPE Tee", "striped"),
        ("Maker Blue Check Shirt", "checked"),
        ("Maker Checks Shirt", "checked"),
        ("Maker checkered shirt", "checked"),
        ("Maker Printed Tee", "printed"),
        ("Maker Leopard-Print Scarf", "printed"),
        ("Maker Prints", "printed"),
        ("Maker Plain Shirt", "solid"),
        ("", "solid"),
        # Only whole words count.
        ("Maker Strip Light", "solid"),
        ("Blueprint Tee", "solid"),
        ("Checkmate Watch", "solid"),
        ("Maker Printer Bag", "solid"),
    ],
)
def test_the_title_names_the_pattern(title: str, pattern: str) -> None:
    assert pattern_of(title) == pattern


@pytest.mark.slow
@given(st.sampled_from(["striped", "checked", "printed"]), st.data())
def test_case_and_place_of_the_pattern_do_not_matter(pattern: str, data: st.DataObject) -> None:
    written = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in pattern)
    before, after = data.draw(st.tuples(*[st.sampled_from(["", "Maker ", "(", "Tee, "])] * 2))
    assert pattern_of(f"{before}{written} {after}") == pattern


def test_a_caption_is_gender_colour_pattern_and_type(tmp_path: Path) -> None:
    rows = plain_rows(5, 29, "Women", "Navy Blue", "Jeans")
    rows.append((40, "Women", "Jeans", "Navy Blue", "Maker Striped Jeans"))
    dataset = FashionProducts(write_products(tmp_path / "products", rows))
    assert dataset.caption_of("5") == ("Women", "Navy Blue", "solid", "Jeans")
    assert dataset.caption_of("40") == ("Women", "Navy Blue", "striped", "Jeans")
    assert dict(dataset.captions())["40"] == (
        "Maker Striped Jeans",
        "women navy blue striped jeans",
    )


# Splits and rare items


def test_the_remainder_of_the_id_by_5_is_the_split(tmp_path: Path) -> None:
    rows = [(number, "Men", "Jeans", "Red", "Maker Jeans") for number in range(8, 48)]
    write_products(tmp_path / "products", rows)
    found = {
        split: [item.id for item in FashionProducts(tmp_path / "products", split).items]
        for split in SPLITS
    }
    assert found["test"] == ["10", "15", "20", "25", "30", "35", "40", "45"]
    assert found["val"] == ["11", "16", "21", "26", "31", "36", "41", "46"]
    # In the order of the numbers, and not of the texts: "8" and "9" come first.
    assert found["train"][:5] == ["8", "9", "12", "13", "14"]
    assert sum(len(names) for names in found.values()) == len(rows)


@pytest.mark.slow
def test_what_is_rare_is_in_the_gallery_and_in_no_query(tmp_path: Path) -> None:
    # Rare by one item: 29 caps and 29 green ones. Girls and no colour at all are in no caption.
    rows = [
        *plain_rows(1000, MINIMUM_ITEMS, "Men", "Red", "Jeans"),
        *plain_rows(1100, MINIMUM_ITEMS, "Women", "Blue", "Tshirts"),
        *plain_rows(1200, MINIMUM_ITEMS - 1, "Men", "Red", "Caps"),
        *plain_rows(1300, MINIMUM_ITEMS - 1, "Men", "Green", "Jeans"),
        *plain_rows(1400, MINIMUM_ITEMS + 10, "Girls", "Red", "Jeans"),
        *plain_rows(1500, MINIMUM_ITEMS + 10, "Men", "", "Jeans"),
        # As common as it must be, and no less.
        *plain_rows(1600, MINIMUM_ITEMS, "Unisex", "Blue", "Watches"),
        *plain_rows(1700, MINIMUM_ITEMS, "Men", "White", "Jeans"),
    ]
    root = write_products(tmp_path / "products", rows)
    for split in SPLITS:
        dataset = FashionProducts(root, split)
        (task,) = dataset.tasks()
        rare = [name for name in task.gallery if 1200 <= int(name) < 1600]
        assert {int(name) // 100 for name in rare} == {12, 13, 14, 15}
        assert all(dataset.caption_of(name) is None for name in rare)
        assert all(dataset.caption_of(name) for name in task.gallery if name not in rare)
        named = {name for t in dataset.triplets for name in (t.reference, t.target, *t.answers)}
        assert named and named.isdisjoint(rare)
        assert all(len(texts) == 1 + (name not in rare) for name, texts in dataset.captions())


@pytest.mark.slow
def test_one_item_more_makes_a_type_common(tmp_path: Path) -> None:
    rows = [
        *plain_rows(1000, 60, "Men", "Red", "Jeans"),
        *plain_rows(1100, MINIMUM_ITEMS - 1, "Men", "Red", "Caps"),
    ]
    few = FashionProducts(write_products(tmp_path / "few", rows))
    assert few.caption_of("1100") is None and not few.triplets
    rows += plain_rows(1200, 1, "Men", "Red", "Caps")
    enough = FashionProducts(write_products(tmp_path / "enough", rows))
    assert enough.caption_of("1100") == ("Men", "Red", "solid", "Caps")
    assert {triplet.kind for triplet in enough.triplets} == {"type"}


@pytest.mark.slow
def test_the_task_ranks_all_images_of_the_split_without_the_reference(catalogue: Path) -> None:
    dataset = FashionProducts(catalogue, "val")
    (task,) = dataset.tasks()
    assert dataset.tasks("fashion200k") == [task]
    assert task.remove_reference
    assert task.gallery == [str(number) for number in range(1001, 1240, 5)]
    assert task.triplets is dataset.triplets
    with pytest.raises(TMCIRError, match="did you mean 'fashion200k'"):
        dataset.tasks("fashion200")


# Queries


@settings(deadline=None, max_examples=15)
@given(st.sampled_from(SPLITS), st.integers(0, 10_000))
def test_every_query_changes_one_attribute_and_names_all_answers(
    catalogue: Path, split: str, seed: int
) -> None:
    dataset = FashionProducts(catalogue, split, seed=seed, queries=60)
    # The 144 items of the training split are a reference and a target each.
    assert len(dataset.triplets) == (288 if split == "train" else 60)
    for triplet in dataset.triplets:
        assert triplet.target is not None
        assert differences(dataset, triplet.reference, triplet.target) == [triplet.kind]
        caption = dataset.caption_of(triplet.target or "")
        assert caption is not None
        assert list(triplet.answers) == [i.id for i in dataset.items if i.caption == caption]
        new = str(caption[KINDS.index(triplet.kind)]).lower()
        assert re.search(rf"\b{new}\b", triplet.text)
        assert triplet.text in triplet.training_texts


def test_enough_draws_find_every_pair_there_is(tmp_path: Path) -> None:
    root = write_products(tmp_path / "products", make_rows(75))
    dataset = FashionProducts(root, "test", queries=400)
    names = [item.id for item in dataset.items if item.caption]
    pairs = {pair for pair in product(names, names) if len(differences(dataset, *pair)) == 1}
    assert 20 < len(pairs) < 400
    found = [(triplet.reference, triplet.target) for triplet in dataset.triplets]
    assert len(found) == len(pairs)
    assert set(found) == pairs


def test_every_attribute_has_a_dozen_paraphrases(catalogue: Path) -> None:
    dataset = FashionProducts(catalogue, "train")
    seen = {triplet.kind: triplet for triplet in dataset.triplets}
    assert set(seen) == set(KINDS)
    for kind, triplet in seen.items():
        reference = dataset.caption_of(triplet.reference)
        target = dataset.caption_of(str(triplet.target))
        assert reference is not None and target is not None
        old, new = (caption[KINDS.index(kind)].lower() for caption in (reference, target))
        texts = triplet.training_texts
        assert len(texts) == len(set(texts)) >= 12
        assert texts[0] == f"replace {old} with {new}"
        assert all(re.search(rf"\b{new}\b", text) for text in texts)
        assert not any("{" in text or "}" in text for text in texts)


def test_evaluation_uses_many_forms_of_a_text(catalogue: Path) -> None:
    dataset = FashionProducts(catalogue, "test", queries=400)
    places = Counter((t.kind, t.training_texts.index(t.text)) for t in dataset.triplets)
    for kind in KINDS:
        assert len([place for own, place in places if own == kind]) >= 12


@pytest.mark.parametrize("split", SPLITS)
def test_the_seed_fixes_pairs_and_texts(catalogue: Path, split: str) -> None:
    first, again, other = (
        FashionProducts(catalogue, split, seed=seed, queries=50) for seed in (1, 1, 2)
    )
    assert first.triplets == again.triplets
    assert words(first.triplets) != words(other.triplets)
    pairs = [{triplet.id for triplet in dataset.triplets} for dataset in (first, other)]
    assert pairs[0] != pairs[1]
    # The seed changes nothing but the queries.
    assert first.items == other.items


def test_pairs_do_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    rows = make_rows(100)
    forwards = FashionProducts(write_products(tmp_path / "a", rows), queries=20)
    backwards = FashionProducts(write_products(tmp_path / "b", rows[::-1]), queries=20)
    assert forwards.triplets == backwards.triplets
    assert forwards.tasks()[0].gallery == backwards.tasks()[0].gallery


# Judging results


def test_a_result_is_judged_by_its_caption(tmp_path: Path) -> None:
    rows = [
        *plain_rows(1000, 30, "Men", "Red", "Jeans"),
        *plain_rows(1100, 30, "Men", "Blue", "Jeans"),
        *plain_rows(1200, 30, "Women", "Blue", "Tshirts"),
        *plain_rows(1300, 30, "Women", "White", "Tshirts"),
        *plain_rows(1400, 1, "Men", "Red", "Caps"),
    ]
    dataset = FashionProducts(write_products(tmp_path / "products", rows))
    query = Triplet("q", "1000", "in blue", "1100", kind="colour")
    # Kept: gender, pattern and type of the reference, which are those of men's solid jeans.
    judged = {"1000": (0, 1), "1100": (1, 1), "1200": (1, 1 / 3), "1300": (0, 1 / 3)}
    for name, (changed, kept) in judged.items():
        assert dataset.can_judge(name)
        assert dataset.judge(query, name) == Judgement(changed, kept)
    for name in ("1400", "1001", "none"):  # without a caption, of another split, of none
        assert not dataset.can_judge(name)
        with pytest.raises(TMCIRError, match=f"item '{name}' has no caption"):
            dataset.judge(query, name)


@pytest.mark.parametrize("split", SPLITS)
def test_a_result_is_right_where_all_changed_and_all_stayed(catalogue: Path, split: str) -> None:
    dataset = FashionProducts(catalogue, split, queries=40)
    for triplet in dataset.triplets[:40]:
        right = [i.id for i in dataset.items if dataset.judge(triplet, i.id) == Judgement(1, 1)]
        assert right == list(triplet.answers)
        assert dataset.judge(triplet, triplet.reference) == Judgement(0, 1)


# Training epochs


def test_an_epoch_has_every_item_as_reference_once_and_each_pair_with_its_reverse(
    catalogue: Path,
) -> None:
    dataset = FashionProducts(catalogue, "train")
    triplets = dataset.training_triplets(3)
    forwards, backwards = triplets[0::2], triplets[1::2]
    # 144 items of 32 captions: each has a neighbour.
    assert Counter(t.reference for t in forwards) == Counter(item.id for item in dataset.items)
    assert [t.reference for t in forwards] != [item.id for item in dataset.items]
    for pair, reverse in zip(forwards, backwards, strict=True):
        assert (pair.reference, pair.target) == (reverse.target, reverse.reference)
        assert pair.kind == reverse.kind
        assert pair.reference in reverse.answers and pair.target in pair.answers
        assert pair.reference not in pair.answers


def test_epochs_are_reproducible_and_differ(catalogue: Path) -> None:
    dataset = FashionProducts(catalogue, "train", seed=4)
    epochs = [dataset.training_triplets(epoch) for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] == dataset.triplets
    assert words(epochs[0]) != words(epochs[1])
    assert {t.id for t in epochs[0]} != {t.id for t in epochs[1]}
    # Neither an earlier draw nor another object changes what an epoch has.
    assert FashionProducts(catalogue, "train", seed=4).training_triplets(1) == epochs[1]
    assert FashionProducts(catalogue, "train", seed=5).training_triplets(1) != epochs[1]


def test_an_item_without_a_neighbour_is_in_no_pair(tmp_path: Path) -> None:
    rows = [
        *plain_rows(1000, 40, "Men", "Red", "Jeans"),
        *plain_rows(1100, 40, "Men", "Blue", "Jeans"),
        # Its only others differ in gender, colour and type.
        *plain_rows(1200, 40, "Women", "White", "Caps"),
    ]
    dataset = FashionProducts(write_products(tmp_path / "products", rows), "train")
    named = {name for t in dataset.training_triplets(0) for name in (t.reference, t.target)}
    assert named == {item.id for item in dataset.items if int(item.id) < 1200}


# Files as they are


def test_unquoted_commas_belong_to_the_title(tmp_path: Path) -> None:
    rows: list[Row | str] = [
        *plain_rows(1000, 40, "Men", "Red", "Jeans"),
        "2000,Men,Jeans,Red,Maker Jeans, Striped, and long",
        '2005,Men,Jeans,Red,"Maker, Printed Jeans"',
    ]
    dataset = FashionProducts(write_products(tmp_path / "products", rows))
    texts = dict(dataset.captions())
    assert texts["2000"][0] == "Maker Jeans, Striped, and long"
    assert dataset.caption_of("2000") == ("Men", "Red", "striped", "Jeans")
    assert texts["2005"][0] == "Maker, Printed Jeans"
    assert dataset.caption_of("2005") == ("Men", "Red", "printed", "Jeans")


def test_short_rows_and_empty_titles_are_read(tmp_path: Path) -> None:
    rows: list[Row | str] = [
        *plain_rows(1000, 40, "Men", "Red", "Jeans"),
        "2000,Men,Jeans,Red",
        "2005, Men , Jeans,Red ,  ",
        "2010",
    ]
    dataset = FashionProducts(write_products(tmp_path / "products", rows))
    texts = dict(dataset.captions())
    assert texts["2000"] == texts["2005"] == ("Men Red Jeans", "men red solid jeans")
    assert dataset.caption_of("2010") is None


def test_the_first_of_two_rows_with_one_id_counts(tmp_path: Path) -> None:
    rows = [
        *plain_rows(1000, 40, "Men", "Red", "Jeans"),
        (1000, "Women", "Jeans", "Red", "Maker Striped Jeans"),
    ]
    dataset = FashionProducts(write_products(tmp_path / "products", rows))
    assert dataset.caption_of("1000") == ("Men", "Red", "solid", "Jeans")
    assert [item.id for item in dataset.items].count("1000") == 1


def test_a_repeated_row_does_not_make_a_type_common(tmp_path: Path) -> None:
    rows = plain_rows(1000, MINIMUM_ITEMS - 1, "Men", "Red", "Jeans")
    dataset = FashionProducts(write_products(tmp_path / "products", rows * 2))
    assert dataset.caption_of("1000") is None


def test_rows_without_an_image_are_skipped_and_named(tmp_path: Path) -> None:
    root = write_products(tmp_path / "products", make_rows(100), without=[1005, 1006, 1010])
    dataset = FashionProducts(root, queries=1000)
    assert dataset.without_image == ["1005", "1006", "1010"]
    assert dataset.notes == ("2 rows of styles.csv have no photo and are skipped: 1005, 1010",)
    names = dataset.image_names()
    assert names == [str(number) for number in range(1000, 1100, 5) if number not in (1005, 1010)]
    assert all(dataset.image_path(name).is_file() for name in names)
    assert dataset.find_image("1005") is None
    assert "1005" not in {answer for t in dataset.triplets for answer in t.answers}


def test_a_folder_without_any_photo_is_an_error(tmp_path: Path) -> None:
    root = write_products(tmp_path / "products", make_rows(20), without=list(range(1000, 1020)))
    with pytest.raises(TMCIRError, match="has no photo of any row"):
        FashionProducts(root)


@pytest.mark.parametrize("option", [{"seed": "x"}, {"queries": -1}])
def test_an_option_of_the_wrong_kind_is_named(tmp_path: Path, option: dict[str, Any]) -> None:
    root = write_products(tmp_path / "products", make_rows(20))
    with pytest.raises(TMCIRError, match=f"{next(iter(option))} must be a whole number"):
        FashionProducts(root, **option)


def test_ids_that_are_no_numbers_are_skipped(tmp_path: Path) -> None:
    rows: list[Row | str] = [
        *plain_rows(1000, 40, "Men", "Red", "Jeans"),
        *[f"{name},Men,Jeans,Red,Maker Jeans" for name in ("abc", "-5", "1.5", "10x", "²", "1e3")],
        ",Men,Jeans,Red,Maker Jeans",
    ]
    root = write_products(tmp_path / "products", rows)
    names = [item.id for split in SPLITS for item in FashionProducts(root, split).items]
    assert sorted(names) == [str(number) for number in range(1000, 1040)]


def test_photos_of_other_suffixes_are_found(tmp_path: Path) -> None:
    root = write_products(
        tmp_path / "products", plain_rows(1000, 40, "Men", "Red", "Jeans"), range(1000, 1040)
    )
    for name in ("1000.JPG", "1005.png", "1010.jpeg", "1015.txt", "stray.jpg"):
        (root / "images" / name).touch()
    dataset = FashionProducts(root)
    assert [item.id for item in dataset.items] == ["1000", "1005", "1010"]
    assert dataset.image_path("1000") == root / "images" / "1000.JPG"


def test_a_tiny_catalogue_has_no_queries_and_no_error(tmp_path: Path) -> None:
    root = write_products(tmp_path / "products", plain_rows(1000, 3, "Men", "Red", "Jeans"))
    for split in SPLITS:
        dataset = FashionProducts(root, split)
        assert list(dataset.triplets) == []
        assert len(dataset.tasks()[0].gallery) == len(dataset.items) == 1


# Bad input


def test_an_unknown_split_names_the_nearest(catalogue: Path) -> None:
    with pytest.raises(TMCIRError, match="split 'tests': did you mean 'test'") as caught:
        FashionProducts(catalogue, "tests")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    columns = tuple("other" if name == column else name for name in COLUMNS)
    root = write_products(tmp_path / "products", make_rows(5), columns=columns)
    with pytest.raises(TMCIRError, match=rf"styles\.csv: lacks the column '{column}'") as caught:
        FashionProducts(root)
    assert "\n" not in str(caught.value)


def test_an_empty_file_lacks_its_columns(tmp_path: Path) -> None:
    root = write_products(tmp_path / "products", make_rows(5))
    for content, problem in (("", "empty; the first line"), ("x\n", "lacks the column 'id'")):
        (root / "styles.csv").write_text(content)
        with pytest.raises(TMCIRError, match=problem):
            FashionProducts(root)


def test_rows_whose_id_is_no_number_are_counted_and_shown(tmp_path: Path) -> None:
    rows: list[Row | str] = [*make_rows(197), *plain_rows(2000, 3, "Men", "Red", "Jeans")]
    odd = [str(row[0]) + ".0," + ",".join(map(str, row[1:])) for row in make_rows(200)[197:]]
    dataset = FashionProducts(write_products(tmp_path / "products", [*rows, *odd]))
    assert dataset.notes == (
        "3 rows of styles.csv have ids that are no whole numbers, and are skipped: '1197.0' in line"
        " 202, '1198.0' in line 203, '1199.0' in line 204",
    )
    (tmp_path / "products" / "styles.csv").write_text("\n".join([",".join(COLUMNS), *odd]))
    with pytest.raises(TMCIRError, match=r"has no product: 3 rows .* no whole numbers.*'1197\.0'"):
        FashionProducts(tmp_path / "products")
    (tmp_path / "products" / "styles.csv").write_text(",".join(COLUMNS))
    with pytest.raises(TMCIRError, match="has no product: it has no rows"):
        FashionProducts(tmp_path / "products")


@pytest.mark.parametrize("place", [0, 77, 199])
def test_a_quote_that_is_not_closed_loses_no_other_product(tmp_path: Path, place: int) -> None:
    rows: list[Row | str] = [*make_rows(200)]
    whole = FashionProducts(write_products(tmp_path / "whole", rows), "train")
    number, gender, article, colour, title = make_rows(200)[place]
    rows[place] = f'{number},{gender},{article},{colour},"{title}'
    damaged = FashionProducts(write_products(tmp_path / "damaged", rows), "train")
    assert damaged.items == whole.items
    assert damaged.notes == (f"styles.csv: 1 row has a quote that is not closed: line {place + 2}",)


def test_other_delimiters_are_read(tmp_path: Path) -> None:
    root = write_products(tmp_path / "products", make_rows(60))
    expected = FashionProducts(root).items
    table = root / "styles.csv"
    table.write_text("sep=;\n" + table.read_text().replace(",", ";"))
    assert FashionProducts(root).items == expected


def test_a_missing_file_says_what_root_must_be(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(TMCIRError, match=r"styles\.csv: no such file; --root is") as caught:
        FashionProducts(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_of_images_is_named(tmp_path: Path) -> None:
    root = write_products(tmp_path / "products", make_rows(5))
    (root / "images").rename(root / "photos")
    with pytest.raises(TMCIRError, match=r"images: no such folder.*\{id\}\.jpg") as caught:
        FashionProducts(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"1," + b"x" * 200_000], ids=["bytes", "long"])
def test_a_file_that_is_no_text_table_is_named(tmp_path: Path, content: bytes) -> None:
    root = write_products(tmp_path / "products", make_rows(5))
    header = ",".join(COLUMNS).encode() + b"\n"
    (root / "styles.csv").write_bytes(header + content)
    with pytest.raises(TMCIRError, match=r"styles\.csv: (is not UTF-8|all rows are mal)") as caught:
        FashionProducts(root)
    assert "\n" not in str(caught.value)


# The real photos


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_real_photos_are_split_without_overlap(shared_data: Path) -> None:
    root = shared_data / "fashion-products"
    train, val, test = (FashionProducts(root, split) for split in ("train", "val", "test"))
    files = {path.stem for path in (root / "images").iterdir()}
    galleries = [{item.id for item in dataset.items} for dataset in (train, val, test)]
    assert sum(len(gallery) for gallery in galleries) == len(files)
    assert set.union(*galleries) == files
    (task,) = test.tasks()
    assert sorted(task.gallery) == sorted(name for name in files if int(name) % 5 == 0)
    assert len({triplet.id for triplet in task.triplets}) == len(val.triplets) == 2000
    assert {triplet.kind for triplet in task.triplets} == set(KINDS)

    trained = {image for image, _ in train.captions()}
    for triplet in train.training_triplets(0):
        trained.update((triplet.reference, str(triplet.target)), triplet.answers)
    assert trained.isdisjoint(galleries[1] | galleries[2])


@pytest.mark.shared_data
def test_the_real_queries_follow_the_protocol(shared_data: Path) -> None:
    dataset = FashionProducts(shared_data / "fashion-products")
    counts: Counter[object] = Counter(item.caption for item in dataset.items)
    for triplet in dataset.triplets:
        assert triplet.target is not None
        assert differences(dataset, triplet.reference, triplet.target) == [triplet.kind]
        assert {dataset.caption_of(name) for name in triplet.answers} == {
            dataset.caption_of(triplet.target)
        }
        assert len(triplet.answers) == counts[dataset.caption_of(triplet.target)]
