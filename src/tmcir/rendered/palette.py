"""The named colours of garments and the shades that a name covers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

Colour = Literal[
    "black",
    "grey",
    "white",
    "beige",
    "brown",
    "burgundy",
    "red",
    "pink",
    "orange",
    "yellow",
    "olive",
    "green",
    "teal",
    "light blue",
    "blue",
    "navy",
    "purple",
    "lilac",
]
COLOURS: tuple[Colour, ...] = get_args(Colour)


@dataclass(frozen=True, slots=True)
class RGB:
    """A colour on the screen; each channel in [0, 1]."""

    red: float
    green: float
    blue: float

    @classmethod
    def parse(cls, text: str) -> RGB:
        """Read ``#rrggbb``."""
        return cls(*(int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)))

    def mix(self, other: RGB, share: float) -> RGB:
        """Return this colour with a share in [0, 1] of another."""
        return RGB(
            self.red + (other.red - self.red) * share,
            self.green + (other.green - self.green) * share,
            self.blue + (other.blue - self.blue) * share,
        )

    @property
    def brightness(self) -> float:
        """How bright it looks, in [0, 1]: luma by Rec. 601."""
        return 0.299 * self.red + 0.587 * self.green + 0.114 * self.blue

    def distance(self, other: RGB) -> float:
        """Return how different two colours look: 0 for equal ones, 1 for black and white.

        The "redmean" weighting, which follows the eye better than plain RGB does.
        """
        mean = (self.red + other.red) / 2
        red, green, blue = (
            self.red - other.red,
            self.green - other.green,
            self.blue - other.blue,
        )
        total = (2 + mean) * red**2 + 4 * green**2 + (3 - mean) * blue**2
        return float((total / 9) ** 0.5)

    def __str__(self) -> str:
        channels = (self.red, self.green, self.blue)
        return "#" + "".join(f"{round(255 * min(max(c, 0.0), 1.0)):02x}" for c in channels)


BLACK = RGB(0.0, 0.0, 0.0)
WHITE = RGB(1.0, 1.0, 1.0)
INK = RGB.parse("#15131a")

# The darkest, the usual and the lightest shade.
_SHADES: dict[Colour, tuple[str, str, str]] = {
    "black": ("#19191b", "#232326", "#2e2d31"),
    "grey": ("#7f8388", "#90949a", "#a1a3a7"),
    "white": ("#f1f0ee", "#f7f6f3", "#fdfdfc"),
    "beige": ("#cfb894", "#d9c5a4", "#e0d1b6"),
    "brown": ("#5a3a25", "#6b452c", "#7a5236"),
    "burgundy": ("#55111f", "#671627", "#761c31"),
    "red": ("#b5161d", "#cc1f26", "#dd2f32"),
    "pink": ("#ec8fae", "#f2a0bb", "#f6b3c8"),
    "orange": ("#e06a14", "#ee7a1e", "#f48a33"),
    "yellow": ("#ecc21f", "#f5d033", "#f9da55"),
    "olive": ("#626a2c", "#6f7735", "#7d8442"),
    "green": ("#1c7a3c", "#258c48", "#359a56"),
    "teal": ("#0f6f74", "#14807f", "#21908e"),
    "light blue": ("#96c2e6", "#a6cdec", "#b6d7f0"),
    "blue": ("#1f4fbe", "#2a5fd0", "#3d71dc"),
    "navy": ("#141d42", "#1a2550", "#232f5e"),
    "purple": ("#5b2c8a", "#6a369c", "#7945a9"),
    "lilac": ("#b59ad8", "#c0a8e0", "#cbb7e7"),
}

# What "darker" and "lighter" compare. Two colours on one level look about equally dark, so neither
# is called darker; between two levels every shade of the one is darker than every shade of the
# other.
LEVELS: tuple[tuple[Colour, ...], ...] = (
    ("black", "navy", "burgundy"),
    ("brown", "purple", "red", "olive", "blue", "teal", "green"),
    ("grey", "orange"),
    ("pink", "lilac", "light blue", "beige", "yellow"),
    ("white",),
)
_LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}

# Below this distance a pattern does not stand out from its ground on a thumbnail.
_MIN_CONTRAST = 0.33


def shade_of(colour: Colour, shade: float) -> RGB:
    """Return a shade of a named colour, from the darkest at 0 to the lightest at 1."""
    dark, usual, light = (RGB.parse(text) for text in _SHADES[colour])
    if shade < 0.5:
        return dark.mix(usual, 2 * shade)
    return usual.mix(light, 2 * shade - 1)


def lightness_of(colour: Colour) -> int:
    """Return the level that "darker" and "lighter" compare: 0 is darkest."""
    return _LEVEL_OF[colour]


@cache
def contrasting(colour: Colour) -> tuple[Colour, ...]:
    """Return the colours in which a pattern stands out from this one."""
    ground = shade_of(colour, 0.5)
    return tuple(
        other for other in COLOURS if ground.distance(shade_of(other, 0.5)) > _MIN_CONTRAST
    )
