"""Texts that describe a garment, to learn which words belong to which picture."""

from __future__ import annotations

import random

from tmcir.rendered import words
from tmcir.rendered.garment import Garment
from tmcir.rendered.words import joined


def describe(garment: Garment, generator: random.Random) -> tuple[str, ...]:
    """Return several true descriptions: a name, all parts in words, some parts, a shop's list."""
    name = f"{garment.colour} {garment.kind}"
    parts = _parts(garment, generator)
    some = generator.sample(parts, min(2, len(parts)))
    adjective = words.PATTERN_ADJECTIVES[garment.pattern]
    length = _length_word(garment, generator)
    full = f"{length}{name}"
    if garment.kind not in words.PLURAL_KINDS:
        full = words.article(full)
    texts = [
        _with(name, _figures(garment)),
        _with(full, [*_figures(garment), *parts]),
        _with(f"{adjective} {name}", some),
        f"{garment.kind} in {garment.colour}, {', '.join([adjective, *_tags(garment)])}",
    ]
    return tuple(dict.fromkeys(texts))


def _with(noun: str, parts: list[str]) -> str:
    return f"{noun} with {joined(parts)}" if parts else noun


def _length_word(garment: Garment, generator: random.Random) -> str:
    if garment.length is None:
        return ""
    return f"{generator.choice(words.LENGTH_ADJECTIVES[garment.length])} "


def _figures(garment: Garment) -> list[str]:
    """Return the pattern with its colour, such as ``white dots``; nothing for solid cloth."""
    if garment.pattern == "solid":
        return []
    noun = f"{garment.second_colour} {words.PATTERN_FIGURES[garment.pattern]}"
    return [words.article(noun) if garment.pattern == "graphic print" else noun]


def _parts(garment: Garment, generator: random.Random) -> list[str]:
    """Return the parts of a garment, as nouns that follow "with"."""
    found = []
    if garment.sleeve is not None:
        found.append(words.SLEEVE_NOUNS.get(garment.sleeve, "no sleeves"))
    if garment.neckline is not None:
        found.append(generator.choice(words.NECKLINE_NOUNS[garment.neckline]))
    found.append(generator.choice(words.FIT_NOUNS[garment.fit]))
    if garment.closure != "none":
        found.append(generator.choice(words.CLOSURE_NOUNS[garment.closure]))
    if garment.trim != "none":
        found.append(generator.choice(words.TRIM_NOUNS[garment.trim]))
    if garment.belt:
        found.append("a belt")
    if garment.pockets:
        found.append("pockets")
    return found


def _tags(garment: Garment) -> list[str]:
    """Return tags as a shop lists them."""
    tags = [f"{garment.fit} fit"]
    if garment.sleeve is not None:
        tags.append(words.SLEEVE_NOUNS.get(garment.sleeve, "sleeveless"))
    if garment.length is not None:
        tags.append(words.LENGTH_ADJECTIVES[garment.length][0])
    if garment.belt:
        tags.append("belt")
    if garment.pockets:
        tags.append("pockets")
    return tags
