"""What is around the neck: knitted edges, collars, lapels and hoods."""

from __future__ import annotations

from tmcir.rendered.drawing.cut import Cut
from tmcir.rendered.drawing.geometry import (
    Line,
    Pen,
    beside,
    between,
    both_sides,
    mirrored,
    reflected,
)
from tmcir.rendered.drawing.measures import torso_of
from tmcir.rendered.drawing.paint import Paint, band_along, filled, outlined, stroked
from tmcir.rendered.garment import Garment
from tmcir.rendered.palette import RGB

_KNITTED = ("T-shirt", "sweater", "cardigan", "hoodie", "jacket")


def draw_behind_neck(garment: Garment, cut: Cut, pen: Pen, paint: Paint) -> str:
    """Return what is behind the garment: its inside and a label, a hood, the back of a collar."""
    if not cut.behind:
        return ""
    drawn = ""
    if garment.kind == "hoodie":
        drawn += _hood_behind(pen, paint)
    elif garment.neckline in ("collar", "lapels"):
        drawn += _collar_behind(garment, pen, paint)
    drawn += outlined(pen.shape(cut.behind), paint.inside, paint.outline)
    if garment.neckline not in ("turtleneck", "boat"):
        label: list[Line] = [[-1.7 + 2.2j, 1.7 + 2.2j], [1.7 + 4.0j, -1.7 + 4.0j]]
        drawn += filled(pen.shape(label), "#f3f0ea", 0.75)
    return drawn


def draw_neck(garment: Garment, cut: Cut, pen: Pen, paint: Paint) -> str:
    """Return what is on the front edge of the neck."""
    if not cut.neckline:
        return ""
    if garment.kind == "hoodie":
        return _hood_front(cut, pen, paint)
    if garment.neckline == "collar":
        return _collar(garment, pen, paint)
    if garment.neckline == "lapels":
        return _lapels(garment, pen, paint)
    if garment.neckline == "turtleneck":
        return _turtleneck(garment, pen, paint)
    width = 2.2 if garment.kind in _KNITTED else 1.2
    band = band_along(pen, cut.neckline, -width, 0.1)
    return (
        filled(band, paint.ground)
        + filled(band, "#000", 0.08)
        + stroked(pen.line(beside(cut.neckline, -width)), paint.seam, 0.35)
        + stroked(pen.line(cut.neckline), paint.outline, 0.4)
    )


def _shoulder(garment: Garment) -> complex:
    torso = torso_of(garment)
    return complex(torso.neck, torso.height_of_shoulder(torso.neck))


def _collar_behind(garment: Garment, pen: Pen, paint: Paint) -> str:
    side = _shoulder(garment)
    half: Line = [complex(0, side.imag - 3.9), side - 1.0 - 3.0j, side + 0.5]
    outline: list[Line] = [both_sides(half), [half[-1], 4j]]
    return outlined(pen.shape(outline), paint.ground.mix(paint.inside, 0.35), paint.outline)


def _both(pen: Pen, half: list[Line], fill: RGB, line: RGB) -> str:
    """Return the left and the right half of a collar; the right one lies on top."""
    halves = (reflected(half), half)
    return "".join(outlined(pen.shape(outline), fill, line) for outline in halves)


def _shadow(pen: Pen, half: list[Line]) -> str:
    """Return the shadow that both halves of a collar throw on the body."""
    lower = [[point + 0.5 + 1.1j for point in line] for line in half]
    return filled(pen.shape(lower) + pen.shape(reflected(lower)), "#000", 0.18)


def _collar(garment: Garment, pen: Pen, paint: Paint) -> str:
    side = _shoulder(garment)
    coat = garment.kind in ("coat", "jacket")
    front = complex(0.5, torso_of(garment).neck_depth + 0.6)
    tip = complex(9.2, 17.5) if coat else complex(7.8, 15.5)
    outer = side + (3.6 + 2.8j if coat else 2.6 + 2.4j)
    top = side - 1.0 - 2.9j
    fold: Line = [front, between(front, top, 0.5) + 0.9, top]
    half: list[Line] = [
        fold,
        [top, between(top, outer, 0.5) + 0.6 - 0.3j, outer],
        [outer, between(outer, tip, 0.5) + 0.5, tip],
        [tip, front],
    ]
    return (
        _shadow(pen, half)
        + _both(pen, half, paint.ground, paint.outline)
        + stroked(pen.line(fold) + pen.line(mirrored(fold)), paint.seam, 0.3)
    )


def _lapels(garment: Garment, pen: Pen, paint: Paint) -> str:
    side = _shoulder(garment)
    bottom = complex(-0.6, torso_of(garment).neck_depth + 1.5)
    top = side - 0.8 - 2.6j
    outer, notch_out = side + 3.6 + 2.6j, complex(13.6, 12.6)
    notch, peak = complex(10.8, 14.4), complex(15.6, 15.8)
    lapel: list[Line] = [
        [bottom, between(bottom, top, 0.5) + 0.8, top],
        [top, outer],
        [outer, notch],
        [notch, peak],
        [peak, between(peak, bottom, 0.45) + 1.6, bottom],
    ]
    collar: list[Line] = [
        [top, outer],
        [outer, notch_out],
        [notch_out, notch],
        [notch, between(notch, top, 0.5) - 0.5, top],
    ]
    return (
        _shadow(pen, lapel)
        + _both(pen, lapel, paint.ground, paint.outline)
        + _both(pen, collar, paint.ground.mix(paint.inside, 0.16), paint.outline)
    )


def _turtleneck(garment: Garment, pen: Pen, paint: Paint) -> str:
    side = _shoulder(garment)
    low, high = side + 0.9 + 1.0j, complex(side.real - 0.5, -8.5)
    bottom: Line = [low, complex(0, 6.6), -low.conjugate()]
    top: Line = [-high.conjugate(), complex(0, high.imag - 1.2), high]
    tube: list[Line] = [
        bottom,
        [-low.conjugate(), complex(-side.real + 0.2, -3.0), -high.conjugate()],
        top,
        [high, complex(side.real - 0.2, -3.0), low],
    ]
    ribs = "".join(
        pen.line([complex(x * 0.95, high.imag - 0.6), complex(x, 4.2 - abs(x) * 0.35)])
        for x in (-5.4, -3.6, -1.8, 0.0, 1.8, 3.6, 5.4)
    )
    fold: Line = [complex(-side.real, -1.6), 0.6j, complex(side.real, -1.6)]
    path = pen.shape(tube)
    return (
        outlined(path, paint.ground, paint.outline, 0.4)
        + filled(path, "url(#tube)")
        + stroked(ribs, paint.seam, 0.28, 0.6)
        + stroked(pen.line([p + 0.6j for p in fold]), "#000", 0.9, 0.25)
        + stroked(pen.line(fold), paint.seam, 0.4)
    )


def _hood_behind(pen: Pen, paint: Paint) -> str:
    half: Line = [-19.5j, 8.6 - 16.5j, 12.6 - 7.0j, 12.8 + 3.5j]
    opening: Line = [-15.5j, 6.0 - 13.0j, 8.4 - 5.0j, 7.6 + 4.0j]
    outer = [both_sides(half), [half[-1], 6j], [6j, -half[-1].conjugate()]]
    inner = [both_sides(opening), [opening[-1], 8j], [8j, -opening[-1].conjugate()]]
    path = pen.shape(outer)
    return (
        outlined(path, paint.ground.mix(paint.inside, 0.12), paint.outline, 0.4)
        + filled(path, "url(#tube)")
        + outlined(pen.shape(inner), paint.inside, paint.outline)
    )


def _hood_front(cut: Cut, pen: Pen, paint: Paint) -> str:
    right = cut.neckline[0]
    half: list[Line] = [
        [complex(0, 10.2), right * 0.7 + 4.6j, right - 0.6 - 2.0j],
        [right - 0.6 - 2.0j, right + 4.2 + 2.2j],
        [right + 4.2 + 2.2j, right * 0.9 + 8.2j, complex(0, 14.6)],
        [complex(0, 14.6), complex(0, 10.2)],
    ]
    strings = "".join(
        pen.line([complex(s * 2.6, 13.4), complex(s * 3.0, 20), complex(s * 2.7, 27)])
        for s in (-1, 1)
    )
    tips = "".join(pen.line([complex(s * 2.7, 25.4), complex(s * 2.65, 28.0)]) for s in (-1, 1))
    return (
        _both(pen, half, paint.ground, paint.outline)
        + stroked(strings, paint.contrast, 0.7)
        + stroked(tips, paint.contrast, 1.1)
    )
