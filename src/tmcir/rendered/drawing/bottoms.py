"""Cutting the lower part of a garment: skirts and legs."""

from __future__ import annotations

from tmcir.rendered.drawing.cut import Piece
from tmcir.rendered.drawing.geometry import Line, Point, between, mirrored, wavy
from tmcir.rendered.drawing.measures import Legs, Skirt

BAND = 4.0
_HIP = 19.0
_CROTCH = 29.0
_KNEE = 58.0


def skirt_piece(skirt: Skirt, top: float) -> tuple[Piece, Line]:
    """Return a skirt whose waist is at the height ``top``, and its lower edge."""
    waist, end = complex(skirt.waist, top), complex(skirt.hem, top + skirt.length)
    if skirt.waves:
        side: Line = [waist, between(waist, end, 0.4) + 1.5, end]
        edge: Line = wavy(end, end.real * 0.1, 0.6 + 0.2 * skirt.waves, skirt.waves)
    else:
        side = [waist, complex(skirt.hip, top + min(_HIP, skirt.length * 0.42)), end]
        edge = [-end.conjugate(), complex(0, end.imag + 1.6), end]
    upper: Line = [-waist.conjugate(), complex(0, top + 1.0), waist]
    piece = Piece(
        role="skirt",
        outline=(upper, side, edge[::-1], mirrored(side)),
        spine=(complex(0, top), complex(0, top + skirt.length)),
        top=skirt.waist,
        bottom=skirt.hem,
        fullness=skirt.fullness,
    )
    return piece, edge


def leg_pieces(legs: Legs, top: float) -> tuple[list[Piece], list[Line]]:
    """Return left and right leg of a garment whose waist is at ``top``, and their lower edges."""
    waist, crotch = complex(legs.waist, top), complex(0, top + _CROTCH)
    middle = complex(0, top + 0.8)
    ankle = complex(max(legs.apart, legs.end + 0.8), top + legs.length)
    outer: list[Point] = [waist, complex(legs.hip, top + _HIP + 1), ankle + legs.end]
    inner: list[Point] = [ankle - legs.end, crotch]
    if legs.length > _KNEE + 12:
        knee = complex(max(legs.apart - 0.6, legs.knee + 0.7), top + _KNEE)
        outer.insert(-1, knee + legs.knee)
        inner.insert(1, knee - legs.knee)
    edge: Line = [ankle - legs.end, ankle + 0.8j, ankle + legs.end]
    right = Piece(
        role="leg",
        outline=([middle, waist], outer, edge[::-1], inner, [crotch, middle]),
        spine=(complex(legs.waist * 0.55, top), ankle),
        top=legs.waist * 0.6,
        bottom=legs.end,
        fullness=legs.fullness,
    )
    return [right.reflected(), right], [mirrored(edge), edge]


def waistband(waist: float, top: float) -> Piece:
    """Return the band around the waist, whose lower edge is at ``top``."""
    lower: Line = [complex(waist, top), complex(0, top + 1.0), complex(-waist, top)]
    upper: Line = [
        complex(-waist + 0.4, top - BAND),
        complex(0, top + 0.8 - BAND),
        complex(waist - 0.4, top - BAND),
    ]
    outline = (upper, [upper[-1], lower[0]], lower, [lower[-1], upper[0]])
    return Piece("band", outline, (complex(0, top - BAND), complex(0, top)), waist, waist)
