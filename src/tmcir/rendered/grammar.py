"""Modification texts: the differences of two garments in many wordings, all of them true.

A text is made in two steps. The first chooses what to ask for: a colour may be named or only be
called darker, a part may be added, removed or replaced. The second turns each of these changes into
a phrase, and the phrases into a sentence.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tmcir.core.errors import TMCIRError
from tmcir.rendered.changes import Change, differences, is_answer
from tmcir.rendered.garment import Garment
from tmcir.rendered.phrases import Phrases, figures_in, phrases_of
from tmcir.rendered.typos import misspell
from tmcir.rendered.words import joined

_FORMALITY_SHARE = 0.4
_NAMED_FIGURES_SHARE = 0.5
_MERGED_SHARE = 0.6
_SHARED = ("with ", "has ", "is ", "in ", "give it ", "add ", "make it ")
_NOTHING = {"closure": "none", "trim": "none", "belt": False, "pockets": False, "pattern": "solid"}
# The comparison that can replace an attribute's value.
_RELATIVE = {
    "sleeve": "sleeve",
    "length": "length",
    "fit": "fit",
    "colour": "lightness",
    "pattern": "busyness",
}
# After these, a text without the repeated word would be ambiguous: "is red instead of blue and
# long", "with no pockets and buttons".
_AMBIGUOUS = (" instead of ", " rather than ", " not ", " no ")

_MODIFIER_FRAMES = (
    "{}",
    "{}",
    "the same {}",
    "the same but {}",
    "like this but {}",
    "like this, {}",
    "this one {}",
    "I would like it {}",
    "do you have it {}?",
    "something like this {}",
)
_PREDICATE_FRAMES = (
    "{}",
    "{}",
    "{}",
    "it {}",
    "the one I want {}",
    "one that {}",
    "similar but {}",
    "find one that {}",
)
_COMMAND_FRAMES = (
    "{}",
    "{}",
    "please {}",
    "can you {}?",
    "{}, please",
    "take this and {}",
    "keep the rest but {}",
)


@dataclass(frozen=True, slots=True)
class Modification:
    """A text and what it asks for."""

    text: str
    changes: tuple[Change, ...]


def modify(
    reference: Garment,
    target: Garment,
    generator: random.Random,
    typos: float = 0.0,
    formality: bool = True,
) -> Modification:
    """Return a text that leads from one garment to another.

    Args:
        reference: What the text changes.
        target: What the text asks for; it satisfies all changes and otherwise equals the reference.
        generator: Random generator.
        typos: Share of the longer words that are misspelt.
        formality: Whether a text may say "more formal" in place of the parts that differ.

    Raises:
        TMCIRError: The two garments are alike.
    """
    changes = choose_changes(reference, target, generator, formality)
    text = say(changes, reference, target, generator)
    return Modification(misspell(text, generator, typos), changes)


def choose_changes(
    reference: Garment, target: Garment, generator: random.Random, formality: bool = True
) -> tuple[Change, ...]:
    """Return what to ask for, so that the target is an answer and the reference is none.

    Raises:
        TMCIRError: The two garments are alike.
    """
    if reference == target:
        raise TMCIRError("two garments that are alike have no difference to put into words")
    style = _compared("formality", reference, target) if formality else []
    if style and is_answer(reference, style, target) and generator.random() < _FORMALITY_SHARE:
        return tuple(style)
    changes = [
        generator.choice(_options(attribute, reference, target))
        for attribute in differences(reference, target)
    ]
    if _has_new_figures(reference, target, changes) and generator.random() < _NAMED_FIGURES_SHARE:
        changes.append(Change("second_colour", "equals", target.second_colour))
    return tuple(generator.sample(changes, len(changes)))


def say(
    changes: Sequence[Change], reference: Garment, target: Garment, generator: random.Random
) -> str:
    """Return one text for these changes."""
    units = _units(changes, reference, target)
    form, frames = generator.choice(
        (
            ("modifiers", _MODIFIER_FRAMES),
            ("predicates", _PREDICATE_FRAMES),
            ("commands", _COMMAND_FRAMES),
        )
    )
    parts = [generator.choice(getattr(unit, form)) for unit in units]
    if generator.random() < _MERGED_SHARE:
        parts = _merged(parts)
    return generator.choice(frames).format(joined(parts))


def _options(attribute: str, reference: Garment, target: Garment) -> list[Change]:
    """Return the ways to ask for the target's value of one attribute."""
    old, new = reference.value(attribute), target.value(attribute)
    options = [Change(attribute, "equals", new)]
    if attribute in _NOTHING:
        if new == _NOTHING[attribute]:
            options = [Change(attribute, "has not", old)]
        elif old == _NOTHING[attribute]:
            options = [Change(attribute, "has", new)]
    if attribute == "pattern" and new == "solid":
        options.append(Change(attribute, "equals", "solid"))
    if attribute in _RELATIVE:
        options += _compared(_RELATIVE[attribute], reference, target)
    # Where the figures also change their colour, the pattern has to be named.
    if "second_colour" in differences(reference, target):
        options = [change for change in options if change.attribute != "busyness"]
    return options


def _compared(attribute: str, reference: Garment, target: Garment) -> list[Change]:
    """Return the one comparison that leads to the target, if there is one."""
    changes = (Change(attribute, "more"), Change(attribute, "less"))
    return [change for change in changes if change.satisfied_by(reference, target)]


def _has_new_figures(reference: Garment, target: Garment, changes: Sequence[Change]) -> bool:
    """Return whether a text names a pattern and may, but need not, name its new colour too."""
    named = {change.attribute: change for change in changes}
    return (
        "pattern" in named
        and target.second_colour is not None
        and target.second_colour != reference.second_colour
        and "second_colour" not in named
    )


def _units(changes: Sequence[Change], reference: Garment, target: Garment) -> list[Phrases]:
    """Return the phrases of each change; a new pattern and its colour are said in one."""
    named = {change.attribute: change for change in changes}
    together = "pattern" in named and "second_colour" in named
    units = []
    for change in changes:
        if together and change.attribute == "pattern":
            units.append(figures_in(named["second_colour"].value, target))
        elif not (together and change.attribute == "second_colour"):
            units.append(phrases_of(change, reference, target))
    return units


def _merged(parts: list[str]) -> list[str]:
    """Drop repeated words: ``with a belt and (with) pockets``, ``is red and (is) long``."""
    merged = parts[:1]
    for previous, part in pairwise(parts):
        shared = next((w for w in _SHARED if part.startswith(w) and previous.startswith(w)), "")
        if any(word in f" {previous} " for word in _AMBIGUOUS):
            shared = ""
        merged.append(part.removeprefix(shared))
    return merged
