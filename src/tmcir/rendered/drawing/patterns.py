"""What is woven into or printed on the cloth, as SVG fills."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tmcir.rendered.drawing.geometry import Line, Pen, Point
from tmcir.rendered.drawing.paint import filled
from tmcir.rendered.palette import RGB
from tmcir.rendered.vocabulary import Pattern

_LEAF = RGB.parse("#3f7f4a")
_PALE_LEAF = RGB.parse("#9cc49a")
_YOLK = RGB.parse("#f7d35c")
_AMBER = RGB.parse("#c9702b")


@dataclass(frozen=True, slots=True)
class Ground:
    """Cloth that a pattern lies on.

    Attributes:
        colour: The cloth.
        second: The colour of the pattern.
        repeat: The usual distance from one figure to the next, in centimetres.
        start: Upper left corner of what must be covered, before it is turned.
        end: Lower right corner.
        turn: Unit vector along which "right" lies on this part.
    """

    colour: RGB
    second: RGB
    repeat: float
    start: Point
    end: Point
    turn: Point

    def places(self, width: float, height: float) -> Iterator[tuple[int, int, Point]]:
        """Yield row, column and upper left corner of every cell, given a cell's size in repeats."""
        across, down = width * self.repeat, height * self.repeat
        first, last = int(self.start.imag // down), int(self.end.imag // down)
        left, right = int(self.start.real // across), int(self.end.real // across)
        for row in range(first, last + 1):
            for column in range(left, right + 1):
                yield row, column, complex(column * across, row * down)


def weave(pattern: Pattern, ground: Ground, pen: Pen) -> str:
    """Return a pattern that covers a part of cloth and must be clipped to it.

    Nothing for solid cloth, and for graphic prints, whose picture is drawn once: see `motif`.
    """
    if pattern in ("solid", "graphic print"):
        return ""
    return _WEAVES[pattern](ground, pen)


def motif(centre: Point, size: float, second: RGB, ground: RGB, seed: int, pen: Pen) -> str:
    """Return the picture of a graphic print, one of several.

    Args:
        centre: Its middle.
        size: Half its width.
        second: Its main colour.
        ground: The cloth around it.
        seed: Chooses the picture: which one is printed is no attribute.
        pen: What draws it.
    """
    draw = _MOTIFS[seed % len(_MOTIFS)]
    return (
        f'<g transform="translate({pen.at(centre)}) scale({size:.3f})">{draw(second, ground)}</g>'
    )


def petals(centre: Point, radius: float, count: int, turn: float, pen: Pen) -> str:
    """Return the path data of a flower's round petals."""
    around = (cmath.rect(radius * 0.58, turn + 2 * math.pi * k / count) for k in range(count))
    return "".join(pen.circle(centre + place, radius * 0.42) for place in around)


def leaf(start: Point, end: Point, pen: Pen) -> str:
    """Return the path data of a leaf."""
    side, middle = (end - start) * 0.2j, (start + end) / 2
    return pen.shape([[start, middle + side, end], [end, middle - side, start]])


def _rows(ground: Ground, pen: Pen, low: float, high: float, period: float) -> str:
    """Return stripes across the grain, from ``low`` to ``high`` repeats in every ``period``."""
    left, right = ground.start.real, ground.end.real
    middle = (left + right) / 2
    path = ""
    step = period * ground.repeat
    for row in range(int(ground.start.imag // step), int(ground.end.imag // step) + 1):
        upper, lower = (row * step + share * ground.repeat for share in (low, high))
        there: Line = [complex(x, upper) * ground.turn for x in (left, middle, right)]
        back: Line = [complex(x, lower) * ground.turn for x in (right, middle, left)]
        path += pen.shape([there, back])
    return path


def _columns(ground: Ground, pen: Pen, low: float, high: float, period: float) -> str:
    """Return stripes along the grain, from ``low`` to ``high`` repeats in every ``period``."""
    top, bottom = ground.start.imag, ground.end.imag
    heights = [top + (bottom - top) * share / 4 for share in range(5)]
    path = ""
    step = period * ground.repeat
    for column in range(int(ground.start.real // step), int(ground.end.real // step) + 1):
        left, right = (column * step + share * ground.repeat for share in (low, high))
        down: Line = [complex(left, y) * ground.turn for y in heights]
        up: Line = [complex(right, y) * ground.turn for y in reversed(heights)]
        path += pen.shape([down, up])
    return path


def _horizontal(ground: Ground, pen: Pen) -> str:
    return filled(_rows(ground, pen, 0.3, 0.74, 1.0), ground.second)


def _vertical(ground: Ground, pen: Pen) -> str:
    return filled(_columns(ground, pen, 0.24, 0.56, 0.8), ground.second)


def _checks(ground: Ground, pen: Pen) -> str:
    # Two half-covering bands: where they cross, the colour is full, as in woven checks.
    return "".join(
        filled(stripes(ground, pen, 0.32, 0.98, 1.3), ground.second, 0.58)
        for stripes in (_rows, _columns)
    )


def _dots(ground: Ground, pen: Pen) -> str:
    path = "".join(
        pen.circle((corner + (0.28 + 0.28j) * ground.repeat) * ground.turn, ground.repeat * 0.19)
        for row, column, corner in ground.places(0.55, 0.55)
        if (row + column) % 2 == 0
    )
    return filled(path, ground.second)


# Flowers of a floral print in a cell of two repeats: middle, radius, petals, turn.
_FLOWERS = (
    (0.55 + 0.55j, 0.5, 5, 0.3),
    (1.6 + 1.5j, 0.56, 6, 0.0),
    (1.6 + 0.42j, 0.3, 5, 0.9),
    (0.6 + 1.65j, 0.28, 5, 0.5),
)
_LEAVES = (
    (0.8 + 0.9j, 1.22 + 1.2j),
    (0.35 + 1.0j, 0.3 + 1.5j),
    (1.1 + 1.75j, 0.75 + 1.95j),
    (1.15 + 0.3j, 1.28 + 0.85j),
)


def _floral(ground: Ground, pen: Pen) -> str:
    blooms, hearts, leaves = "", "", ""
    size = ground.repeat
    for _, _, corner in ground.places(2.05, 2.05):
        for centre, radius, count, turn in _FLOWERS:
            middle = (corner + centre * size) * ground.turn
            blooms += petals(middle, radius * size, count, turn, pen)
            hearts += pen.circle(middle, radius * size * 0.28)
        for start, end in _LEAVES:
            ends = (corner + start * size) * ground.turn, (corner + end * size) * ground.turn
            leaves += leaf(*ends, pen)
    foliage = _PALE_LEAF if ground.colour.distance(_LEAF) < 0.35 else _LEAF
    heart = _YOLK if ground.second.brightness < 0.7 else _AMBER
    return filled(leaves, foliage) + filled(blooms, ground.second) + filled(hearts, heart)


_WEAVES: dict[Pattern, Callable[[Ground, Pen], str]] = {
    "horizontal stripes": _horizontal,
    "vertical stripes": _vertical,
    "checks": _checks,
    "dots": _dots,
    "floral": _floral,
}


def _sunrise(second: RGB, ground: RGB) -> str:
    rays = "".join(
        f"M{cmath.rect(0.72, a).real:.3f} {cmath.rect(0.72, a).imag:.3f}"
        f"L{cmath.rect(1.0, a).real:.3f} {cmath.rect(1.0, a).imag:.3f}"
        for a in (math.pi * (1 + k / 8) for k in range(9))
    )
    return (
        f'<path d="M-.6 .05A.6 .6 0 0 1 .6 .05Z" fill="{second}"/>'
        f'<path d="{rays}" stroke="{second}" stroke-width=".1" stroke-linecap="round"/>'
        f'<path d="M-1 .22h2v.13h-2zM-.8 .48h1.6v.12h-1.6zM-.55 .74h1.1v.1h-1.1z" fill="{second}"/>'
    )


def _mountains(second: RGB, ground: RGB) -> str:
    return (
        f'<circle r="1" fill="{second}"/><circle cx=".35" cy="-.42" r=".2" fill="{ground}"/>'
        f'<path d="M-.9 .45L-.3 -.35L.02 .08L.28 -.18L.9 .45A1 1 0 0 1 -.9 .45Z" fill="{ground}"/>'
        f'<path d="M-.45 -.15L-.3 -.35L-.14 -.13L-.3 -.05Z" fill="{second}"/>'
    )


def _star(second: RGB, ground: RGB) -> str:
    corners = [cmath.rect(1.0 if k % 2 == 0 else 0.42, math.pi * (k / 5 - 0.5)) for k in range(10)]
    path = "L".join(f"{p.real:.3f} {p.imag:.3f}" for p in corners)
    return (
        f'<path d="M{path}Z" fill="{second}" stroke="{second}" stroke-width=".12"'
        ' stroke-linejoin="round"/>'
    )


def _bolt(second: RGB, ground: RGB) -> str:
    return (
        f'<circle r="1" fill="{second}"/>'
        f'<path d="M.18 -.78L-.5 .14H-.08L-.2 .78L.5 -.16H.06Z" fill="{ground}"/>'
    )


def _heart(second: RGB, ground: RGB) -> str:
    return (
        '<path d="M0 .9C-1.3 .05 -1.05 -.8 -.5 -.8C-.2 -.8 -.05 -.6 0 -.42C.05 -.6 .2 -.8 .5 -.8'
        f'C1.05 -.8 1.3 .05 0 .9Z" fill="{second}"/>'
    )


_MOTIFS = (_sunrise, _mountains, _star, _bolt, _heart)
