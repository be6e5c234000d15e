"""From a garment's attributes to its cut."""

from __future__ import annotations

from collections.abc import Callable

from tmcir.rendered.drawing import bottoms, tops
from tmcir.rendered.drawing.cut import Cut, Piece, Pocket
from tmcir.rendered.drawing.geometry import Line, Point, direction, mirrored
from tmcir.rendered.drawing.measures import Torso, legs_of, skirt_of, sleeves_of, torso_of
from tmcir.rendered.garment import Garment
from tmcir.rendered.vocabulary import GarmentKind, Neckline

Arms = tuple[float, float]

_CROWNS: dict[Neckline | None, float] = {"turtleneck": 10.0, "collar": 4.0, "lapels": 4.0}


def cut_out(garment: Garment, arms: Arms = (0.0, 0.0)) -> Cut:
    """Return the parts of a garment.

    Args:
        garment: What to cut.
        arms: Degrees by which the left and the right sleeve hang further out.
    """
    return _TAILORS[garment.kind](garment, arms)


def has_ribs(garment: Garment) -> bool:
    """Return whether body and sleeves end in knitted bands."""
    bomber = garment.kind == "jacket" and garment.closure == "zip"
    return bomber or garment.kind in ("sweater", "cardigan", "hoodie")


def _top(garment: Garment, arms: Arms) -> Cut:
    torso = torso_of(garment)
    body = tops.body_of(torso, garment.neckline, garment.sleeve == "sleeveless")
    sleeves, cuffs = _sleeves(garment, torso, arms)
    hem = tops.hem_of(torso)
    return Cut(
        pieces=(*sleeves, body),
        hems=(hem, *cuffs),
        behind=tops.inside_of(torso),
        neckline=_joined(tops.neckline_of(torso, garment.neckline)),
        front=(complex(0, torso.neck_depth), complex(0, torso.length)),
        waist=_waist_line(torso),
        motif=(complex(0, (torso.neck_depth + 40) / 2 + 3), torso.chest * 0.5),
        pockets=_top_pockets(garment, torso),
        seams=_stitches(garment, [hem, *cuffs]),
        ribs=_ribs(hem, sleeves, cuffs) if has_ribs(garment) else (),
        crown=20.5 if garment.kind == "hoodie" else _CROWNS.get(garment.neckline, 0.0),
    )


def _dress(garment: Garment, arms: Arms) -> Cut:
    torso = torso_of(garment)
    upper = _top(garment, arms)
    measures = skirt_of(garment)
    skirt, hem = bottoms.skirt_piece(measures, torso.length)
    *sleeves, body = upper.pieces
    middle = torso.length + min(measures.length * 0.4, 24)
    return Cut(
        pieces=(*sleeves, skirt, body),
        hems=(hem, *upper.hems[1:]),
        behind=upper.behind,
        neckline=upper.neckline,
        front=(upper.front[0], complex(0, torso.length + measures.length)),
        waist=_waist_line(torso),
        motif=upper.motif,
        pockets=_pair(Pocket(complex(torso.waist * 0.72, middle), 11, 12)),
        seams=_stitches(garment, [hem, *upper.hems[1:]]),
        crown=upper.crown,
    )


def _jumpsuit(garment: Garment, arms: Arms) -> Cut:
    torso = torso_of(garment)
    upper = _top(garment, arms)
    legs, edges = bottoms.leg_pieces(legs_of(garment), torso.length)
    *sleeves, body = upper.pieces
    return Cut(
        pieces=(*sleeves, *legs, body),
        hems=(*edges, *upper.hems[1:]),
        behind=upper.behind,
        neckline=upper.neckline,
        front=(upper.front[0], complex(0, torso.length + 24)),
        waist=_waist_line(torso),
        motif=upper.motif,
        pockets=_pair(Pocket(complex(torso.waist * 0.72, torso.length + 14), 9, 13, slanted=4)),
        seams=_stitches(garment, [*edges, *upper.hems[1:]]),
        crown=upper.crown,
    )


def _skirt(garment: Garment, arms: Arms) -> Cut:
    measures = skirt_of(garment)
    waist, length = measures.waist, measures.length
    skirt, hem = bottoms.skirt_piece(measures, bottoms.BAND)
    middle = bottoms.BAND + min(length * 0.36, 20)
    return Cut(
        pieces=(skirt, bottoms.waistband(waist, bottoms.BAND)),
        hems=(hem,),
        front=(complex(0, 0.8), complex(0, bottoms.BAND + length)),
        waist=_band_line(waist),
        motif=(complex(0, bottoms.BAND + length * 0.52), min(waist * 0.62, length * 0.22)),
        pockets=_pair(Pocket(complex(waist * 0.68, middle), 9.5, 10.5)),
        seams=_stitches(garment, [hem]),
    )


def _trousers(garment: Garment, arms: Arms) -> Cut:
    measures = legs_of(garment)
    waist, hip = measures.waist, measures.hip
    legs, edges = bottoms.leg_pieces(measures, bottoms.BAND)
    fly: Line = [complex(2.6, 5), complex(2.4, 18), complex(0, 24)]
    low = 46 if garment.kind == "trousers" else 25
    return Cut(
        pieces=(*legs, bottoms.waistband(waist, bottoms.BAND)),
        hems=tuple(edges),
        front=(complex(0, 0.8), complex(0, 24)),
        waist=_band_line(waist),
        pockets=_pair(Pocket(complex(hip * 0.74, low), hip * 0.52, 14, flap=True)),
        seams=(fly, *_stitches(garment, edges)),
    )


_TAILORS: dict[GarmentKind, Callable[[Garment, Arms], Cut]] = {
    "dress": _dress,
    "skirt": _skirt,
    "shirt": _top,
    "T-shirt": _top,
    "blouse": _top,
    "sweater": _top,
    "cardigan": _top,
    "hoodie": _top,
    "jacket": _top,
    "coat": _top,
    "jumpsuit": _jumpsuit,
    "trousers": _trousers,
    "shorts": _trousers,
}


def _sleeves(garment: Garment, torso: Torso, arms: Arms) -> tuple[list[Piece], list[Line]]:
    """Return left and right sleeve and their lower edges; nothing without sleeves."""
    measures = sleeves_of(garment)
    if measures is None:
        return [], []
    mould, left_edge = tops.sleeve_of(torso, measures, arms[0])
    right, right_edge = tops.sleeve_of(torso, measures, arms[1])
    return [mould.reflected(), right], [mirrored(left_edge), right_edge]


def _ribs(hem: Line, sleeves: list[Piece], cuffs: list[Line]) -> tuple[Piece, ...]:
    bands = [tops.rib_at(hem, 1j)]
    for sleeve, cuff in zip(sleeves, cuffs, strict=True):
        depth = tops.RIB if abs(sleeve.spine[1] - sleeve.spine[0]) > 30 else tops.RIB * 0.6
        bands.append(tops.rib_at(cuff, direction(*sleeve.spine), depth))
    return tuple(bands)


def _stitches(garment: Garment, edges: list[Line]) -> tuple[Line, ...]:
    """Return the lines of stitches above the lower edges, where there are no knitted bands."""
    if has_ribs(garment):
        return ()
    return tuple([point - 1.8j for point in edge] for edge in edges)


def _waist_line(torso: Torso) -> Line:
    width, height = torso.waist + 0.2, torso.waist_at - 0.6
    return [complex(-width, height), complex(0, height + 1.0), complex(width, height)]


def _band_line(waist: float) -> Line:
    height = bottoms.BAND / 2
    return [complex(-waist, height), complex(0, height + 0.9), complex(waist, height)]


def _top_pockets(garment: Garment, torso: Torso) -> tuple[Pocket, ...]:
    if garment.kind == "hoodie":
        return (Pocket(complex(0, 49), 27, 13),)
    if garment.kind in ("shirt", "T-shirt"):
        return (Pocket(complex(torso.chest * 0.48, torso.armpit + 5), 9.5, 11),)
    flap = garment.kind in ("jacket", "coat")
    low = torso.waist_at + (12 if flap else 9)
    return _pair(Pocket(complex(torso.waist * 0.56, low), 11.5, 13, flap=flap))


def _pair(pocket: Pocket) -> tuple[Pocket, ...]:
    other: Point = -pocket.centre.conjugate()
    return (pocket, Pocket(other, pocket.width, pocket.height, pocket.flap, -pocket.slanted))


def _joined(lines: list[Line]) -> Line:
    return [point for line in lines for point in line]
