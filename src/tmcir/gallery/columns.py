"""Columns of a table: names that SQL takes, kinds, and values of that kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from tmcir.core.numbers import EMPTY, parse_number
from tmcir.core.tables import note
from tmcir.gallery.stores.base import OWN_COLUMNS, ColumnKind, Value

#: Words that SQL does not take as the name of a column.
# fmt: off
RESERVED = frozenset([
    "current_date", "current_time", "current_timestamp", "exists", "false", "interval", "null",
    "select", "trim", "true", "with",
])
# fmt: on


def column_names(
    header: Sequence[str], key_column: int, known: Mapping[str, ColumnKind]
) -> tuple[dict[int, str], list[str]]:
    """Return names that SQL takes without quotes, by place, each once in any case.

    Args:
        header: Names as the table has them.
        key_column: Place of the column that names photos, which gets no name.
        known: Columns that the gallery has.

    Returns:
        The names, and one note for each that differs from the table's.
    """
    stored = {name.lower(): name for name in known}
    taken = {name.lower() for name in OWN_COLUMNS}
    names: dict[int, str] = {}
    notes: list[str] = []
    for index, given in enumerate(header):
        if index == key_column:
            continue
        name = plain_name(given, index)
        if name.lower() in RESERVED and name.lower() not in stored:
            name += "_"
        name = _free_name(name, taken)
        taken.add(name.lower())
        names[index] = stored.get(name.lower(), name)
        if name != given:
            notes.append(f"column {given!r} is called {names[index]!r} in the gallery")
    return names, notes


def plain_name(given: str, index: int = 0) -> str:
    """Return a column's name in letters, digits and ``_``; one without any gets a number."""
    name = re.sub(r"\W+", "_", given).strip("_")
    if not name:
        return f"column_{index + 1}"
    return f"_{name}" if name[0].isdigit() else name


def _free_name(name: str, taken: Collection[str]) -> str:
    number, free = 2, name
    while free.lower() in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def infer_kind(
    name: str, cells: Mapping[int, str], decimal_comma: bool
) -> tuple[ColumnKind | None, list[str]]:
    """Return the kind of a column's values.

    Args:
        name: The column.
        cells: Its values by line.
        decimal_comma: Whether numbers may have a comma before their decimals.

    Returns:
        The kind, None where all cells are empty; and a note if only a few values are not numbers.
    """
    filled = {line: cell for line, cell in cells.items() if cell and cell.lower() not in EMPTY}
    if not filled:
        return None, []
    numbers = {line: parse_number(cell, decimal_comma) for line, cell in filled.items()}
    others = [f"line {line} ({filled[line]!r})" for line, value in numbers.items() if value is None]
    if not others:
        whole = all(isinstance(value, int) for value in numbers.values())
        return ("integer" if whole else "number"), []
    if 2 * len(others) >= len(filled):
        return "text", []
    counted = f"column {name!r} is text: {len(others):,} of {len(filled):,} values are no numbers"
    return "text", [f"{counted}{note(others, '', '')[0].partition(' ')[2].lstrip()}"]


def convert(
    name: str, cells: Mapping[int, str], kind: ColumnKind, decimal_comma: bool
) -> tuple[dict[int, Value], list[str]]:
    """Return the values of a column by line, and a note about those that do not fit its kind.

    Values that do not fit become empty.
    """
    parsers: dict[ColumnKind, Callable[[str], Value]] = {
        "integer": lambda cell: _whole(parse_number(cell, decimal_comma)),
        "number": lambda cell: _real(parse_number(cell, decimal_comma)),
        "text": lambda cell: cell,
    }
    values = {line: parsers[kind](cell) if cell else None for line, cell in cells.items()}
    faults = [
        f"line {line} ({cells[line]!r})"
        for line, value in values.items()
        if value is None and cells[line] and cells[line].lower() not in EMPTY
    ]
    stored = f"as column {name!r} is stored: left empty"
    return values, note(faults, f"value is no {kind}, {stored}", f"values are no {kind}s, {stored}")


def _whole(number: int | float | None) -> int | None:
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number if isinstance(number, int) else None


def _real(number: int | float | None) -> float | None:
    return None if number is None else float(number)
