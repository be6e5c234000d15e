"""The table of Kaggle's Fashion Product Images: products, their captions, and what was skipped."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tmcir.core.errors import TMCIRError
from tmcir.core.tables import Row, Table, note, read_table

GENDERS = ("Men", "Women", "Unisex")
#: A type or a colour with fewer products than this is in no query.
MINIMUM_ITEMS = 30
_COLUMNS = ("id", "gender", "articleType", "baseColour", "productDisplayName")
_USAGE = "usage"
# The first pattern that the title names; a title that names none is taken for a solid one.
_PATTERNS = (
    ("striped", re.compile(r"\bstrip(e|es|ed|er)\b", re.IGNORECASE)),
    ("checked", re.compile(r"\bcheck(s|ed|ered)?\b", re.IGNORECASE)),
    ("printed", re.compile(r"\bprint(s|ed)?\b", re.IGNORECASE)),
)
_SOLID = "solid"


class Caption(NamedTuple):
    """The four attributes of a product that queries change."""

    gender: str
    colour: str
    pattern: str
    type: str

    def without(self, kind: int) -> tuple[str, ...]:
        """Return the other three attributes."""
        return (*self[:kind], *self[kind + 1 :])


KINDS = Caption._fields


@dataclass(frozen=True, slots=True)
class Product:
    """One product.

    A product without a caption is of a rare type, colour or gender: it is in the gallery, where it
    can be found by mistake, but in no query.

    Attributes:
        id: Its number, which is also the name of its photo.
        title: Its title, or gender, colour and type where it has none.
        caption: Its attributes; None for a rare product.
        usage: What it is worn for, such as ``Formal``; empty where the table does not say.
    """

    id: str
    title: str
    caption: Caption | None
    usage: str = ""


def read_products(path: Path) -> tuple[list[Product], list[str]]:
    """Read styles.csv in the order of ids; the first of two rows with one id counts.

    Returns:
        The products, and one note for each kind of row that was skipped or repaired.

    Raises:
        TMCIRError: The file is missing, is no such table, lacks a column, or has no product.
    """
    if not path.is_file():
        raise TMCIRError(
            f"{path}: no such file; --root is the folder of Kaggle's Fashion Product Images that"
            " has styles.csv and images/"
        )
    # The file does not quote commas in titles: what spills over belongs to the title.
    table = read_table(path, spills=True)
    for name in _COLUMNS:
        if name not in table.header:
            raise TMCIRError(
                f"{path}: lacks the column {name!r}; it has {', '.join(table.header[:20])}"
            )
    rows: dict[int, dict[str, str]] = {}
    rejected: list[str] = []
    for row in table.rows:
        cells = _cells(table, row)
        if cells["id"].isdecimal():
            cells["id"] = cells["id"].strip()
            rows.setdefault(int(cells["id"]), cells)
        elif any(cells.values()):
            rejected.append(f"{cells['id']!r} in line {row.line}")
    skipped = note(
        rejected,
        "row of styles.csv has an id that is no whole number, and is skipped",
        "rows of styles.csv have ids that are no whole numbers, and are skipped",
    )
    if not rows:
        raise TMCIRError(f"{path}: has no product: {(skipped or ['it has no rows'])[0]}")
    products = _products([rows[number] for number in sorted(rows)])
    return products, [*(f"styles.csv: {text}" for text in table.notes), *skipped]


def _cells(table: Table, row: Row) -> dict[str, str]:
    cells, width = row.cells, len(table.header)
    names = (*_COLUMNS, _USAGE) if _USAGE in table.header else _COLUMNS
    places = {name: table.header.index(name) for name in names}
    values = {name: cells[place].strip() for name, place in places.items()}
    if len(cells) > width:
        title = [cells[places["productDisplayName"]], *cells[width:]]
        values["productDisplayName"] = ",".join(title).strip()
    return values


def _products(rows: list[dict[str, str]]) -> list[Product]:
    types = Counter(row["articleType"] for row in rows)
    colours = Counter(row["baseColour"] for row in rows)
    products = []
    for row in rows:
        gender, colour, article = row["gender"], row["baseColour"], row["articleType"]
        common = (
            gender in GENDERS
            and colour != ""
            and types[article] >= MINIMUM_ITEMS
            and colours[colour] >= MINIMUM_ITEMS
        )
        title = row["productDisplayName"] or f"{gender} {colour} {article}".strip()
        caption = Caption(gender, colour, pattern_of(title), article) if common else None
        products.append(Product(row["id"], title, caption, row.get(_USAGE, "")))
    return products


def pattern_of(title: str) -> str:
    """Return the pattern that a product title names: striped, checked, printed, else solid."""
    for name, expression in _PATTERNS:
        if expression.search(title):
            return name
    return _SOLID
