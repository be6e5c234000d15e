"""Points, smooth lines and the paths that SVG draws from them.

A point is a complex number: right is +1, down is +1j, and the unit is a centimetre of cloth. The
middle of a garment is at 0, and its shoulders (or its waist, where it has none) are at 0j.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

Point = complex
Line = Sequence[Point]
"""Points that a smooth line goes through."""


def mirrored(line: Line) -> list[Point]:
    """Return a line on the other side of the middle, drawn in the opposite direction."""
    return [-point.conjugate() for point in reversed(line)]


def both_sides(half: Line) -> list[Point]:
    """Return a line that starts in the middle together with its mirror image, left to right."""
    return [*mirrored(half)[:-1], *half]


def reflected(outline: Sequence[Line]) -> tuple[Line, ...]:
    """Return the outline of a part that is on the other side of the middle."""
    return tuple(mirrored(line) for line in reversed(outline))


def wavy(end: Point, dip: float, height: float, waves: int) -> list[Point]:
    """Return a lower edge from left to right.

    Args:
        end: Its right end.
        dip: How much lower it is in the middle.
        height: Height of the waves.
        waves: Their number.
    """
    steps = 2 * waves
    return [
        complex(
            end.real * (2 * k / steps - 1),
            end.imag + dip * math.sin(math.pi * k / steps) + (height if k % 2 else 0.0),
        )
        for k in range(steps + 1)
    ]


def between(start: Point, end: Point, share: float) -> Point:
    """Return the point that lies a share of the way from start to end."""
    return start + (end - start) * share


def direction(start: Point, end: Point) -> Point:
    """Return the unit vector from start to end; 0 where they are one point."""
    length = abs(end - start)
    return (end - start) / length if length else 0j


def controls(line: Line) -> list[tuple[Point, Point, Point]]:
    """Return the cubic Bézier pieces of the smooth line: two control points and an end each."""
    tangents = [
        direction(line[max(k - 1, 0)], line[min(k + 1, len(line) - 1)]) for k in range(len(line))
    ]
    return [
        (
            start + tangents[k] * abs(end - start) / 3,
            end - tangents[k + 1] * abs(end - start) / 3,
            end,
        )
        for k, (start, end) in enumerate(pairwise(line))
    ]


def spaced(line: Line, spacing: float) -> list[Point]:
    """Return points about ``spacing`` apart on the smooth line, with both of its ends."""
    dense = [line[0]]
    for start, (first, second, end) in zip(line, controls(line), strict=False):
        for step in range(1, 9):
            t, s = step / 8, 1 - step / 8
            dense.append(s**3 * start + 3 * s * s * t * first + 3 * s * t * t * second + t**3 * end)
    total = sum(abs(b - a) for a, b in pairwise(dense))
    gap = total / max(round(total / spacing), 1)
    found, covered = [dense[0]], 0.0
    for start, end in pairwise(dense):
        length = abs(end - start)
        while covered + length >= gap * len(found) - 1e-9 and length > 0:
            found.append(between(start, end, (gap * len(found) - covered) / length))
        covered += length
    return found


def beside(line: Line, distance: float) -> list[Point]:
    """Return a line to the right of another, as seen when going along it."""
    last = len(line) - 1
    return [
        point + 1j * direction(line[max(k - 1, 0)], line[min(k + 1, last)]) * distance
        for k, point in enumerate(line)
    ]


def ribbon(line: Line, width: float) -> list[Line]:
    """Return the outline of a fold along a line: pointed at both ends, widest in the middle."""
    last = len(line) - 1
    right, left = beside(line, width / 2), beside(line, -width / 2)
    right[0] = left[0] = line[0]
    right[last] = left[last] = line[last]
    return [right, left[::-1]]


class Pen:
    """Writes points and lines as SVG text, each moved by one smooth warp.

    Everything that is drawn on a garment goes through the same warp, so that seams, pockets and
    folds stay where they belong when the cloth hangs differently.

    Args:
        warp: From where a point is on the flat cut to where it is in the picture.
    """

    def __init__(self, warp: Callable[[Point], Point] = lambda point: point) -> None:
        self._warp = warp

    def at(self, point: Point) -> str:
        """Return ``x y`` of a point."""
        moved = self._warp(point)
        return f"{moved.real:.2f} {moved.imag:.2f}"

    def line(self, line: Line) -> str:
        """Return the path data of an open smooth line."""
        return f"M{self.at(line[0])}{self._curves(line)}"

    def shape(self, lines: Iterable[Line]) -> str:
        """Return the path data of a closed shape; where one line ends and the next begins is a
        corner.
        """
        text = ""
        for line in lines:
            text += f"{'L' if text else 'M'}{self.at(line[0])}{self._curves(line)}"
        return text + "Z"

    def _curves(self, line: Line) -> str:
        if len(line) == 2:
            return f"L{self.at(line[1])}"
        return "".join(f"C{self.at(a)} {self.at(b)} {self.at(c)}" for a, b, c in controls(line))

    def circle(self, centre: Point, radius: float) -> str:
        """Return the path data of a circle."""
        moved = self._warp(centre)
        arc = f"a{radius:.2f} {radius:.2f} 0 1 0"
        return (
            f"M{moved.real - radius:.2f} {moved.imag:.2f}"
            f"{arc} {2 * radius:.2f} 0{arc} {-2 * radius:.2f} 0Z"
        )
