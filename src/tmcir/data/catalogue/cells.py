"""Cells of a column: empty ones, several values in one cell, numbers in steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from tmcir.core.errors import TMCIRError
from tmcir.core.numbers import EMPTY, parse_number

_SEPARATORS = ("|", ";", "/", ",")
_MINIMUM_SHARE = 0.02  # of cells with a separator, where a column has several values a cell
_MINIMUM_REPEATS = 3.0  # photos that a part of a cell has in the mean


def plain_cell(cell: str) -> str:
    """Return a cell without blanks around it; empty for whatever tables write for nothing."""
    cell = cell.strip()
    return "" if cell.casefold() in EMPTY else cell


def find_separator(cells: Sequence[str]) -> str | None:
    """Return what separates several values in one cell; None where a cell holds one value.

    The parts of cells must repeat more often than the cells themselves: a comma in titles, or the
    slash in "n/a", separates nothing.
    """
    filled = [cell for cell in cells if cell]
    for separator in _SEPARATORS:
        joined = sum(separator in cell for cell in filled)
        if joined < max(2, _MINIMUM_SHARE * len(filled)):
            continue
        parts = Counter(part for cell in filled for part in split_cell(cell, separator))
        repeats = sum(parts.values()) / max(1, len(parts))
        if repeats >= _MINIMUM_REPEATS and len(parts) < len(set(filled)):
            return separator
    return None


def split_cell(cell: str, separator: str | None) -> tuple[str, ...]:
    """Return the values of a cell, each once, in the order of the cell."""
    if not cell:
        return ()
    parts = [cell] if separator is None else [part.strip() for part in cell.split(separator)]
    return tuple(dict.fromkeys(part for part in parts if part))


def numbers_of(cells: Sequence[str], decimal_comma: bool) -> list[float | None] | None:
    """Return the numbers of a column, None for empty cells; None where a value is no number."""
    found: list[float | None] = []
    for cell in cells:
        number = parse_number(cell, decimal_comma) if cell else None
        if cell and number is None:
            return None
        found.append(None if number is None else float(number))
    return found


def bin_numbers(numbers: Sequence[float | None], count: int, column: str) -> list[str]:
    """Return each number as one of ``count`` steps with about as many photos in each.

    Args:
        numbers: None is an empty cell.
        count: Number of steps.
        column: The column as people say it, which every step names.

    Returns:
        Texts such as "price up to 20", "price 20 to 50", "price over 50"; empty for an empty cell.
    """
    filled = np.array([number for number in numbers if number is not None])
    inner = np.quantile(filled, np.linspace(0, 1, count + 1)[1:-1]) if len(filled) else []
    edges = sorted({_rounded(float(edge), filled) for edge in inner})
    if not edges:
        return ["" if number is None else column for number in numbers]
    names = [
        f"{column} up to {edges[0]:g}",
        *(f"{column} {low:g} to {high:g}" for low, high in pairwise(edges)),
        f"{column} over {edges[-1]:g}",
    ]
    places = [0 if one is None else int(np.searchsorted(edges, one)) for one in numbers]
    return ["" if one is None else names[place] for one, place in zip(numbers, places, strict=True)]


def checked_bins(bins: Mapping[str, int]) -> dict[str, int]:
    """Return the steps by column.

    Raises:
        TMCIRError: A number of steps is no whole number from 2.
    """
    for column, count in bins.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 2:
            raise TMCIRError(f"bins of column {column!r}: {count!r} is no whole number from 2")
    return dict(bins)


def _rounded(edge: float, filled: np.ndarray) -> float:
    """Round to two digits of what separates the values, so that steps can be said."""
    spread = float(filled.max() - filled.min()) or 1.0
    digits = 1 - int(np.floor(np.log10(spread)))
    return round(edge, digits)
