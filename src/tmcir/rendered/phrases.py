"""What one change can be called, in each of three grammatical forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tmcir.rendered import words
from tmcir.rendered.changes import Change
from tmcir.rendered.garment import Garment


@dataclass(frozen=True, slots=True)
class Phrases:
    """Ways to ask for one change.

    Attributes:
        modifiers: After a noun: ``in red``, ``with short sleeves``, ``without the belt``.
        predicates: After "it": ``is red``, ``has short sleeves``.
        commands: ``make it red``, ``shorten the sleeves``.
    """

    modifiers: tuple[str, ...]
    predicates: tuple[str, ...]
    commands: tuple[str, ...]


def phrases_of(change: Change, reference: Garment, target: Garment) -> Phrases:
    """Return the ways to ask for a change.

    Args:
        change: What to say. A change of the pattern names its colour where that is a second
            change: see `figures_in`.
        reference: What is changed; texts may name what it has.
        target: What results; only its kind and pattern choose words.
    """
    return _PHRASES[change.attribute](change, reference, target)


def figures_in(colour: str, target: Garment) -> Phrases:
    """Return the ways to ask for a new pattern and its colour at once: ``with white dots``."""
    noun = f"{colour} {words.PATTERN_FIGURES[target.pattern]}"
    noun = words.article(noun) if target.pattern == "graphic print" else noun
    return Phrases((f"with {noun}",), (f"has {noun}",), (f"give it {noun}", f"put {noun} on it"))


def _owning(
    nouns: tuple[str, ...], instead_of: str = "", verbs: tuple[str, ...] = ("give it", "add")
) -> Phrases:
    """Return the ways to ask for a part, with "instead of" where one is replaced."""
    swap = (f"with {nouns[0]} instead of {instead_of}",) if instead_of else ()
    exchange = (f"replace {instead_of} with {nouns[0]}",) if instead_of else ()
    return Phrases(
        (*(f"with {noun}" for noun in nouns), *swap),
        tuple(f"has {noun}" for noun in nouns),
        (*(f"{verb} {noun}" for noun in nouns for verb in verbs), *exchange),
    )


def _lacking(noun: str) -> Phrases:
    """Return the ways to ask that a part goes."""
    return Phrases(
        (f"without the {noun}", f"with no {noun}"),
        (f"has no {noun}", f"does not have the {noun}", f"comes without {noun}"),
        (f"remove the {noun}", f"leave out the {noun}", f"take off the {noun}"),
    )


def _being(adjectives: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(f"is {a}" for a in adjectives), tuple(f"make it {a}" for a in adjectives)


def _kind(change: Change, reference: Garment, target: Garment) -> Phrases:
    new, old = words.kind_with_article(change.value), words.kind_with_article(reference.kind)
    return Phrases(
        (f"as {new}", f"as {new} instead of {old}", f"in the form of {new}"),
        (f"is {new}", f"is {new} and not {old}"),
        (f"make it {new}", f"turn it into {new}", f"show me {new} like this"),
    )


def _colour(change: Change, reference: Garment, target: Garment) -> Phrases:
    new, old = change.value, reference.colour
    if target.pattern == "solid":
        return Phrases(
            (f"in {new}", f"in {new} instead of {old}", f"in {new} rather than {old}"),
            (f"is {new}", f"is {new} instead of {old}", f"comes in {new}", f"is {new} not {old}"),
            (f"make it {new}", f"change the colour to {new}", f"swap the {old} for {new}"),
        )
    return Phrases(
        (f"in {new}", f"with {words.article(new)} base", f"on {words.article(new)} ground"),
        (f"has {words.article(new)} base", f"is mainly {new}", f"is {new} instead of {old}"),
        (f"make the base {new}", f"change the {old} to {new}", f"swap the {old} for {new}"),
    )


def _second_colour(change: Change, reference: Garment, target: Garment) -> Phrases:
    noun = words.PATTERN_GIVEN[target.pattern]
    with_article = f"{change.value} {noun}"
    if noun == "print":
        with_article = words.article(with_article)
    return Phrases(
        (f"with {with_article}", f"with the {noun} in {change.value}"),
        (f"has {with_article}",),
        (f"make the {noun} {change.value}", f"change the {noun} to {change.value}"),
    )


def _pattern(change: Change, reference: Garment, target: Garment) -> Phrases:
    if change.predicate == "has not":
        return _lacking(words.PATTERN_GIVEN[reference.pattern])
    if change.value == "solid":
        is_plain, make_plain = _being(("plain", "all one colour", "solid"))
        return Phrases(
            ("in a solid colour", "in plain cloth", "without a pattern", "all in one colour"),
            (*is_plain, "has no pattern"),
            (*make_plain, "remove the pattern"),
        )
    nouns = words.PATTERN_NOUNS[target.pattern]
    if change.predicate == "has":
        found = _owning(nouns)
    else:
        found = _owning(nouns, f"the {words.PATTERN_GIVEN[reference.pattern]}", ("give it",))
    if target.pattern == "graphic print":
        return found
    is_adjective, make_adjective = _being((words.PATTERN_ADJECTIVES[target.pattern],))
    return Phrases(
        found.modifiers, (*found.predicates, *is_adjective), (*found.commands, *make_adjective)
    )


def _sleeve(change: Change, reference: Garment, target: Garment) -> Phrases:
    if change.predicate == "more" and reference.sleeve == "sleeveless":
        return Phrases(("with sleeves",), ("has sleeves",), ("add sleeves", "give it sleeves"))
    if change.predicate in ("more", "less"):
        adjective, verb = (
            ("longer", "lengthen") if change.predicate == "more" else ("shorter", "shorten")
        )
        return Phrases(
            (f"with {adjective} sleeves",),
            (f"has {adjective} sleeves",),
            (f"make the sleeves {adjective}", f"{verb} the sleeves"),
        )
    if change.value == "sleeveless":
        return Phrases(
            ("without sleeves", "with no sleeves"),
            ("is sleeveless", "has no sleeves"),
            ("make it sleeveless", "remove the sleeves"),
        )
    noun = words.SLEEVE_NOUNS[change.value]
    old = words.SLEEVE_NOUNS.get(reference.sleeve) if reference.sleeve else None
    found = _owning((noun,), f"the {old}" if old else "", ("give it",))
    return Phrases(
        found.modifiers, found.predicates, (*found.commands, f"make the sleeves {change.value}")
    )


def _neckline(change: Change, reference: Garment, target: Garment) -> Phrases:
    nouns = words.NECKLINE_NOUNS[change.value]
    old = words.definite(words.NECKLINE_NOUNS[reference.neckline][0]) if reference.neckline else ""
    return _owning(nouns, old, ("give it", "change it to have"))


def _length(change: Change, reference: Garment, target: Garment) -> Phrases:
    if change.predicate in ("more", "less"):
        adjective, verb = (
            ("longer", "lengthen") if change.predicate == "more" else ("shorter", "shorten")
        )
        noun = f"{adjective} legs" if words.has_legs(target) else f"a {adjective} hem"
        return Phrases(
            (f"in a {adjective} length", f"with {noun}", f"in a {adjective} cut"),
            (f"is {adjective}", f"has {noun}"),
            (f"make it {adjective}", f"{verb} it"),
        )
    adjectives = words.LENGTH_ADJECTIVES[change.value]
    is_so, make_so = _being(adjectives)
    return Phrases(tuple(f"in a {a} cut" for a in adjectives), is_so, make_so)


def _fit(change: Change, reference: Garment, target: Garment) -> Phrases:
    if change.predicate in ("more", "less"):
        adjectives = ("looser", "wider") if change.predicate == "more" else ("slimmer", "tighter")
        is_so, make_so = _being(adjectives)
        return Phrases(
            tuple(f"with a {a} fit" for a in adjectives),
            (*is_so, f"has a {adjectives[0]} fit"),
            make_so,
        )
    nouns = words.FIT_NOUNS[change.value]
    return Phrases(
        tuple(f"in {noun}" for noun in nouns),
        tuple(f"has {noun}" for noun in nouns),
        tuple(f"give it {noun}" for noun in nouns),
    )


def _closure(change: Change, reference: Garment, target: Garment) -> Phrases:
    if change.predicate == "has not":
        return _lacking(change.value)
    old = (
        ""
        if reference.closure == "none"
        else {"buttons": "the buttons", "zip": "the zip"}[reference.closure]
    )
    return _owning(words.CLOSURE_NOUNS[change.value], old)


def _trim(change: Change, reference: Garment, target: Garment) -> Phrases:
    if change.predicate == "has not":
        return _lacking(words.TRIM_GIVEN[change.value])
    old = "" if reference.trim == "none" else f"the {words.TRIM_GIVEN[reference.trim]}"
    return _owning(words.TRIM_NOUNS[change.value], old)


def _belt(change: Change, reference: Garment, target: Garment) -> Phrases:
    return _owning(("a belt",)) if change.predicate == "has" else _lacking("belt")


def _pockets(change: Change, reference: Garment, target: Garment) -> Phrases:
    return _owning(("pockets",)) if change.predicate == "has" else _lacking("pockets")


def _formality(change: Change, reference: Garment, target: Garment) -> Phrases:
    if change.predicate == "more":
        return Phrases(
            ("in a more formal style", "with a smarter look", "for a more formal occasion"),
            ("is more formal", "looks smarter", "is dressier", "is less casual"),
            ("make it more formal", "dress it up", "make it smarter"),
        )
    return Phrases(
        ("in a more casual style", "with a more relaxed look", "for a less formal occasion"),
        ("is more casual", "looks more relaxed", "is less formal", "is less dressy"),
        ("make it more casual", "dress it down", "make it less formal"),
    )


def _busyness(change: Change, reference: Garment, target: Garment) -> Phrases:
    if change.predicate == "more":
        return Phrases(
            ("with a busier look", "with more going on in the pattern", "in a busier design"),
            ("is busier", "has a busier design", "is less plain"),
            ("make it busier", "make the design busier"),
        )
    return Phrases(
        ("with a less busy look", "in a calmer design", "with less going on in the pattern"),
        ("is less busy", "has a calmer design", "is plainer"),
        ("make it less busy", "tone the pattern down", "make it plainer"),
    )


def _lightness(change: Change, reference: Garment, target: Garment) -> Phrases:
    adjective = "lighter" if change.predicate == "more" else "darker"
    if target.pattern == "solid":
        return Phrases(
            (f"in a {adjective} colour", f"in something {adjective}"),
            (f"is {adjective}", f"is {adjective} in colour", f"has a {adjective} colour"),
            (f"make it {adjective}", f"make the colour {adjective}"),
        )
    return Phrases(
        (f"with a {adjective} base colour", f"on a {adjective} ground"),
        (f"has a {adjective} base colour", f"has a {adjective} ground"),
        (f"make the base colour {adjective}",),
    )


_PHRASES: dict[str, Callable[[Change, Garment, Garment], Phrases]] = {
    "kind": _kind,
    "colour": _colour,
    "second_colour": _second_colour,
    "pattern": _pattern,
    "sleeve": _sleeve,
    "neckline": _neckline,
    "length": _length,
    "fit": _fit,
    "closure": _closure,
    "trim": _trim,
    "belt": _belt,
    "pockets": _pockets,
    "formality": _formality,
    "busyness": _busyness,
    "lightness": _lightness,
}
