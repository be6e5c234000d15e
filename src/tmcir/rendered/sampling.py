"""Random garments, and random edits of a garment that stay valid."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from tmcir.rendered.garment import Garment, second_colours
from tmcir.rendered.palette import COLOURS
from tmcir.rendered.vocabulary import ATTRIBUTES, KINDS, values_of

# Plain things are more common than decorated ones, as in a shop.
_WEIGHTS: dict[Any, float] = {"solid": 3.0, "none": 3.0, False: 2.0, "regular": 1.5}
# The order of sampling: an attribute comes before those whose choices depend on it.
_ORDER = ("kind", "colour", "pattern", "second_colour")


def sample_garment(generator: random.Random, **fixed: Any) -> Garment:
    """Sample a valid garment.

    Args:
        generator: Random generator.
        fixed: Values of some attributes, such as ``kind="dress"``.

    Raises:
        TMCIRError: No garment has these values together.
    """
    return _complete(generator, fixed, {})


def edit_garment(garment: Garment, generator: random.Random, **values: Any) -> Garment:
    """Return a garment with other values; its other attributes stay where the new values allow.

    Attributes that the new values exclude (a skirt has no sleeves) or add (dots have a colour) are
    sampled.

    Raises:
        TMCIRError: No garment has these values together.
    """
    kept = {name: garment.value(name) for name in ATTRIBUTES if name not in values}
    return _complete(generator, values, kept)


def random_edit(
    garment: Garment,
    generator: random.Random,
    changes: int = 1,
    attributes: Sequence[str] = ATTRIBUTES,
) -> Garment:
    """Return a garment that differs in one to ``changes`` random ones of some attributes.

    Attributes that depend on these, such as the colour of new dots, may differ as well.
    """
    able = [name for name in attributes if len(garment.choices(name)) > 1]
    chosen = generator.sample(able, min(changes, len(able)))
    edited = garment
    for name in sorted(chosen, key=ATTRIBUTES.index):
        others = [value for value in edited.choices(name) if value != edited.value(name)]
        if others:  # an earlier edit may have left no choice
            edited = edit_garment(edited, generator, **{name: _choose(generator, others)})
    return edited


def _complete(
    generator: random.Random, fixed: Mapping[str, Any], kept: Mapping[str, Any]
) -> Garment:
    values: dict[str, Any] = dict(fixed)
    for name in (*_ORDER, *(name for name in ATTRIBUTES if name not in _ORDER)):
        if name in values:
            continue
        choices = _choices(name, values)
        old = kept.get(name)
        values[name] = old if name in kept and old in choices else _choose(generator, choices)
    return Garment(**values)


def _choices(name: str, values: Mapping[str, Any]) -> Sequence[Any]:
    if name == "kind":
        return KINDS
    if name == "colour":
        return COLOURS
    if name == "second_colour":
        return second_colours(values["colour"], values["pattern"])
    return values_of(values["kind"], name)


def _choose(generator: random.Random, choices: Sequence[Any]) -> Any:
    weights = [_WEIGHTS.get(value, 1.0) for value in choices]
    return generator.choices(choices, weights)[0]
