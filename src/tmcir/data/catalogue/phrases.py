"""Forms of texts that change one attribute or two, or exclude a value; your own by YAML.

In every form ``{new}`` and ``{old}`` stand for values, ``{column}`` for the column's name, and
``{kind}`` for the kind of thing in the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from tmcir.core.errors import TMCIRError, unknown_choice

FIELDS = ("old", "new", "kind", "column")
_SECTIONS = ("general", "columns", "not", "two", "flag")

GENERAL = (
    "in {new}",
    "{new}",
    "{new} instead of {old}",
    "the same {kind}, but {new}",
    "not {old}, but {new}",
    "like this, but {new}",
    "the same, but {new}",
    "the {new} one",
    "make it {new}",
    "I would like it {new}",
    "{new}, please",
    "change {old} to {new}",
    "with {column} {new}",
    "{column}: {new}",
    "{new} rather than {old}",
    "is {new}",
)
FLAG = (
    "{new}",
    "the same, but {new}",
    "like this, but {new}",
    "{new}, please",
    "this {kind}, but {new}",
    "I would like it {new}",
    "make it {new}",
    "one that is {new}",
)
BY_MEANING: dict[str, tuple[str, ...]] = {
    "colour": (
        "in {new}",
        "in {new}",
        "the same in {new}",
        "the same {kind} in {new}",
        "make it {new}",
        "is {new}",
        "is {new} and not {old}",
        "I would like it in {new}",
        "the {new} one",
        "in {new} rather than {old}",
        "{new} instead of {old}",
        "like this, but {new}",
        "change the colour to {new}",
        "not {old}, but {new}",
        "do you have it in {new}?",
        "a {new} {kind}",
    ),
    "size": (
        "in size {new}",
        "in {new}",
        "the same in size {new}",
        "size {new}",
        "{new} instead of {old}",
        "in size {new} instead of {old}",
        "do you have it in {new}?",
        "the same {kind} in size {new}",
    ),
    "material": (
        "in {new}",
        "made of {new}",
        "in {new} instead of {old}",
        "the same {kind} in {new}",
        "the same, but made of {new}",
        "{new}, not {old}",
        "is made of {new}",
        "a {new} {kind}",
        "the {new} one",
        "change the material to {new}",
        "I would like it in {new}",
    ),
    "gender": (
        "for {new}",
        "the same for {new}",
        "the same {kind} for {new}",
        "not for {old} but for {new}",
        "the {new} version",
        "something similar for {new}",
        "make it for {new}",
        "I need this for {new}",
        "like this one, for {new}",
        "do you have it for {new}?",
        "for {new} instead of {old}",
        "meant for {new}",
    ),
    "season": (
        "for {new}",
        "for {new} instead of {old}",
        "something like this for {new}",
        "the {new} version",
        "I need it for {new}",
        "more {new}",
    ),
    "style": (
        "more {new}",
        "in a {new} style",
        "something more {new}",
        "make it {new}",
        "make it more {new}",
        "a {new} one",
        "the same, but {new}",
        "is more {new}",
        "for {new} wear",
        "{new} instead of {old}",
        "less {old}, more {new}",
    ),
    "brand": (
        "by {new}",
        "from {new}",
        "the same from {new}",
        "the same {kind} by {new}",
        "{new} instead of {old}",
        "something like this by {new}",
        "do you have one by {new}?",
        "not {old}, but {new}",
    ),
    "pattern": (
        "make it {new}",
        "is {new}",
        "is {new} and not {old}",
        "a {new} one",
        "the same, {new}",
        "the same {kind}, but {new}",
        "with a {new} look",
        "{new}, please",
        "like this, but {new}",
        "I would like it {new}",
        "{new} rather than {old}",
        "{new} instead of {old}",
    ),
    "kind": (
        "{new} in the same style",
        "show me {new} like this",
        "the same as {new}",
        "make it {new}",
        "matching {new}",
        "not {old} but {new}",
        "I am looking for {new}",
        "{new} rather than {old}",
        "{new} instead of {old}",
        "is {new}",
        "similar {new}",
        "{new}",
    ),
    "flag": FLAG,
}
# One change of a text that asks for two.
SHORT = {
    "colour": "in {new}",
    "material": "made of {new}",
    "gender": "for {new}",
    "size": "in size {new}",
    "season": "for {new}",
    "style": "more {new}",
    "brand": "by {new}",
    "kind": "as {new}",
}
TWO = ("{first} and {second}", "{first}, {second}", "the same, but {first} and {second}")
NOT = ("not {old}", "anything but {old}", "no {old}, please", "the same, but not {old}")


@dataclass(frozen=True, slots=True)
class Phrases:
    """All forms of texts.

    Attributes:
        general: For columns of unknown meaning.
        meanings: By meaning, see ``words.MEANINGS``.
        columns: By the name of a column, in lower case; they replace all others.
        short: One change among two, by the name of a column in lower case.
        values: What a value is called, by column and value, both in lower case.
        shorts: One change among two, by meaning.
        two: Two changes; ``{first}`` and ``{second}``.
        without: Anything but ``{old}``.
    """

    general: tuple[str, ...] = GENERAL
    meanings: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: BY_MEANING)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    short: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shorts: Mapping[str, str] = field(default_factory=lambda: SHORT)
    two: tuple[str, ...] = TWO
    without: tuple[str, ...] = NOT

    def forms(self, column: str, meaning: str) -> tuple[str, ...]:
        """Return the forms of a column."""
        own = self.columns.get(column.casefold())
        return own if own is not None else self.meanings.get(meaning, self.general)

    def short_form(self, column: str, meaning: str) -> str:
        """Return the form for one change among two."""
        own = self.short.get(column.casefold())
        if own is None and column.casefold() in self.columns:
            own = next((one for one in self.columns[column.casefold()] if _only_new(one)), None)
        return own or self.shorts.get(meaning, "{new}")

    def value(self, column: str, value: str) -> str:
        """Return what a value is called."""
        return self.values.get(column.casefold(), {}).get(value.casefold(), value)


def read_phrases(path: str | Path) -> Phrases:
    """Read forms from a YAML file.

    ::

        general: ["{new}", "statt {old} lieber {new}"]
        columns:
          colour:
            forms: ["in {new}", "lieber {new}"]
            values: {red: rot, blue: blau}
        not: ["nicht {old}"]
        two: ["{first} und {second}"]

    Its forms replace those of this package; all others stay. ``general`` also replaces the forms of
    columns with a known meaning, because these are English.

    Raises:
        TMCIRError: The file is missing, is no such YAML, or a form has an unknown field.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TMCIRError(f"phrases {path}: {error}") from None
    except yaml.YAMLError as error:
        raise TMCIRError(f"phrases {path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise TMCIRError(f"phrases {path}: not a mapping of {', '.join(_SECTIONS)}")
    for section in content:
        if section not in _SECTIONS:
            raise TMCIRError(
                f"phrases {path}: {unknown_choice('section', str(section), _SECTIONS)}"
            )
    return _Reader(path, content).read()


@dataclass(frozen=True, slots=True)
class _Reader:
    path: str | Path
    content: Mapping[str, Any]

    def read(self) -> Phrases:
        phrases = Phrases()
        if "general" in self.content:
            forms = self._forms("general", self.content["general"], FIELDS)
            flags = {"flag": forms} if "flag" not in self.content else {}
            phrases = replace(phrases, general=forms, meanings=flags, shorts={})
        if "flag" in self.content:
            flags = {"flag": self._forms("flag", self.content["flag"], FIELDS)}
            phrases = replace(phrases, meanings={**phrases.meanings, **flags})
        if "not" in self.content:
            forms = self._forms("not", self.content["not"], FIELDS)
            phrases = replace(phrases, without=forms)
        if "two" in self.content:
            forms = self._forms("two", self.content["two"], ("first", "second"))
            phrases = replace(phrases, two=forms)
        return self._with_columns(phrases)

    def _with_columns(self, phrases: Phrases) -> Phrases:
        columns: dict[str, tuple[str, ...]] = {}
        short: dict[str, str] = {}
        values: dict[str, dict[str, str]] = {}
        for name, own in self._mapping("columns", self.content.get("columns", {})).items():
            place = f"columns.{name}"
            own = self._mapping(place, own)
            for key in own:
                if key not in ("forms", "short", "values"):
                    known = ("forms", "short", "values")
                    raise self._fault(place, str(unknown_choice("key", str(key), known)))
            if "forms" in own:
                columns[str(name).casefold()] = self._forms(f"{place}.forms", own["forms"], FIELDS)
            if "short" in own:
                (short[str(name).casefold()],) = self._forms(place, [own["short"]], FIELDS)
            renamed = self._mapping(f"{place}.values", own.get("values", {}))
            values[str(name).casefold()] = {
                str(value).casefold(): str(said) for value, said in renamed.items()
            }
        return replace(phrases, columns=columns, short=short, values=values)

    def _forms(self, place: str, given: Any, fields: Sequence[str]) -> tuple[str, ...]:
        if not isinstance(given, list) or not given:
            raise self._fault(place, "must be a list of texts")
        for form in given:
            if not isinstance(form, str) or not form.strip():
                raise self._fault(place, f"{form!r} is no text")
            try:
                names = [name for _, name, _, _ in Formatter().parse(form) if name is not None]
            except ValueError as error:
                raise self._fault(place, f"{form!r}: {error}") from None
            for name in names:
                if name not in fields:
                    valid = ", ".join(f"{{{one}}}" for one in fields)
                    raise self._fault(place, f"{form!r}: {{{name}}} is none of {valid}")
        return tuple(given)

    def _mapping(self, place: str, given: Any) -> Mapping[str, Any]:
        if not isinstance(given, dict):
            raise self._fault(place, "must be a mapping")
        return given

    def _fault(self, place: str, message: str) -> TMCIRError:
        return TMCIRError(f"phrases {self.path}: {place}: {message}")


def _only_new(form: str) -> bool:
    return {name for _, name, _, _ in Formatter().parse(form) if name} == {"new"}
