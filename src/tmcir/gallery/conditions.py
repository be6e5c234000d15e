"""Filters as data, for callers that must not write SQL: checked, typed, safely quoted."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.gallery.stores.base import ColumnKind, is_text

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains"]
#: All that a condition can say.
OPERATORS: tuple[Operator, ...] = get_args(Operator)
MAXIMUM_CONDITIONS = 20
MAXIMUM_VALUES = 100
#: Characters of a text to compare metadata with.
MAXIMUM_LENGTH = 200
#: Characters of an id, the longest path of a file on Linux.
MAXIMUM_ID = 4_096

_ORDERED = ("<", "<=", ">", ">=")
_MAXIMUM_INTEGER = 2**63 - 1
_NUMERIC = re.compile(r"[+-]?(\d{1,30}|\d{1,30}\.\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.I)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one column.

    Attributes:
        column: ``id`` or a metadata column.
        operator: One of `OPERATORS`. ``in`` takes a list; ``contains`` looks for a piece of text in
            any case; the others compare, text by its code points. A photo whose value is empty
            meets no condition, not even ``!=``, as in SQL.
        value: A number for columns of numbers, text for columns of text, or a list of them. A
            number may be written as text: JavaScript rounds whole numbers beyond 2**53.
    """

    column: str
    operator: str
    value: object


def to_where(conditions: Sequence[Condition], columns: Mapping[str, ColumnKind]) -> str:
    """Return conditions, all of which must hold, as the ``where`` of `Gallery.search`.

    Nothing of the conditions gets into the SQL unchecked: columns and operators are looked up in
    lists, numbers are printed from numbers, and text is quoted.

    Args:
        conditions: May be empty; then so is the result.
        columns: The gallery's metadata columns (`Gallery.columns`). ``id`` is always allowed.

    Raises:
        TMCIRError: A column or an operator is unknown, a value has the wrong kind or is too large,
            or there are too many of them.
    """
    if len(conditions) > MAXIMUM_CONDITIONS:
        raise TMCIRError(f"{len(conditions)} conditions; at most {MAXIMUM_CONDITIONS} are taken")
    kinds: dict[str, ColumnKind] = {**columns, "id": "text"}
    return " AND ".join(_sql(condition, kinds) for condition in conditions)


def _sql(condition: Condition, kinds: Mapping[str, ColumnKind]) -> str:
    column, operator = condition.column, condition.operator
    if column not in kinds:
        raise unknown_choice("filter column", _shown(column), kinds)
    if operator not in OPERATORS:
        raise unknown_choice("operator", _shown(operator), OPERATORS)
    kind = kinds[column]
    literal = _LITERALS[kind]
    name = f"`{column}`"  # Gallery columns hold letters, digits and _ only
    if operator == "in":
        return f"{name} IN ({', '.join(literal(column, value) for value in _list(condition))})"
    if operator == "contains":
        if kind != "text":
            raise TMCIRError(f"column {column!r} holds {kind} values: 'contains' is for text")
        return f"contains(lower({name}), {_text(column, condition.value, str.lower)})"
    return f"{name} {operator} {literal(column, condition.value)}"


def _list(condition: Condition) -> Sequence[object]:
    values = condition.value
    if not isinstance(values, list | tuple) or not values:
        raise TMCIRError(f"column {condition.column!r}: 'in' takes a list of at least one value")
    if len(values) > MAXIMUM_VALUES:
        raise TMCIRError(
            f"column {condition.column!r}: {len(values)} values; at most {MAXIMUM_VALUES} are taken"
        )
    return values


def _parsed(value: object) -> object:
    """Return the number that a text is, or the value itself."""
    if not isinstance(value, str) or not _NUMERIC.fullmatch(value.strip()):
        return value
    try:
        return int(value)
    except ValueError:
        return float(value)


def _integer(column: str, value: object) -> str:
    value = _parsed(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAXIMUM_INTEGER:
        raise _wrong(column, value, "a whole number of at most 64 bits")
    return str(value)


def _number(column: str, value: object) -> str:
    value = _parsed(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(column, value, "a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _wrong(column, value, "a finite number")
    return repr(number)


def _text(column: str, value: object, change: Callable[[str], str] = str) -> str:
    if not isinstance(value, str):
        raise _wrong(column, value, "text")
    limit = MAXIMUM_ID if column == "id" else MAXIMUM_LENGTH
    if len(value) > limit or not is_text(value) or "\0" in value:
        raise _wrong(column, value, f"text of at most {limit} characters in valid UTF-8")
    return "'" + change(value).replace("'", "''") + "'"


_LITERALS: dict[ColumnKind, Callable[[str, object], str]] = {
    "integer": _integer,
    "number": _number,
    "text": _text,
}


def _wrong(column: str, value: object, expected: str) -> TMCIRError:
    return TMCIRError(f"column {column!r} takes {expected}, not {_shown(value)}")


def _shown(value: object) -> str:
    try:
        text = ascii(value) if not isinstance(value, str) else value
    except ValueError:  # an integer of thousands of digits
        text = "so large a number"
    text = text if is_text(text) and text.isprintable() else ascii(text)
    return text if len(text) <= 40 else f"{text[:37]}..."
