"""Filters whose brackets or values do not fit are rejected before a store reads half of them."""

from __future__ import annotations

import pytest

from tmcir.core.errors import TMCIRError
from tmcir.gallery.stores.base import ColumnKind
from tmcir.gallery.stores.where import check_where

COLUMNS: dict[str, ColumnKind] = {
    "id": "text",
    "price": "number",
    "year": "integer",
    "colour": "text",
    "a b": "text",
}


@pytest.mark.parametrize(
    "where",
    [
        "price < 50)",
        "price < 50) nonsense",
        "price < 50)) and ((colour = 'Red'",
        "price < 50) and (colour = 'Red'",
        "(price < 50",
        "price < 50 ) -- (",
        "price < 50 /* ( */ )",
        "colour = '(') and price < 50",
        ")(",
        "price < 50) or (true",
    ],
)
def test_brackets_that_do_not_fit(where: str) -> None:
    with pytest.raises(TMCIRError, match="bracket"):
        check_where(where, COLUMNS)


@pytest.mark.parametrize(
    "where",
    [
        "colour = ')'",
        "(price < 50)",
        "colour = 'it''s (' and (price < 50 or price > 60)",
        "`a b` = ')' -- )",
        "colour in ('a)', 'b') /* ) */",
        "price < 50 and year = 2012 and colour like '5%'",
        "year in (2010, 2012) and year between 2000 and 2020",
        "50 < price and -3.5 <= price and price = 5e1",
        "year = 2012.0 and lower(colour) = '5' and cast(year as string) = '2012'",
        "year is not null and not (year = 2012)",
        "year + 1 = 2013 and length(colour) > 3",
        "unknown = 5 and unknown = 'x'",
        "",
    ],
)
def test_filters_that_fit(where: str) -> None:
    check_where(where, COLUMNS)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("colour < 50", "column 'colour' holds text: write '50'"),
        ("COLOUR = -2.5", "column 'colour' holds text: write '-2.5'"),
        ("50 > colour", "column 'colour' holds text: write '50'"),
        ("`a b` != 7", "column 'a b' holds text: write '7'"),
        ("colour in ('x', 7)", "column 'colour' holds text: write '7'"),
        ("id = 10", "column 'id' holds text: write '10'"),
        ("year = '2012'", "column 'year' holds whole numbers: write 2012"),
        ("year not in (2010, '2012')", "column 'year' holds whole numbers: write 2012"),
        ("year between 2000 and '2012'", "column 'year' holds whole numbers: write 2012"),
        ("year < 2012.5", "column 'year' holds whole numbers: write 2012"),
        ("price >= '29,90'", "column 'price' holds numbers: write 29.90"),
        ("price = 'cheap'", "column 'price' holds numbers: write a number"),
        ("(price > 5) and (year = '2012')", "column 'year' holds whole numbers: write 2012"),
    ],
)
def test_values_of_another_kind(where: str, reason: str) -> None:
    with pytest.raises(TMCIRError, match=f"^{reason}$"):
        check_where(where, COLUMNS)
