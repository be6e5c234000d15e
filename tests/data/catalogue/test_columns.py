"""Which columns are taken, and why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shop import COLOURS, draw_shop, rows, write_table
from tmcir.core.errors import TMCIRError
from tmcir.data.catalogue import Products, read_products
from tmcir.data.catalogue.columns import column_table

REASONS = {
    "sku": [f"S{number}" for number in range(120)],
    "country": ["DE"] * 120,
    "empty": [""] * 120,
    "sparse": ["a", "b", *[""] * 118],
    "nearly": ["x"] * 118 + ["y", "z"],
    "page": [f"https://shop.example/{number % 4}" for number in range(120)],
    "updated": [f"2026-11-{1 + number % 9:02d}" for number in range(120)],
    "picture": [f"p{number % 3}.jpg" for number in range(120)],
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return draw_shop(tmp_path_factory.mktemp("shop"))


def read(shop: tuple[Path, Path], tmp_path: Path, **columns: object) -> Products:
    table = rows()
    for name, values in columns.items():
        for row, value in zip(table, values, strict=True):  # type: ignore[call-overload]
            row[name] = value
    return read_products(shop[0], write_table(tmp_path / "table.csv", table))


def reasons(found: Products) -> dict[str, str]:
    return {column.name: column.reason for column in found.columns}


def test_columns_of_few_values_are_taken_and_titles_describe(shop: tuple[Path, Path]) -> None:
    found = read_products(*shop)
    assert [column.name for column in found.taken] == ["kind", "colour", "season"]
    assert found.taken[1].values == ("green", "navy blue", "red") or set(found.taken[1].values) == {
        "navy blue",
        "red",
        "green",
    }
    described = {column.name for column in found.columns if column.captions}
    assert described == {"title"}
    assert "different numbers (--bins price=4" in reasons(found)["price"]
    assert found.items[1].values[:2] == (("jeans",), ("navy blue",))
    assert found.items[1].texts[0].endswith("navy_blue jeans") or found.items[1].texts


def test_each_other_column_has_its_reason(shop: tuple[Path, Path], tmp_path: Path) -> None:
    found = reasons(read(shop, tmp_path, **REASONS))
    assert found["sku"] == "values hardly ever repeat"
    assert found["country"] == "one value only: DE"
    assert found["empty"] == "empty"
    assert found["sparse"] == "only 2% of the photos have a value"
    assert found["nearly"] == "nearly all the same: x"
    assert (found["page"], found["updated"]) == ("addresses", "dates")
    assert found["picture"] == "file names"


def test_a_column_that_follows_from_another_is_left_out(
    shop: tuple[Path, Path], tmp_path: Path
) -> None:
    families = {"Jeans": "Clothes", "Caps": "Clothes", "Socks": "Underwear"}
    found = read(shop, tmp_path, family=[families[str(row["kind"])] for row in rows()])
    assert reasons(found)["family"] == "follows from kind"


def test_columns_that_are_asked_for_are_taken(shop: tuple[Path, Path]) -> None:
    found = read_products(*shop, columns=["COLOUR"])
    assert [column.name for column in found.taken] == ["colour"]
    assert reasons(found)["kind"] == "not among --columns"
    with pytest.raises(TMCIRError, match="did you mean 'colour'"):
        read_products(*shop, columns=["colours"])
    with pytest.raises(TMCIRError, match="'title' cannot be used: values hardly ever repeat"):
        read_products(*shop, columns=["title"])


def test_numbers_are_taken_in_steps_when_asked(shop: tuple[Path, Path]) -> None:
    found = read_products(*shop, bins={"price": 3})
    (price,) = [column for column in found.taken if column.name == "price"]
    assert len(price.values) == 3
    assert any(value.startswith("price up to ") for value in price.values)
    with pytest.raises(TMCIRError, match="bins of column 'kind': its values are not all numbers"):
        read_products(*shop, bins={"kind": 3})
    with pytest.raises(TMCIRError, match="no whole number from 2"):
        read_products(*shop, bins={"price": 1})


def test_several_values_a_cell_are_several_values(shop: tuple[Path, Path], tmp_path: Path) -> None:
    tags = ["new|sale", "sale", "new", "eco|new", "eco", ""] * 20
    found = read(shop, tmp_path, tags=tags)
    (column,) = [one for one in found.taken if one.name == "tags"]
    assert set(column.values) == {"new", "sale", "eco"}
    assert column.cells[0] == ("new", "sale")
    assert column.coverage == pytest.approx(5 / 6)


def test_several_spellings_are_one_value_and_a_note(
    shop: tuple[Path, Path], tmp_path: Path
) -> None:
    spelt = ["Deep Blue", "deep_blue", "Deep Blue", "black"] * 30
    found = read(shop, tmp_path, shade=spelt)
    (column,) = [one for one in found.taken if one.name == "shade"]
    assert column.values == ("deep blue", "black")
    assert any("'Deep Blue' = 'deep_blue': one value each" in note for note in found.notes)


def test_the_table_of_columns_can_be_read(shop: tuple[Path, Path]) -> None:
    lines = column_table(read_products(*shop).columns)
    assert lines[0].split() == ["column", "values", "photos", "taken"]
    (kind,) = [line for line in lines if line.startswith("kind")]
    assert kind.split()[1:4] == ["3", "100%", "yes:"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": "p"}, "no column says anything that a query could change: it has no other"),
        ({"sku": "u"}, "values hardly ever repeat"),
        ({"country": "DE"}, "one value only: DE"),
    ],
)
def test_a_table_without_a_usable_column_is_one_line(
    shop: tuple[Path, Path], tmp_path: Path, columns: dict[str, str], message: str
) -> None:
    (name, value), *_ = columns.items()
    table = [
        {"id": row["id"]}
        if name == "id"
        else {"id": row["id"], name: value if value == "DE" else f"{value}{number}"}
        for number, row in enumerate(rows())
    ]
    with pytest.raises(TMCIRError, match=message):
        read_products(shop[0], write_table(tmp_path / "bad.csv", table))


def test_few_photos_for_many_rows_are_one_line(shop: tuple[Path, Path], tmp_path: Path) -> None:
    photos = tmp_path / "ten"
    photos.mkdir()
    for path in sorted(shop[0].iterdir())[:10]:
        (photos / path.name).write_bytes(path.read_bytes())
    table = [{**row, "id": f"x{number}-{row['id']}"} for number in range(40) for row in rows()]
    path = write_table(tmp_path / "many.csv", [*table, *rows()])
    message = "10 of 10 photos described by 10 of 4,920 rows.* at least 20 photos"
    with pytest.raises(TMCIRError, match=message):
        read_products(photos, path)


def test_a_key_that_fits_nothing_is_one_line(shop: tuple[Path, Path]) -> None:
    with pytest.raises(TMCIRError, match="no value of column 'colour'"):
        read_products(*shop, key="colour")
    with pytest.raises(TMCIRError, match="did you mean 'colour'"):
        read_products(*shop, key="color")


def test_of_two_rows_for_one_photo_the_first_counts(
    shop: tuple[Path, Path], tmp_path: Path
) -> None:
    first = rows()
    second = [{**row, "colour": next(iter(COLOURS))} for row in first]
    found = read_products(shop[0], write_table(tmp_path / "twice.csv", [*first, *second]))
    assert found.items == read_products(*shop).items
    assert any("rows repeat a key, and the first row counts" in note for note in found.notes)
