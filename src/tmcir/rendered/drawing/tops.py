"""Cutting the upper part of a garment: body, sleeves and neckline."""

from __future__ import annotations

import cmath
import math
from itertools import pairwise

from tmcir.rendered.drawing.cut import Piece
from tmcir.rendered.drawing.geometry import (
    Line,
    Point,
    between,
    both_sides,
    mirrored,
    reflected,
    wavy,
)
from tmcir.rendered.drawing.measures import Sleeves, Torso
from tmcir.rendered.vocabulary import Neckline

RIB = 5.5
_SHIRTTAIL = 9.0
_WIDEST_PUFF = 12.5


def neckline_of(torso: Torso, neckline: Neckline | None) -> list[Line]:
    """Return the front edge around the neck from right to left, one line between its corners."""
    right = complex(torso.neck, torso.height_of_shoulder(torso.neck))
    bottom = complex(0, torso.neck_depth)
    if neckline in ("V", "collar", "lapels"):
        bulge = between(right, bottom, 0.5) + 0.6
        half: Line = [right, bulge, bottom]
        return [half, mirrored(half)]
    low = complex(torso.neck * 0.72, right.imag + (torso.neck_depth - right.imag) * 0.7)
    half = [right, low, bottom]
    return [[*half, *mirrored(half)[1:]]]


def inside_of(torso: Torso) -> tuple[Line, ...]:
    """Return what shows of the back's inside above the front edge of the neckline."""
    right = complex(torso.neck + 0.4, torso.height_of_shoulder(torso.neck))
    dip = complex(0, right.imag + 1.2 - torso.neck * 0.06)
    top: Line = [*mirrored([dip + torso.neck * 0.6, right]), dip, dip + torso.neck * 0.6, right]
    depth = complex(torso.neck * 0.9, torso.neck_depth + 1)
    return (top, [right, depth, *mirrored([depth]), *mirrored([right])])


def side_of(torso: Torso) -> list[Point]:
    """Return the right side from the armpit to the hem."""
    side = [complex(torso.chest, torso.armpit)]
    if torso.hem_style == "waist":
        return [*side, complex(between(torso.chest, torso.waist, 0.62).real, 31.0), _hem_end(torso)]
    side.append(complex(torso.waist, torso.waist_at))
    if torso.length > 70:
        hip = between(torso.waist, torso.hem, 0.8).real
        side.append(complex(hip, torso.waist_at + 19.0))
    return [*side, _hem_end(torso)]


def hem_of(torso: Torso) -> list[Point]:
    """Return the lower edge from left to right."""
    end = _hem_end(torso)
    if torso.hem_style == "shirttail":
        half = [complex(0, torso.length), complex(end.real * 0.62, torso.length - 1.2), end]
        return both_sides(half)
    if torso.hem_style == "flounce":
        return wavy(end, 2.2, 1.1, 4)
    return [-end.conjugate(), complex(0, torso.length + 1.4), end]


def body_of(torso: Torso, neckline: Neckline | None, sleeveless: bool) -> Piece:
    """Return the body, between the shoulders and the hem or the waist."""
    shoulder = shoulder_of(torso, sleeveless)
    armpit = side_of(torso)[0] - (1.4 + 1.0j if sleeveless else 0j)
    inward = 3.2 if sleeveless else 1.6
    armhole: Line = [shoulder, between(shoulder, armpit, 0.55) - inward, armpit]
    neck = neckline_of(torso, neckline)
    right: list[Line] = [[neck[0][0], shoulder], armhole, [armpit, *side_of(torso)[1:]]]
    over_the_neck = (line[::-1] for line in reversed(neck))
    outline = (*right, hem_of(torso)[::-1], *reflected(right), *over_the_neck)
    return Piece(
        "torso",
        outline,
        (complex(0, torso.neck_depth), complex(0, torso.length)),
        torso.chest,
        torso.hem,
    )


def shoulder_of(torso: Torso, sleeveless: bool) -> Point:
    """Return the end of the right shoulder."""
    x = torso.shoulder - (4.2 if sleeveless else 0.0)
    x = max(x, torso.neck + 1.6)
    return complex(x, torso.height_of_shoulder(x))


def sleeve_of(torso: Torso, sleeves: Sleeves, turn: float) -> tuple[Piece, Line]:
    """Return the right sleeve and its lower edge, whose outside is to the right as it runs.

    Args:
        torso: The body that it is sewn on.
        sleeves: Its measures.
        turn: Degrees by which it hangs further out.
    """
    shoulder, armpit = shoulder_of(torso, False), complex(torso.chest, torso.armpit)
    angle = math.radians(sleeves.angle + turn)
    along, outward = complex(math.sin(angle), math.cos(angle)), cmath.rect(1.0, -angle)
    middle, half = between(shoulder, armpit, 0.5), abs(armpit - shoulder) / 2
    end = middle + along * sleeves.length
    outer, inner = end + outward * sleeves.end, end - outward * sleeves.end
    cap = shoulder + (along * 0.45 + outward * 0.3 * sleeves.top) * half
    upper: Line = [shoulder, cap, between(cap, outer, 0.55) + outward * 0.5, outer]
    lower: Line = [inner, between(inner, armpit, 0.5) - outward * 0.2, armpit]
    if sleeves.puffed:
        puff = min(sleeves.end * 1.7, _WIDEST_PUFF)
        wide = middle + along * sleeves.length * 0.74
        upper = [shoulder, cap, wide + outward * puff * 1.05, outer]
        lower = [inner, wide - outward * puff * 0.95, armpit]
    edge: Line = [outer, end + along * 0.9, inner]
    # Behind the body, so that no gap opens along the seam.
    tucked = pairwise([armpit, armpit - 3, shoulder - 3 + 2j, shoulder])
    piece = Piece(
        role="sleeve",
        outline=(upper, edge, lower, *([a, b] for a, b in tucked)),
        spine=(middle, end),
        top=half,
        bottom=sleeves.end,
        fullness=0.6 if sleeves.puffed else 0.4,
    )
    return piece, edge[::-1]


def _hem_end(torso: Torso) -> Point:
    lift = _SHIRTTAIL if torso.hem_style == "shirttail" else 0.0
    narrow = 2.0 if torso.hem_style == "rib" else 0.0
    return complex(torso.hem - narrow, torso.length - lift)


def rib_at(edge: Line, along: Point, depth: float = RIB) -> Piece:
    """Return a knitted band whose lower edge is ``edge``.

    Args:
        edge: The end of the cloth, with the outside to its right as it runs.
        along: Unit vector in the direction in which the cloth hangs.
        depth: Height of the band.
    """
    upper = [point - along * depth for point in edge]
    outline = (edge, [edge[-1], upper[-1]], upper[::-1], [upper[0], edge[0]])
    middle = between(edge[0], edge[-1], 0.5)
    half = abs(edge[-1] - edge[0]) / 2
    return Piece("band", outline, (middle - along * depth, middle), half, half)
