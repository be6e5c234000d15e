"""The words for attribute values that modification texts and descriptions share."""

from __future__ import annotations

from tmcir.rendered.garment import Garment
from tmcir.rendered.vocabulary import (
    Closure,
    Fit,
    GarmentKind,
    Length,
    Neckline,
    Pattern,
    Sleeve,
    Trim,
)

PLURAL_KINDS = ("trousers", "shorts")

PATTERN_NOUNS: dict[Pattern, tuple[str, ...]] = {
    "horizontal stripes": ("horizontal stripes",),
    "vertical stripes": ("vertical stripes",),
    "checks": ("checks", "a checked pattern"),
    "dots": ("dots", "polka dots"),
    "floral": ("flowers", "a floral pattern"),
    "graphic print": ("a graphic print", "a printed picture"),
}
PATTERN_ADJECTIVES: dict[Pattern, str] = {
    "solid": "plain",
    "horizontal stripes": "horizontally striped",
    "vertical stripes": "vertically striped",
    "checks": "checked",
    "dots": "dotted",
    "floral": "floral",
    "graphic print": "graphic",
}
# After a colour: "white stripes".
PATTERN_FIGURES: dict[Pattern, str] = {
    "horizontal stripes": "horizontal stripes",
    "vertical stripes": "vertical stripes",
    "checks": "checks",
    "dots": "dots",
    "floral": "flowers",
    "graphic print": "print",
}
# What is there already, after "the": "without the stripes".
PATTERN_GIVEN: dict[Pattern, str] = {
    "horizontal stripes": "stripes",
    "vertical stripes": "stripes",
    "checks": "checks",
    "dots": "dots",
    "floral": "flowers",
    "graphic print": "print",
}
SLEEVE_NOUNS: dict[Sleeve, str] = {"short": "short sleeves", "long": "long sleeves"}
NECKLINE_NOUNS: dict[Neckline, tuple[str, ...]] = {
    "crew": ("a crew neck", "a round neck"),
    "V": ("a V-neck", "a V-neckline"),
    "boat": ("a boat neck", "a wide boat neckline"),
    "turtleneck": ("a turtleneck", "a roll neck"),
    "collar": ("a collar", "a shirt collar"),
    "lapels": ("lapels", "wide lapels"),
}
LENGTH_ADJECTIVES: dict[Length, tuple[str, ...]] = {
    "short": ("short",),
    "knee": ("knee-length",),
    "long": ("long", "full-length"),
}
FIT_NOUNS: dict[Fit, tuple[str, ...]] = {
    "slim": ("a slim fit", "a slim cut"),
    "regular": ("a regular fit", "a straight cut"),
    "loose": ("a loose fit", "a wide cut"),
}
CLOSURE_NOUNS: dict[Closure, tuple[str, ...]] = {
    "buttons": ("buttons", "a button front", "buttons down the front"),
    "zip": ("a zip", "a zipper", "a zip down the front"),
}
TRIM_NOUNS: dict[Trim, tuple[str, ...]] = {
    "lace": ("lace trim", "lace edges", "lace"),
    "ruffle": ("ruffles", "ruffled edges"),
    "piping": ("contrast piping", "piping"),
    "embroidery": ("embroidery", "embroidered flowers"),
}
TRIM_GIVEN: dict[Trim, str] = {
    "lace": "lace",
    "ruffle": "ruffles",
    "piping": "piping",
    "embroidery": "embroidery",
}


def kind_with_article(kind: GarmentKind) -> str:
    """Return a kind as it follows a verb: ``a skirt``, ``trousers``."""
    return kind if kind in PLURAL_KINDS else f"a {kind}"


def article(noun: str) -> str:
    """Return a noun with "a" or "an" before it."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def definite(noun: str) -> str:
    """Return a noun with "the" in place of any "a"."""
    return f"the {noun.removeprefix('a ')}"


def has_legs(garment: Garment) -> bool:
    """Return whether its hem is at the end of legs."""
    return garment.kind in ("trousers", "shorts", "jumpsuit")


def joined(parts: list[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
