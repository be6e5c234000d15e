"""SQL conditions as Milvus' boolean expressions, and a clear error for what those cannot say.

Empty cells follow SQL: a comparison with one is neither true nor false, and so is its negation.
In Milvus a missing value meets ``!=`` and ``not``; therefore negations are pushed down to the
comparisons, and each of those also asks that the value exists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import sqlglot
from sqlglot import expressions as sql
from sqlglot.errors import SqlglotError

from tmcir.core.errors import QueryError, TMCIRError, first_line, unknown_choice
from tmcir.gallery.stores.base import MAXIMUM_FILTER, ColumnKind

#: Columns that are fields of their own; metadata is one JSON field.
FIELDS = ("id", "path")

_COMPARISONS: dict[type[sql.Expression], str] = {
    sql.EQ: "==",
    sql.NEQ: "!=",
    sql.LT: "<",
    sql.LTE: "<=",
    sql.GT: ">",
    sql.GTE: ">=",
}
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def translate(where: str, columns: Mapping[str, ColumnKind]) -> str:
    """Return a Milvus expression for an SQL condition.

    Known are AND, OR, NOT, the comparisons of a column with a value, IN, BETWEEN, IS NULL and LIKE
    (which older servers know only with ``%`` at the end).

    Args:
        where: The condition.
        columns: The gallery's metadata columns and their kinds.

    Raises:
        QueryError: It cannot be read, or Milvus has nothing like it.
        TMCIRError: It is too long, or names an unknown column.
    """
    if len(where) > MAXIMUM_FILTER:
        raise TMCIRError(f"the filter is longer than {MAXIMUM_FILTER:,} characters")
    try:
        # of the dialects, SQLite's quotes names in all the usual ways
        tree = sqlglot.parse_one(where, dialect="sqlite", into=sql.Condition)
        return _Translator(columns).condition(tree, negated=False)
    except (SqlglotError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else None
        raise _rejected(where, reason or first_line(error)) from None


class _Translator:
    def __init__(self, columns: Mapping[str, ColumnKind]) -> None:
        self._kinds: dict[str, ColumnKind] = {**columns, **dict.fromkeys(FIELDS, "text")}
        self._names = {name.lower(): name for name in self._kinds}

    def condition(self, node: sql.Expression, negated: bool) -> str:
        if node.args.get("negate"):  # as the parser marks NOT LIKE, but not NOT IN
            negated = not negated
        if isinstance(node, sql.Paren):
            return self.condition(node.this, negated)
        if isinstance(node, sql.Not):
            return self.condition(node.this, not negated)
        if isinstance(node, sql.And | sql.Or):
            left = self.condition(node.left, negated)
            right = self.condition(node.right, negated)
            word = "and" if isinstance(node, sql.And) is not negated else "or"
            return f"({left} {word} {right})"
        if isinstance(node, sql.Is):
            return self._null(node, negated)
        if isinstance(node, sql.In):
            return self._one_of(node, negated)
        if isinstance(node, sql.Between):
            return self._between(node, negated)
        if isinstance(node, sql.Like):
            name, field = self._column(node.this)
            pattern = self._value(name, node.expression)
            return self._existing(name, f"{field} like {pattern}", negated)
        if type(node) in _COMPARISONS:
            return self._comparison(node, negated)
        raise _rejected(node.sql(), "Milvus has nothing like it")

    def _comparison(self, node: sql.Expression, negated: bool) -> str:
        operator, left, right = _COMPARISONS[type(node)], node.this, node.expression
        if not isinstance(left, sql.Column):
            operator, left, right = _MIRRORED[operator], right, left
        return self._compare(left, operator, right, negated)

    def _compare(
        self, left: sql.Expression, operator: str, right: sql.Expression, negated: bool
    ) -> str:
        name, field = self._column(left)
        operator = _OPPOSITE[operator] if negated else operator
        return self._existing(name, f"{field} {operator} {self._value(name, right)}", False)

    def _one_of(self, node: sql.In, negated: bool) -> str:
        if not node.expressions:
            raise _rejected(node.sql(), "IN takes a list of values")
        word = " and " if negated else " or "
        each = (self._compare(node.this, "==", value, negated) for value in node.expressions)
        return f"({word.join(each)})"

    def _between(self, node: sql.Between, negated: bool) -> str:
        low = self._compare(node.this, ">=", node.args["low"], negated)
        high = self._compare(node.this, "<=", node.args["high"], negated)
        return f"({low} {'or' if negated else 'and'} {high})"

    def _null(self, node: sql.Is, negated: bool) -> str:
        if not isinstance(node.expression, sql.Null):
            raise _rejected(node.sql(), "only IS NULL and IS NOT NULL are known")
        name, field = self._column(node.this)
        if name in FIELDS:
            return 'id != ""' if negated else 'id == ""'
        return f"(exists {field})" if negated else f"(not (exists {field}))"

    def _existing(self, name: str, condition: str, negated: bool) -> str:
        condition = f"(not ({condition}))" if negated else condition
        if name in FIELDS:
            return condition
        return f'((exists metadata["{name}"]) and {condition})'

    def _column(self, node: sql.Expression) -> tuple[str, str]:
        if not isinstance(node, sql.Column):
            raise _rejected(node.sql(), "Milvus compares a column with a value, and nothing else")
        name = self._names.get(node.name.lower())
        if name is None:
            raise unknown_choice("filter column", node.name, self._kinds)
        return name, name if name in FIELDS else f'metadata["{name}"]'

    def _value(self, name: str, node: sql.Expression) -> str:
        kind = self._kinds[name]
        negative = isinstance(node, sql.Neg)
        literal = node.this if negative else node
        if not isinstance(literal, sql.Literal):
            raise _rejected(node.sql(), "Milvus compares a column with a value, and nothing else")
        if literal.is_string is not (kind == "text") or (negative and kind == "text"):
            raise _rejected(node.sql(), f"column {name!r} holds {kind} values")
        if kind == "text":
            return json.dumps(literal.this, ensure_ascii=False)
        number = float(literal.this) if kind == "number" else _whole(node, literal.this)
        return str(-number if negative else number)


def _whole(node: sql.Expression, digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise _rejected(node.sql(), "the column holds whole numbers") from None


def _rejected(where: str, reason: str) -> QueryError:
    shown = where if len(where) <= 120 else f"{where[:117]}..."
    return QueryError(f"the filter {shown!r} cannot be used on Milvus: {reason}")
