"""Errors of a request in words for the person who wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

from pydantic import BaseModel

_MAXIMUM_PROBLEMS = 10
_Context: TypeAlias = Mapping[str, Any]

# By pydantic's types of errors; other types keep pydantic's words.
_WORDS: dict[str, Callable[[_Context], str]] = {
    "missing": lambda _: "is missing",
    "model_attributes_type": lambda _: "must be an object, {...}",
    "model_type": lambda _: "must be an object, {...}",
    "dict_type": lambda _: "must be an object, {...}",
    "list_type": lambda _: "must be a list, [...]",
    "string_type": lambda _: "must be text",
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda context: f"has more than {context['max_length']:,} characters",
    "too_short": lambda context: f"needs at least {context['min_length']}",
    "too_long": lambda context: f"has more than {context['max_length']:,} entries",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "is too large a number",
    "float_type": lambda _: "must be a number",
    "float_parsing": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
    "literal_error": lambda context: f"must be one of {context['expected']}",
}


def describe(problems: Iterable[Mapping[str, Any]], model: type[BaseModel] | None = None) -> str:
    """List every invalid field of a request, without repeating its value.

    Args:
        problems: Errors as pydantic lists them; the first part of a place (``body``, ``query``) is
            not shown.
        model: The request's own type, whose fields are named where one is unknown.
    """
    lines: dict[str, None] = {}  # once each: every type of a union reports the same place
    for problem in problems:
        place = _place(problem)
        message = _message(problem, place, model)
        lines.setdefault(f"{'.'.join(place)}: {message}" if place else message)
    return "; ".join(list(lines)[:_MAXIMUM_PROBLEMS])


def _place(problem: Mapping[str, Any]) -> list[str]:
    parts = [*problem["loc"][1:]]
    if parts[0:1] == ["filters"] and "value" in parts:
        parts = parts[: parts.index("value") + 1]  # what follows are names of the union's types
    return [shown(part) for part in parts]


def _message(problem: Mapping[str, Any], place: list[str], model: type[BaseModel] | None) -> str:
    kind = problem["type"]
    if not place and kind == "missing":
        return "the request has no body"
    if not place and kind in ("model_attributes_type", "model_type", "dict_type"):
        return "the request must be a JSON object, {...}; is it encoded as JSON twice?"
    if kind == "extra_forbidden":
        return _unknown_field(place, model)
    if place[0:1] == ["filters"] and place[-1] == "value" and kind != "missing":
        return "must be a number, a text, or a list of them"
    if kind in _WORDS:
        return _WORDS[kind](problem.get("ctx", {}))
    return str(problem["msg"]).removeprefix("Value error, ")


def _unknown_field(place: list[str], model: type[BaseModel] | None) -> str:
    if len(place) != 1 or model is None:
        return "there is no such field"
    names = list(model.model_fields)
    near = get_close_matches(place[0], names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"there is no such field ({hint}fields: {', '.join(names)})"


def shown(part: object) -> str:
    """Return a piece of a place; an unknown key comes from the client and may be anything."""
    text = str(part)
    return text if len(text) <= 40 and text.isprintable() else "..."
