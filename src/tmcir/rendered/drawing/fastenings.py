"""What closes a garment, holds it and holds things: buttons, zips, belts and pockets."""

from __future__ import annotations

from tmcir.rendered.drawing.cut import Cut, Pocket
from tmcir.rendered.drawing.geometry import Line, Pen, between, mirrored, reflected
from tmcir.rendered.drawing.paint import (
    Paint,
    band_along,
    filled,
    outlined,
    rectangle,
    stroked,
)
from tmcir.rendered.garment import Garment
from tmcir.rendered.palette import RGB

_METAL = RGB.parse("#c9ccd1")
_STEEL = RGB.parse("#6d7178")
_BRASS = RGB.parse("#e6c35c")
_PLACKET = 1.9
_BUTTON_GAP = 9.0
_SINGLE = (0.0,)
_DOUBLE = (-5.0, 5.0)
_DOUBLE_ROWS = 4


def draw_closure(garment: Garment, cut: Cut, pen: Pen, paint: Paint) -> str:
    """Return the buttons or the zip down the front."""
    top, bottom = cut.front
    if garment.closure == "buttons":
        # Coats are double-breasted, which tells a short one from a jacket.
        return _buttons(top, bottom, _DOUBLE if garment.kind == "coat" else _SINGLE, pen, paint)
    if garment.closure == "zip":
        return _zip(top, bottom, pen, paint)
    return ""


def _buttons(
    top: complex, bottom: complex, columns: tuple[float, ...], pen: Pen, paint: Paint
) -> str:
    height = bottom.imag - top.imag
    count = min(max(round(height / _BUTTON_GAP), 3), 9)
    rows = [top + 1j * height * (k + 0.35) / count for k in range(count)]
    if len(columns) > 1:
        rows = rows[:_DOUBLE_ROWS]
    places = [row + x for row in rows for x in columns]
    half = _PLACKET + columns[-1]
    strip: list[Line] = [
        [complex(half, top.imag), complex(half, bottom.imag)],
        [complex(-half, bottom.imag), complex(-half, top.imag)],
    ]
    radius = 1.25
    rims = "".join(pen.circle(place + 0.25 + 0.35j, radius) for place in places)
    discs = "".join(pen.circle(place, radius) for place in places)
    holes = "".join(pen.circle(place + offset, 0.2) for place in places for offset in (-0.4, 0.4))
    edges = "".join(pen.line(line) for line in (strip if len(columns) == 1 else strip[:1]))
    return (
        filled(pen.shape(strip), "#fff" if paint.dark else "#000", 0.07)
        + stroked(edges, paint.seam, 0.35)
        + filled(rims, "#000", 0.3)
        + outlined(discs, paint.contrast, paint.outline, 0.2)
        + filled(holes, paint.ground)
    )


def _zip(top: complex, bottom: complex, pen: Pen, paint: Paint) -> str:
    line = pen.line([top, between(top, bottom, 0.5), bottom - 0.4j])
    pull = top + 1.2j
    return (
        stroked(line, "#000", 3.6, 0.2)
        + stroked(line, _STEEL, 2.3)
        + stroked(line, _METAL, 1.7, dashes=".75 .55")
        + outlined(pen.shape(rectangle(pull, 2.0, 2.6)), _METAL, _STEEL)
        + outlined(pen.shape(rectangle(pull + 3.4j, 1.2, 4.4)), _METAL, _STEEL)
    )


def draw_belt(garment: Garment, cut: Cut, pen: Pen, paint: Paint) -> str:
    """Return a leather belt with its buckle."""
    if not garment.belt or not cut.waist:
        return ""
    edge = cut.waist
    middle = between(edge[0], edge[-1], 0.5) + 1.0j
    strap = band_along(pen, edge, -1.9, 1.9)
    buckle = pen.shape(rectangle(middle, 5.6, 5.4))
    hole = pen.shape(rectangle(middle, 3.4, 3.2))
    prong = pen.line([middle - 1.9, middle + 2.2])
    keeper = pen.shape(rectangle(middle - 5.2, 1.5, 4.4))
    holes = "".join(pen.circle(middle + x, 0.3) for x in (5.0, 7.2, 9.4))
    dark = paint.leather.mix(RGB(0, 0, 0), 0.45)
    return (
        filled(band_along(pen, edge, -1.2, 2.9), "#000", 0.22)
        + outlined(strap, paint.leather, dark, 0.4)
        + stroked(pen.line([p - 1.1j for p in edge]), "#fff", 0.5, 0.3)
        + outlined(keeper, paint.leather, dark)
        + filled(holes, dark)
        + outlined(buckle, _BRASS, dark, 0.3)
        + filled(hole, paint.leather)
        + stroked(prong, _BRASS, 0.8)
    )


def draw_pockets(garment: Garment, cut: Cut, pen: Pen, paint: Paint) -> str:
    """Return the pockets."""
    if not garment.pockets:
        return ""
    if garment.kind == "hoodie":
        return _kangaroo(cut.pockets[0], pen, paint)
    return "".join(_patch(pocket, pen, paint) for pocket in cut.pockets)


def _patch(pocket: Pocket, pen: Pen, paint: Paint) -> str:
    half = complex(pocket.width / 2, pocket.height / 2)
    centre, lean = pocket.centre, pocket.slanted
    upper_left, upper_right = centre - half + lean * 0.5, centre + half.conjugate() + lean * 0.5
    lower_right, lower_left = centre + half, centre - half.conjugate()
    tip = centre + half.imag * 1.16j
    outline: list[Line] = [
        [upper_left, upper_right],
        [upper_right, lower_right],
        [lower_right, tip],
        [tip, lower_left],
        [lower_left, upper_left],
    ]
    path = pen.shape(outline)
    drop = pen.shape([[point + 0.4 + 0.8j for point in line] for line in outline])
    drawn = (
        filled(drop, "#000", 0.2)
        + outlined(path, paint.ground.mix(paint.inside, 0.1), paint.seam, 0.45)
        + stroked(pen.line([upper_left + 2.2j, upper_right + 2.2j]), paint.seam, 0.4)
    )
    if pocket.flap:
        flap: list[Line] = [
            [upper_left - 0.5 - 0.6j, upper_right + 0.5 - 0.6j],
            [upper_right + 0.5 + 3.0j, between(upper_left, upper_right, 0.5) + 4.6j],
            [upper_left - 0.5 + 3.0j, upper_left - 0.5 - 0.6j],
        ]
        drawn += outlined(pen.shape(flap), paint.ground, paint.seam, 0.45)
        drawn += filled(
            pen.circle(between(upper_left, upper_right, 0.5) + 2.6j, 0.8), paint.contrast
        )
    return drawn


def _kangaroo(pocket: Pocket, pen: Pen, paint: Paint) -> str:
    centre, w, h = pocket.centre, pocket.width / 2, pocket.height / 2
    half: list[Line] = [
        [centre - 1j * h, centre + complex(w * 0.55, -h)],
        [
            centre + complex(w * 0.55, -h),
            centre + complex(w * 0.86, -h * 0.1),
            centre + complex(w, h * 0.45),
        ],
        [centre + complex(w, h * 0.45), centre + complex(w, h)],
        [centre + complex(w, h), centre + 1j * h],
    ]
    whole = [*half, *reflected(half)]
    opening = pen.line(half[1]) + pen.line(mirrored(half[1]))
    return (
        filled(pen.shape([[p + 0.3 + 0.8j for p in line] for line in whole]), "#000", 0.18)
        + outlined(pen.shape(whole), paint.ground.mix(paint.inside, 0.08), paint.seam, 0.45)
        + stroked(opening, paint.inside, 1.0)
    )
