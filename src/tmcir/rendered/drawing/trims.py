"""What decorates the edges: lace, ruffles, piping and embroidery."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

from tmcir.rendered.drawing.cut import Cut
from tmcir.rendered.drawing.geometry import Line, Pen, Point, beside, direction, spaced
from tmcir.rendered.drawing.paint import Paint, filled, outlined, stroked
from tmcir.rendered.drawing.patterns import leaf, petals
from tmcir.rendered.garment import Garment
from tmcir.rendered.palette import RGB
from tmcir.rendered.vocabulary import Trim

_LACE_DEPTH = 5.4
_RUFFLE_DEPTH = 6.5


def draw_trim(garment: Garment, cut: Cut, pen: Pen, paint: Paint) -> str:
    """Return the decoration of a garment; nothing where it has none."""
    if garment.trim == "none":
        return ""
    return _TRIMS[garment.trim](garment, cut, pen, paint)


def _lace(garment: Garment, cut: Cut, pen: Pen, paint: Paint) -> str:
    return "".join(_lace_edge(edge, pen, paint) for edge in _edges(garment, cut))


def _lace_edge(edge: Line, pen: Pen, paint: Paint) -> str:
    """Draw a band with scallops below it; the pattern of holes shows the cloth."""
    depth = _LACE_DEPTH
    line = spaced(edge, 3.6)
    places = beside(line, depth * 0.42)
    scallops = "".join(pen.circle(place, 2.15) for place in places)
    band = pen.shape([beside(line, depth * 0.42), beside(line, -1.2)[::-1]])
    holes = "".join(pen.circle(place, 0.62) for place in beside(line, depth * 0.62))
    eyelets = "".join(pen.circle(place, 0.45) for place in beside(spaced(edge, 1.8), depth * 0.1))
    shade = RGB.parse("#8d8a90")
    return (
        outlined(scallops, paint.lace, shade, 0.3)
        + filled(band, paint.lace)
        + stroked(pen.line(beside(line, -1.2)), shade, 0.3)
        + filled(holes + eyelets, shade, 0.75)
    )


def _ruffle(garment: Garment, cut: Cut, pen: Pen, paint: Paint) -> str:
    return "".join(_ruffle_edge(edge, pen, paint) for edge in _edges(garment, cut))


def _ruffle_edge(edge: Line, pen: Pen, paint: Paint) -> str:
    """Draw a gathered strip of the cloth: a wavy end, and folds that come from the seam."""
    line = spaced(edge, 2.0)
    if len(line) % 2 == 0:
        line = spaced(edge, 2.0 * len(line) / (len(line) + 1.5))
    upper = beside(line, -1.6)
    lower = [
        point
        + 1j
        * direction(line[max(k - 1, 0)], line[min(k + 1, len(line) - 1)])
        * (_RUFFLE_DEPTH - 1.6 + (0.9 if k % 2 else -0.9))
        for k, point in enumerate(line)
    ]
    path = pen.shape([lower, upper[::-1]])
    folds = "".join(
        pen.line([upper[k], lower[k] * 0.9 + upper[k] * 0.1]) for k in range(0, len(line), 2)
    )
    gleams = "".join(
        pen.line([upper[k] * 0.6 + lower[k] * 0.4, lower[k]]) for k in range(1, len(line), 2)
    )
    return (
        filled(pen.shape([beside(line, 1.2), upper[::-1]]), "#000", 0.15)
        + outlined(path, paint.ground, paint.outline, 0.45)
        + stroked(folds, paint.outline, 0.5, 0.75)
        + stroked(gleams, "#fff", 0.7, 0.3)
        + stroked(pen.line(upper), paint.outline, 0.5)
    )


def _piping(garment: Garment, cut: Cut, pen: Pen, paint: Paint) -> str:
    lines = [pen.line(beside(edge, -0.7)) for edge in _edges(garment, cut)]
    if garment.kind in ("trousers", "shorts"):
        lines += [pen.line(_side(piece.outline[1])) for piece in cut.pieces[1:2]]
        lines += [pen.line(_side(piece.outline[-2])) for piece in cut.pieces[:1]]
    return stroked("".join(lines), paint.contrast, 1.5)


def _side(line: Line) -> list[complex]:
    """Return a leg's outer side, drawn a little inwards."""
    inward = -0.8 if line[0].real > 0 else 0.8
    return [point + inward for point in line]


def _embroidery(garment: Garment, cut: Cut, pen: Pen, paint: Paint) -> str:
    drawn = "".join(_vine(edge, pen, paint) for edge in cut.hems)
    if cut.neckline:
        low = max(point.imag for point in cut.neckline)
        height = min(max(low, 13.0), 16.0) + 5
        drawn += "".join(_spray(complex(side * 8.5, height), side, pen, paint) for side in (-1, 1))
    return drawn


def _vine(edge: Line, pen: Pen, paint: Paint) -> str:
    """Draw a row of flowers on a waved stem above an edge, clear of the seams at the sides."""
    line = spaced(beside(edge, -5.6), 4.4)[1:-1]
    stem = [point + (0.8j if k % 2 else -0.8j) for k, point in enumerate(line)]
    leaves = "".join(
        leaf(point, point + 2.6 + (1.4j if k % 2 else -1.4j), pen)
        for k, point in enumerate(stem[:-1])
    )
    return (
        stroked(pen.line(stem), paint.thread, 0.5)
        + filled(leaves, paint.green)
        + _flowers([(point, 1.75, 0.4 * k) for k, point in enumerate(stem)], pen, paint)
    )


def _spray(centre: Point, side: int, pen: Pen, paint: Paint) -> str:
    """Draw three flowers and some leaves on the chest, mirrored on the other side."""
    leaves = "".join(
        leaf(centre, centre + cmath.rect(6.2, math.pi / 2 - side * turn), pen)
        for turn in (-0.9, -0.2, 0.5, 1.3, 2.2)
    )
    blooms = [
        (centre + complex(side * x, y), radius, x)
        for x, y, radius in ((0.0, 0.0, 2.7), (3.0, -3.4, 1.9), (-0.8, 4.2, 1.9))
    ]
    return filled(leaves, paint.green) + _flowers(blooms, pen, paint)


def _flowers(places: list[tuple[Point, float, float]], pen: Pen, paint: Paint) -> str:
    """Draw flowers, given the middle, radius and turn of each."""
    blooms = "".join(petals(centre, radius, 5, turn, pen) for centre, radius, turn in places)
    hearts = "".join(pen.circle(centre, radius * 0.3) for centre, radius, _ in places)
    return filled(blooms, paint.thread) + filled(hearts, paint.outline)


def _edges(garment: Garment, cut: Cut) -> list[Line]:
    """Return the edges that are decorated: a collar or a hood covers the one around the neck.

    That one runs so that its decoration lies on the cloth and not across the opening.
    """
    open_neck = garment.neckline in ("crew", "V", "boat")
    return [*cut.hems, *([cut.neckline[::-1]] if open_neck else [])]


_TRIMS: dict[Trim, Callable[[Garment, Cut, Pen, Paint], str]] = {
    "lace": _lace,
    "ruffle": _ruffle,
    "piping": _piping,
    "embroidery": _embroidery,
}
