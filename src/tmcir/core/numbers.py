"""Numbers as tables write them: codes are none, and a comma may stand before the decimals."""

from __future__ import annotations

import math
import re

_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")  # "007" is a code, not a number
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_CODE = re.compile(r"[+-]?(0[0-9].*|[0-9]{19,})")  # too many digits for int64: an article code
# with a comma before the decimals, and perhaps a point or a blank between thousands
_COMMA_NUMBER = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}([. \u00a0\u202f][0-9]{3})+)(,[0-9]+)?")
#: How tables write "nothing" where numbers are expected, in lower case.
EMPTY = frozenset(
    ["nan", "na", "n/a", "#n/a", "n.a.", "null", "none", "nil", "-", "--", "\u2013", "\u2014"]
)


def parse_number(cell: str, decimal_comma: bool = False) -> int | float | None:
    """Return the number that a cell holds, or None where it holds a code or something else."""
    if _INTEGER.fullmatch(cell):
        return int(cell)
    if decimal_comma and "," in cell and _COMMA_NUMBER.fullmatch(cell):
        cell = re.sub(r"[. \u00a0\u202f]", "", cell).replace(",", ".")
    if not _NUMBER.fullmatch(cell) or _CODE.fullmatch(cell):
        return None
    value = float(cell)
    return value if math.isfinite(value) else None
