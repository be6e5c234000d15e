"""Checking an SQL condition before a store reads it: its brackets, and the kinds of its values.

LanceDB reads the first complete condition and ignores what follows, so that one extra bracket would
silently drop the rest of a filter. Doubtful conditions are passed on to the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tmcir.core.errors import TMCIRError
from tmcir.gallery.stores.base import ColumnKind

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>`(?:[^`]|``)*`|"(?:[^"]|"")*"|[^\W\d]\w*)
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<operator><=|>=|<>|!=|==|=|<|>)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_HOLDS: dict[ColumnKind, str] = {
    "integer": "whole numbers",
    "number": "numbers",
    "text": "text",
}


class _Token(NamedTuple):
    kind: str
    text: str

    def is_word(self, *words: str) -> bool:
        return self.kind == "name" and self.text.lower() in words


def check_where(where: str, columns: Mapping[str, ColumnKind]) -> None:
    """Check brackets and values of an SQL condition.

    Args:
        where: The condition.
        columns: All columns that it may name, with their kinds.

    Raises:
        TMCIRError: Its brackets do not fit, or a column is compared with a value of another kind.
            One line without the condition itself.
    """
    tokens = list(_tokens(where))
    _check_brackets(tokens)
    kinds = {name.lower(): (name, kind) for name, kind in columns.items()}
    for place, token in enumerate(tokens):
        if token.kind == "name":
            named = kinds.get(_unquoted(token.text).lower())
            if named is not None:
                for value in _values_beside(tokens, place):
                    _check_value(*named, value)


def _tokens(where: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(where):
        kind = match.lastgroup or "other"
        if kind != "blank":
            yield _Token(kind, match[0])


def _check_brackets(tokens: Sequence[_Token]) -> None:
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth < 0:
            raise TMCIRError("a closing bracket ')' has no opening one before it")
    if depth:
        raise TMCIRError("an opening bracket '(' is not closed")


def _values_beside(tokens: Sequence[_Token], place: int) -> Iterator[_Token]:
    """Yield the values that the column at a place is compared with."""
    after = tokens[place + 1 :]
    if len(after) > 1 and after[0].kind == "operator":
        yield after[1]
    negated = bool(after) and after[0].is_word("not")
    word, rest = (after[1:2], after[2:]) if negated else (after[:1], after[1:])
    if word and word[0].is_word("in") and rest[:1] and rest[0].text == "(":
        for token in rest[1:]:
            if token.text == ")":
                break
            yield token
    if word and word[0].is_word("between") and len(rest) > 2:
        yield rest[0]
        if rest[1].is_word("and"):
            yield rest[2]
    if place > 1 and tokens[place - 1].kind == "operator":
        yield tokens[place - 2]


def _check_value(name: str, kind: ColumnKind, value: _Token) -> None:
    if kind == "text" and value.kind == "number":
        raise TMCIRError(f"column {name!r} holds text: write '{value.text.lstrip('+')}'")
    if kind != "text" and value.kind == "text":
        number = re.search(r"[+-]?\d+(\.\d+)?", value.text.replace(",", "."))
        example = number[0] if number else "a number"
        if kind == "integer":
            example = example.partition(".")[0]
        raise TMCIRError(f"column {name!r} holds {_HOLDS[kind]}: write {example}")
    if kind == "integer" and value.kind == "number" and re.search(r"[.eE]", value.text):
        whole = value.text.partition(".")[0].lstrip("+")
        if not whole.isdecimal() or float(value.text) != float(whole):
            raise TMCIRError(f"column {name!r} holds whole numbers: write {whole or 0}")


def _unquoted(name: str) -> str:
    quote = name[0]
    return name[1:-1].replace(2 * quote, quote) if quote in '`"' else name
