"""Choosing the columns of a table: attributes that queries change, captions, and the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.data.catalogue.cells import (
    bin_numbers,
    find_separator,
    numbers_of,
    plain_cell,
    split_cell,
)
from tmcir.data.catalogue.words import is_flag, meaning_of, one_spelling, said, say_flag

MAXIMUM_VALUES = 200
MINIMUM_COVERAGE = 0.2
MAXIMUM_NUMBERS = 12  # different numbers that are taken one by one
_MINIMUM_FREQUENT = 0.5  # share of filled cells whose value is frequent
_DETERMINED = 0.99
_ADDRESS = re.compile(r"(https?://|www\.)\S+", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}")
_FILE = re.compile(r"\S+\.(jpe?g|png|webp|gif|avif|tiff?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table, and what becomes of it.

    Attributes:
        name: As the table has it.
        said: As people say it.
        meaning: One of ``words.MEANINGS``; ``flag`` for yes and no; empty where nothing is known.
        values: Values that queries ask for, as people say them, the most frequent first.
        cells: Each photo's values, as people say them; () where the cell is empty. Rare values
            are among them, because photos that differ in one are not alike.
        coverage: Share of the photos that have a value.
        reason: Why no query changes the column; empty where queries do.
        captions: Whether its texts describe photos.
        distinct: Number of different values.
    """

    name: str
    said: str
    meaning: str
    values: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    coverage: float
    reason: str = ""
    captions: bool = False
    distinct: int = 0

    @property
    def taken(self) -> bool:
        """Whether queries change the column."""
        return not self.reason


def minimum_count(photos: int) -> int:
    """Return how many photos a value needs, so that queries ask for it."""
    return max(3, round(0.002 * photos))


def read_column(
    name: str, given: Sequence[str], bins: int | None, decimal_comma: bool
) -> tuple[Column, list[str]]:
    """Read a column.

    Args:
        name: The column.
        given: The cell of each photo.
        bins: Steps that its numbers are cut into; None: not at all.
        decimal_comma: Whether numbers may have a comma before their decimals.

    Returns:
        The column, and a note where values have several spellings.

    Raises:
        TMCIRError: There are to be steps, but values are no numbers.
    """
    cells = [plain_cell(cell) for cell in given]
    numbers = numbers_of(cells, decimal_comma)
    if bins is not None:
        if numbers is None:
            raise TMCIRError(f"bins of column {name!r}: its values are not all numbers")
        cells = bin_numbers(numbers, bins, said(name))
    several = find_separator(cells) if bins is None and numbers is None else None
    split = [split_cell(cell, several) for cell in cells]
    spelling, merged = one_spelling(value for cell in split for value in cell)
    split = [tuple(dict.fromkeys(spelling[value] for value in cell)) for cell in split]
    counts = Counter(value for cell in split for value in cell)
    flag = is_flag(counts) and len(counts) <= 2
    spoken = {value: say_flag(value, said(name)) if flag else said(value) for value in counts}
    filled = sum(map(bool, split))
    minimum = minimum_count(len(cells))
    frequent = [value for value, count in counts.most_common() if count >= minimum]
    column = Column(
        name=name,
        said=said(name),
        meaning="flag" if flag else meaning_of(name),
        values=tuple(dict.fromkeys(spoken[value] for value in frequent)),
        cells=tuple(tuple(dict.fromkeys(spoken[value] for value in cell)) for cell in split),
        coverage=filled / max(1, len(cells)),
        distinct=len(counts),
    )
    few = is_number(numbers) and bins is None and len(counts) > MAXIMUM_NUMBERS
    reason = _reason(column, counts, frequent, filled, few)
    notes = [f"column {name!r}: {'; '.join(merged[:3])}: one value each"] if merged else []
    captions = bool(reason) and _describes(cells)
    return replace(column, reason=reason, captions=captions), [] if reason else notes


def is_number(numbers: Sequence[float | None] | None) -> bool:
    """Return whether a column has numbers, and nothing else."""
    return numbers is not None and any(number is not None for number in numbers)


def _reason(
    column: Column, counts: Counter[str], frequent: Sequence[str], filled: int, many: bool
) -> str:
    """Return why a column is no attribute; empty where it is one."""
    if not counts:
        return "empty"
    if len(counts) == 1:
        return f"one value only: {next(iter(counts))}"
    if many:
        return f"{len(counts):,} different numbers (--bins {column.name}=4 takes it in 4 steps)"
    for what, pattern in (("addresses", _ADDRESS), ("dates", _DATE), ("file names", _FILE)):
        if sum(pattern.fullmatch(value) is not None for value in counts) > 0.9 * len(counts):
            return what
    if column.coverage < MINIMUM_COVERAGE:
        return f"only {column.coverage:.0%} of the photos have a value"
    if sum(counts[value] for value in frequent) < _MINIMUM_FREQUENT * filled:
        return "values hardly ever repeat"
    if len(frequent) < 2:
        return f"nearly all the same: {frequent[0]}" if frequent else "values hardly ever repeat"
    if len(frequent) > MAXIMUM_VALUES:
        return f"{len(frequent):,} values: too many"
    return ""


def _describes(cells: Sequence[str]) -> bool:
    """Return whether cells are texts, such as titles, and neither codes nor addresses."""
    filled = [cell for cell in cells if cell]
    words = sum(len(re.findall(r"[^\W\d_]{2,}", cell)) >= 2 for cell in filled)
    codes = sum(_ADDRESS.search(cell) is not None for cell in filled)
    return bool(filled) and words > len(filled) / 2 and codes < len(filled) / 2


def choose_columns(columns: Sequence[Column], asked: Collection[str] | None) -> list[Column]:
    """Return all columns, each with the reason why it is not taken.

    Without ``asked``, a column that follows from another one (a category from a type) is not taken:
    no two photos could differ in it alone.

    Raises:
        TMCIRError: A column that is asked for is not there or cannot be used.
    """
    if asked is not None:
        names = {column.name.casefold(): column for column in columns}
        for name in asked:
            if name.casefold() not in names:
                raise unknown_choice("column", name, [column.name for column in columns])
            column = names[name.casefold()]
            if column.reason:
                raise TMCIRError(f"column {column.name!r} cannot be used: {column.reason}")
        chosen = {name.casefold() for name in asked}
        return [
            column
            if column.reason or column.name.casefold() in chosen
            else replace(column, reason="not among --columns")
            for column in columns
        ]
    taken = [column for column in columns if column.taken]
    followed: dict[str, str] = {}
    for column in sorted(taken, key=lambda one: len(one.values)):
        others = [one for one in taken if one.name not in (column.name, *followed)]
        for other in sorted(others, key=lambda one: len(one.values)):
            if len(other.values) >= len(column.values) and _follows(column, other):
                followed[column.name] = f"follows from {other.name}"
                break
    return [
        replace(one, reason=followed[one.name]) if one.name in followed else one for one in columns
    ]


def _follows(column: Column, other: Column) -> bool:
    """Return whether ``other`` nearly always says what ``column`` is."""
    pairs: dict[tuple[str, ...], Counter[tuple[str, ...]]] = {}
    for own, given in zip(column.cells, other.cells, strict=True):
        if own and given:
            pairs.setdefault(given, Counter())[own] += 1
    total = sum(counts.total() for counts in pairs.values())
    same = sum(counts.most_common(1)[0][1] for counts in pairs.values())
    lone = sum(counts.total() == 1 for counts in pairs.values())  # says nothing
    return total - lone > 0 and same - lone >= _DETERMINED * (total - lone)


def column_table(columns: Sequence[Column], figures: Mapping[str, str] | None = None) -> list[str]:
    """Return lines of a table: column, values, coverage, taken or why not.

    Args:
        columns: The columns.
        figures: A further cell for some of them, by name, such as what a probe found.
    """
    figures = figures or {}
    rows = [("column", "values", "photos", *(("probe",) if figures else ()), "taken")]
    for one in columns:
        taken = f"yes: {_examples(one)}" if one.taken else f"no: {one.reason}"
        taken += "; describes photos" if one.captions else ""
        probe = (figures.get(one.name, ""),) if figures else ()
        rows.append((one.name, f"{one.distinct:,}", f"{one.coverage:.0%}", *probe, taken))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if place in (1, 2) else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _examples(column: Column) -> str:
    shown = ", ".join(column.values[:4])
    return shown + (", ..." if len(column.values) > 4 else "")
