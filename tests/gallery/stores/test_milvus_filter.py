"""SQL conditions as Milvus expressions, word by word; what they mean is tested on a real server."""

from __future__ import annotations

import pytest

from tmcir.core.errors import QueryError, TMCIRError
from tmcir.gallery.stores.base import ColumnKind
from tmcir.gallery.stores.milvus_filter import translate

COLUMNS: dict[str, ColumnKind] = {"colour": "text", "price": "number", "year": "integer"}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("colour = 'red'", '((exists metadata["colour"]) and metadata["colour"] == "red")'),
        ("id = 'a.jpg'", 'id == "a.jpg"'),
        ("10 < price", '((exists metadata["price"]) and metadata["price"] > 10.0)'),
        ("NOT year >= -3", '((exists metadata["year"]) and metadata["year"] < -3)'),
        (
            "year IN (1, 2)",
            '(((exists metadata["year"]) and metadata["year"] == 1) or'
            ' ((exists metadata["year"]) and metadata["year"] == 2))',
        ),
        ("colour IS NULL", '(not (exists metadata["colour"]))'),
    ],
)
def test_conditions(where: str, expected: str) -> None:
    assert translate(where, COLUMNS) == expected


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("contains(lower(colour), 'x')", "Milvus has nothing like it"),
        ("price = year", "compares a column with a value"),
        ("colour = 3", "'colour' holds text values"),
        ("year = 1.5", "whole numbers"),
        ("colour =", "cannot be used on Milvus"),
    ],
)
def test_what_milvus_cannot_say_is_the_queries_fault(where: str, reason: str) -> None:
    """So that the service answers 422, and not that the store is out of order."""
    with pytest.raises(QueryError, match=reason):
        translate(where, COLUMNS)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(TMCIRError, match=r"filter column 'color'.*colour"):
        translate("color = 'red'", COLUMNS)
