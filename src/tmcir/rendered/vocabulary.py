"""The values that a garment's attributes can have, and which of them each kind of garment has."""

from __future__ import annotations

from typing import Any, Literal, get_args

from tmcir.core.errors import unknown_choice
from tmcir.rendered.palette import COLOURS

GarmentKind = Literal[
    "dress",
    "skirt",
    "shirt",
    "T-shirt",
    "blouse",
    "sweater",
    "cardigan",
    "hoodie",
    "jacket",
    "coat",
    "jumpsuit",
    "trousers",
    "shorts",
]
Pattern = Literal[
    "solid", "horizontal stripes", "vertical stripes", "checks", "dots", "floral", "graphic print"
]
Sleeve = Literal["sleeveless", "short", "long"]
Neckline = Literal["crew", "V", "boat", "turtleneck", "collar", "lapels"]
Length = Literal["short", "knee", "long"]
Fit = Literal["slim", "regular", "loose"]
Closure = Literal["none", "buttons", "zip"]
Trim = Literal["none", "lace", "ruffle", "piping", "embroidery"]

KINDS: tuple[GarmentKind, ...] = get_args(GarmentKind)
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
SLEEVES: tuple[Sleeve, ...] = get_args(Sleeve)
NECKLINES: tuple[Neckline, ...] = get_args(Neckline)
LENGTHS: tuple[Length, ...] = get_args(Length)
FITS: tuple[Fit, ...] = get_args(Fit)
CLOSURES: tuple[Closure, ...] = get_args(Closure)
TRIMS: tuple[Trim, ...] = get_args(Trim)

ATTRIBUTES = (
    "kind",
    "colour",
    "pattern",
    "second_colour",
    "sleeve",
    "neckline",
    "length",
    "fit",
    "closure",
    "trim",
    "belt",
    "pockets",
)

# Parts that a garment has at one place, unlike its kind, colour, pattern and cut.
LOCAL = ("sleeve", "neckline", "length", "closure", "trim", "belt", "pockets")

VOCABULARIES: dict[str, tuple[Any, ...]] = {
    "kind": KINDS,
    "colour": COLOURS,
    "pattern": PATTERNS,
    "second_colour": (None, *COLOURS),
    "sleeve": (None, *SLEEVES),
    "neckline": (None, *NECKLINES),
    "length": (None, *LENGTHS),
    "fit": FITS,
    "closure": CLOSURES,
    "trim": TRIMS,
    "belt": (False, True),
    "pockets": (False, True),
}

# An attribute that a kind does not list has one value there, the first of these.
_ABSENT: dict[str, tuple[Any, ...]] = {
    "sleeve": (None,),
    "neckline": (None,),
    "length": (None,),
    "closure": ("none",),
    "trim": ("none",),
    "belt": (False,),
    "pockets": (False,),
}
_EITHER = (False, True)
_TEXTILE = tuple(name for name in PATTERNS if name != "graphic print")
_EDGINGS: tuple[Trim, ...] = ("none", "piping", "embroidery", "ruffle")

_OWN: dict[GarmentKind, dict[str, tuple[Any, ...]]] = {
    "dress": {
        "pattern": PATTERNS,
        "sleeve": SLEEVES,
        "neckline": ("crew", "V", "boat", "turtleneck", "collar"),
        "length": LENGTHS,
        "closure": CLOSURES,
        "trim": TRIMS,
        "belt": _EITHER,
        "pockets": _EITHER,
    },
    "skirt": {
        "pattern": PATTERNS,
        "length": LENGTHS,
        "closure": CLOSURES,
        "trim": TRIMS,
        "belt": _EITHER,
        "pockets": _EITHER,
    },
    "shirt": {
        "sleeve": ("short", "long"),
        "neckline": ("collar",),
        "closure": ("buttons",),
        "trim": _EDGINGS,
        "pockets": _EITHER,
    },
    "T-shirt": {
        "pattern": PATTERNS,
        "sleeve": SLEEVES,
        "neckline": ("crew", "V", "boat"),
        "trim": ("none", "lace", "piping", "embroidery"),
        "pockets": _EITHER,
    },
    "blouse": {
        "sleeve": SLEEVES,
        "neckline": ("crew", "V", "boat", "collar"),
        "closure": ("none", "buttons"),
        "trim": TRIMS,
    },
    "sweater": {
        "pattern": PATTERNS,
        "sleeve": SLEEVES,
        "neckline": ("crew", "V", "boat", "turtleneck"),
        "trim": ("none", "piping", "embroidery"),
    },
    "cardigan": {
        "sleeve": ("short", "long"),
        "neckline": ("crew", "V"),
        "closure": ("buttons", "zip"),
        "trim": _EDGINGS,
        "belt": _EITHER,
        "pockets": _EITHER,
    },
    "hoodie": {
        "pattern": PATTERNS,
        "sleeve": SLEEVES,
        "closure": ("none", "zip"),
        "trim": ("none", "piping", "embroidery"),
        "pockets": _EITHER,
    },
    "jacket": {
        "sleeve": ("long",),
        "neckline": ("crew", "collar", "lapels"),
        "closure": ("buttons", "zip"),
        "trim": ("none", "piping", "embroidery"),
        "belt": _EITHER,
        "pockets": _EITHER,
    },
    "coat": {
        "sleeve": ("long",),
        "neckline": ("crew", "collar", "lapels"),
        "length": LENGTHS,
        "closure": ("buttons", "zip"),
        "trim": ("none", "piping", "embroidery"),
        "belt": _EITHER,
        "pockets": _EITHER,
    },
    "jumpsuit": {
        "sleeve": SLEEVES,
        "neckline": ("crew", "V", "boat", "turtleneck", "collar"),
        "length": LENGTHS,
        "closure": CLOSURES,
        "trim": _EDGINGS,
        "belt": _EITHER,
        "pockets": _EITHER,
    },
    "trousers": {
        "length": ("knee", "long"),
        "trim": ("none", "piping", "embroidery"),
        "belt": _EITHER,
        "pockets": _EITHER,
    },
    "shorts": {
        "trim": TRIMS,
        "belt": _EITHER,
        "pockets": _EITHER,
    },
}

KIND_FORMALITY: dict[GarmentKind, int] = {
    "hoodie": 0,
    "T-shirt": 1,
    "shorts": 1,
    "sweater": 2,
    "cardigan": 3,
    "jumpsuit": 3,
    "skirt": 4,
    "trousers": 4,
    "blouse": 5,
    "dress": 5,
    "shirt": 5,
    "jacket": 5,
    "coat": 6,
}
PART_FORMALITY: dict[str, int] = {
    "collar": 2,
    "lapels": 3,
    "turtleneck": 1,
    "V": 1,
    "buttons": 1,
    "solid": 3,
    "vertical stripes": 2,
    "checks": 1,
    "graphic print": -2,
    "slim": 1,
    "loose": -1,
}
BUSYNESS: dict[Pattern, int] = {
    "solid": 0,
    "graphic print": 1,
    "horizontal stripes": 2,
    "vertical stripes": 2,
    "dots": 3,
    "checks": 4,
    "floral": 5,
}

# Attributes that follow from others, and from which; the kind counts too, but a change of formality
# leaves the kind as it is.
DERIVED: dict[str, tuple[str, ...]] = {
    "formality": ("neckline", "closure", "pattern", "fit"),
    "busyness": ("pattern",),
    "lightness": ("colour",),
}

# Whose values decide what an attribute may be.
GOVERNED: dict[str, tuple[str, ...]] = {
    "kind": tuple(name for name in ATTRIBUTES if name not in ("kind", "colour", "fit")),
    "pattern": ("second_colour",),
    "colour": ("second_colour",),
}


def values_of(kind: GarmentKind, attribute: str) -> tuple[Any, ...]:
    """Return the values that an attribute may have on a kind of garment.

    ``second_colour`` depends on colour and pattern instead: see `garment.second_colours`.

    Raises:
        TMCIRError: There is no such attribute.
    """
    if attribute not in VOCABULARIES:
        raise unknown_choice("attribute", attribute, ATTRIBUTES)
    if attribute == "kind":
        return KINDS
    own = _OWN[kind]
    if attribute in own:
        return own[attribute]
    if attribute == "pattern":
        return _TEXTILE
    return _ABSENT.get(attribute, VOCABULARIES[attribute])
