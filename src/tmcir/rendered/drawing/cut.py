"""The flat parts that a garment is put together from, as outlines in centimetres of cloth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tmcir.rendered.drawing.geometry import Line, Point, reflected

Role = Literal["torso", "sleeve", "skirt", "leg", "band"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of cloth.

    Attributes:
        role: What it covers; folds and shading depend on it.
        outline: Lines that close a shape.
        spine: From the middle of its top to the middle of its bottom.
        top: Half its width at the top of the spine.
        bottom: Half its width at the bottom.
        fullness: How much cloth falls there, in [0, 1]: more makes more folds.
    """

    role: Role
    outline: tuple[Line, ...]
    spine: tuple[Point, Point]
    top: float
    bottom: float
    fullness: float = 0.4

    def reflected(self) -> Piece:
        """Return the same part for the other side."""
        start, end = (-point.conjugate() for point in self.spine)
        return replace(self, outline=reflected(self.outline), spine=(start, end))


@dataclass(frozen=True, slots=True)
class Pocket:
    """Where a pocket is sewn on, and how large it is. A flap hangs over its opening."""

    centre: Point
    width: float
    height: float
    flap: bool = False
    slanted: float = 0.0


@dataclass(frozen=True, slots=True)
class Cut:
    """A garment's parts, and the lines that its details follow.

    Attributes:
        pieces: The parts, those behind first.
        behind: What shows of the inside, behind everything.
        hems: Lower edges of body, sleeves and legs; outside is to their right as they run.
        neckline: The edge around the neck, with the outside to its right; empty without one.
        front: Top and bottom of the line on which it closes.
        waist: Where a belt goes, left to right; empty where it cannot have one.
        motif: Middle and half the size of a printed picture.
        pockets: Places of pockets.
        seams: Lines of stitches.
        ribs: Knitted bands at the ends; drawn over the pieces.
        crown: How far the parts at the neck stand out above the shoulders.
    """

    pieces: tuple[Piece, ...]
    hems: tuple[Line, ...]
    behind: tuple[Line, ...] = ()
    neckline: Line = ()
    front: tuple[Point, Point] = (0j, 0j)
    waist: Line = ()
    motif: tuple[Point, float] = (0j, 10.0)
    pockets: tuple[Pocket, ...] = ()
    seams: tuple[Line, ...] = ()
    ribs: tuple[Piece, ...] = ()
    crown: float = 0.0

    def bounds(self) -> tuple[Point, Point]:
        """Return the upper left and the lower right corner of all parts."""
        parts = (*self.pieces, *self.ribs)
        points = [point for piece in parts for line in piece.outline for point in line]
        left, right = min(p.real for p in points), max(p.real for p in points)
        top, bottom = min(p.imag for p in points), max(p.imag for p in points)
        return complex(left, min(top, -self.crown)), complex(right, bottom)
