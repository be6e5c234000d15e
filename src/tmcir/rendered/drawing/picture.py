"""Drawing a garment as SVG, and the SVG as an image."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import resvg_py
from PIL import Image

from tmcir.rendered.drawing.collars import draw_behind_neck, draw_neck
from tmcir.rendered.drawing.cut import Cut, Piece
from tmcir.rendered.drawing.fastenings import draw_belt, draw_closure, draw_pockets
from tmcir.rendered.drawing.geometry import Pen, Point, direction, spaced
from tmcir.rendered.drawing.paint import Paint, clipped, filled, outlined, stroked
from tmcir.rendered.drawing.patterns import Ground, motif, weave
from tmcir.rendered.drawing.shading import draw_folds, shade_piece
from tmcir.rendered.drawing.studio import hang_on_wall
from tmcir.rendered.drawing.tailor import cut_out
from tmcir.rendered.drawing.trims import draw_trim
from tmcir.rendered.garment import Garment
from tmcir.rendered.nuisance import Nuisance
from tmcir.rendered.palette import shade_of

# The picture is this long and wide in its own units, whatever its size in pixels.
_SIDE = 400.0
_FILLED = (318.0, 342.0)
_LARGEST = 5.6
_REPEAT = 24.0
_KNITS = ("sweater", "cardigan")


def render(garment: Garment, nuisance: Nuisance, size: int = 224) -> Image.Image:
    """Return a picture of a garment in a studio.

    Args:
        garment: What to draw.
        nuisance: The circumstances of the photo.
        size: Side in pixels.
    """
    png = resvg_py.svg_to_bytes(
        svg_string=draw(garment, nuisance), width=size, height=size, skip_system_fonts=True
    )
    with Image.open(io.BytesIO(png)) as image:
        return hang_on_wall(image.convert("RGBA"), nuisance)


def draw(garment: Garment, nuisance: Nuisance) -> str:
    """Return a picture of a garment as a square SVG without a background."""
    cut = cut_out(garment, nuisance.arms)
    view = _View.of(cut, nuisance)
    body = _Drawing(garment, cut, Pen(view.warp), _paint(garment, nuisance), nuisance, view.scale)
    x, y = view.shift.real, view.shift.imag
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE:.0f} {_SIDE:.0f}">{_DEFS}'
        f'<g transform="translate({x:.2f} {y:.2f}) rotate({nuisance.rotation:.2f})'
        f' scale({view.scale:.4f})">{body.everything()}</g></svg>'
    )


@dataclass(frozen=True, slots=True)
class _View:
    """How the flat cut comes into the picture."""

    scale: float
    shift: Point
    sway: float
    phase: float

    @classmethod
    def of(cls, cut: Cut, nuisance: Nuisance) -> _View:
        upper, lower = cut.bounds()
        width, height = lower.real - upper.real, lower.imag - upper.imag
        scale = min(_FILLED[0] / width, _FILLED[1] / height, _LARGEST) * nuisance.scale
        middle = complex(0, (upper.imag + lower.imag) / 2)
        turned = middle * complex(
            math.cos(math.radians(nuisance.rotation)), math.sin(math.radians(nuisance.rotation))
        )
        centre = complex(0.5 + nuisance.offset[0], 0.5 + nuisance.offset[1]) * _SIDE
        return cls(scale, centre - turned * scale, nuisance.sway, nuisance.folds % 628 / 100)

    def warp(self, point: Point) -> Point:
        """Let the cloth hang a little to one side, and not quite straight."""
        x, y = point.real, point.imag
        drift = self.sway * 2.2 * (max(y, 0.0) / 80) ** 2
        ripple = 0.35 * math.sin(y / 11 + self.phase) * min(max(y, 0.0) / 40, 1.0)
        return complex(x + drift + ripple, y + self.sway * 0.018 * x)


def _paint(garment: Garment, nuisance: Nuisance) -> Paint:
    ground = shade_of(garment.colour, nuisance.shade)
    if garment.second_colour is None:
        return Paint(ground, ground)
    return Paint(ground, shade_of(garment.second_colour, nuisance.second_shade))


@dataclass(frozen=True, slots=True)
class _Drawing:
    """All that the parts of one picture have in common."""

    garment: Garment
    cut: Cut
    pen: Pen
    paint: Paint
    nuisance: Nuisance
    scale: float

    def everything(self) -> str:
        """Return the garment, what is behind first."""
        garment, cut, pen, paint = self.garment, self.cut, self.pen, self.paint
        return (
            draw_behind_neck(garment, cut, pen, paint)
            + "".join(self._cloth(number) for number in range(len(cut.pieces)))
            + self._print()
            + self._folds()
            + "".join(stroked(pen.line(s), paint.seam, 0.32, 0.9, "1.1 .7") for s in cut.seams)
            + "".join(self._rib(piece) for piece in cut.ribs)
            + draw_neck(garment, cut, pen, paint)
            + draw_trim(garment, cut, pen, paint)
            + draw_closure(garment, cut, pen, paint)
            + draw_pockets(garment, cut, pen, paint)
            + draw_belt(garment, cut, pen, paint)
        )

    def _cloth(self, number: int) -> str:
        """Return a part in its colour and pattern, with its shading."""
        piece = self.cut.pieces[number]
        path = self.pen.shape(piece.outline)
        drawn = filled(path, self.paint.ground)
        woven = weave(self.garment.pattern, self._ground(piece), self.pen)
        if woven:
            drawn += clipped(path, f"part{number}", woven)
        if self.garment.kind in _KNITS:
            drawn += clipped(path, f"knit{number}", self._knit(piece))
        light = self.nuisance.light
        drawn += shade_piece(piece, path, f"light{number}", light, self.paint.ground)
        return drawn + stroked(path, self.paint.outline, 0.5)

    def _ground(self, piece: Piece) -> Ground:
        """Return the cloth of a part, turned as the part is."""
        turn = 1 + 0j
        if piece.role in ("sleeve", "leg"):
            turn = direction(*piece.spine) * -1j
        points = [point / turn for line in piece.outline for point in line]
        margin = 3 + 3j
        return Ground(
            colour=self.paint.ground,
            second=self.paint.second,
            repeat=_REPEAT / self.scale * self.nuisance.pattern_scale,
            start=complex(min(p.real for p in points), min(p.imag for p in points)) - margin,
            end=complex(max(p.real for p in points), max(p.imag for p in points)) + margin,
            turn=turn,
        )

    def _print(self) -> str:
        if self.garment.pattern != "graphic print":
            return ""
        centre, half = self.cut.motif
        paint = self.paint
        return motif(centre, half, paint.second, paint.ground, self.nuisance.folds, self.pen)

    def _folds(self) -> str:
        folds = draw_folds(
            self.cut, self.pen, self.nuisance.light, self.paint.ground, self.nuisance.folds
        )
        everything = "".join(self.pen.shape(piece.outline) for piece in self.cut.pieces)
        return clipped(everything, "folds", folds)

    def _knit(self, piece: Piece) -> str:
        """Return the rows of stitches of knitted cloth."""
        ground = self._ground(piece)
        columns = "".join(
            self.pen.line(
                [
                    complex(x, ground.start.imag) * ground.turn,
                    complex(x, ground.end.imag) * ground.turn,
                ]
            )
            for x in range(int(ground.start.real) // 2 * 2, int(ground.end.real), 2)
        )
        ink = "#fff" if self.paint.ground.brightness < 0.25 else "#17172b"
        return stroked(columns, ink, 0.9, 0.09) + stroked(columns, ink, 0.5, 0.22, ".55 .45")

    def _rib(self, piece: Piece) -> str:
        lower, upper = spaced(piece.outline[0], 1.7), spaced(piece.outline[2][::-1], 1.7)
        lines = "".join(self.pen.line([a, b]) for a, b in zip(lower, upper, strict=False))
        path = self.pen.shape(piece.outline)
        return (
            outlined(path, self.paint.ground, self.paint.outline, 0.45)
            + filled(path, "#000", 0.07)
            + stroked(lines, self.paint.seam, 0.35, 0.7)
        )


_DEFS = (
    '<defs><linearGradient id="tube"><stop offset="0" stop-color="#17172b" stop-opacity=".3"/>'
    '<stop offset=".5" stop-color="#fff" stop-opacity=".1"/>'
    '<stop offset="1" stop-color="#17172b" stop-opacity=".3"/></linearGradient></defs>'
)
