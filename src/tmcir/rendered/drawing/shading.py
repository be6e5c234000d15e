"""Light on cloth: the roundness of parts, soft folds, and the shadow on the wall."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tmcir.rendered.drawing.cut import Cut, Piece
from tmcir.rendered.drawing.geometry import Line, Pen, Point, between, direction, ribbon
from tmcir.rendered.drawing.paint import filled
from tmcir.rendered.palette import RGB

_SHADOW = "#17172b"


def shade_piece(piece: Piece, path: str, identifier: str, light: float, cloth: RGB) -> str:
    """Return a part's shading: dark towards both sides, with a gleam where the light falls.

    Args:
        piece: The part.
        path: Its outline as path data.
        identifier: Unused so far in the picture; names the gradient.
        light: -1 when it comes from the left, 1 from the right.
        cloth: The colour under it: what is dark needs more gleam, what is light less shadow.
    """
    top, bottom = piece.spine
    middle = between(top, bottom, 0.5)
    across = direction(top, bottom) * -1j
    half = max(piece.top, piece.bottom) * 1.02
    start, end = middle - across * half, middle + across * half
    if across.real < 0:
        start, end = end, start
    bright = cloth.brightness
    dark, gleam = 0.34 - 0.14 * bright, 0.2 - 0.1 * bright
    left, right = dark * (1 + 0.45 * light), dark * (1 - 0.45 * light)
    peak = 0.5 + 0.22 * light
    return (
        f'<linearGradient id="{identifier}" gradientUnits="userSpaceOnUse" x1="{start.real:.1f}"'
        f' y1="{start.imag:.1f}" x2="{end.real:.1f}" y2="{end.imag:.1f}">'
        f'<stop offset="0" stop-color="{_SHADOW}" stop-opacity="{left:.3f}"/>'
        f'<stop offset=".2" stop-color="{_SHADOW}" stop-opacity="{left * 0.3:.3f}"/>'
        f'<stop offset="{peak:.2f}" stop-color="#fff" stop-opacity="{gleam:.3f}"/>'
        f'<stop offset=".82" stop-color="{_SHADOW}" stop-opacity="{right * 0.3:.3f}"/>'
        f'<stop offset="1" stop-color="{_SHADOW}" stop-opacity="{right:.3f}"/></linearGradient>'
        f'<path d="{path}" fill="url(#{identifier})"/>'
    )


def draw_folds(cut: Cut, pen: Pen, light: float, cloth: RGB, seed: int) -> str:
    """Return the folds of all parts: a dark hollow, and a gleam on the side of the light."""
    generator = random.Random(seed)
    side = 1.0 if light > 0 else -1.0
    folds = [fold for piece in cut.pieces for fold in _FOLDS[piece.role](piece, generator)]
    bright = cloth.brightness
    drawn = ""
    # Two ribbons over each other, one narrower, look soft and take less time than a blur.
    for share in (1.5, 0.7):
        hollows = "".join(pen.shape(ribbon(line, width * share)) for line, width in folds)
        gleams = "".join(
            pen.shape(ribbon([p + side * width * 0.9 for p in line], width * share * 0.8))
            for line, width in folds
        )
        drawn += filled(hollows, _SHADOW, 0.16 - 0.09 * bright)
        drawn += filled(gleams, "#fff", 0.06 + 0.09 * bright)
    return drawn


def _skirt_folds(piece: Piece, generator: random.Random) -> Iterator[tuple[Line, float]]:
    count = round(3 + 9 * piece.fullness)
    top, bottom = piece.spine
    for number in range(count):
        u = -0.88 + 1.76 * (number + generator.uniform(0.2, 0.8)) / count
        start = generator.uniform(0.02, 0.35)
        upper = between(top + u * piece.top, bottom + u * piece.bottom, start)
        lower = between(top + u * piece.top, bottom + u * piece.bottom, 0.99)
        bend = generator.uniform(-1.2, 1.2)
        yield (
            [upper, between(upper, lower, 0.5) + bend, lower],
            generator.uniform(1.2, 2.2) * (0.7 + piece.fullness),
        )


def _torso_folds(piece: Piece, generator: random.Random) -> Iterator[tuple[Line, float]]:
    waist = min(piece.spine[1].imag, 44.0)
    for side in (-1.0, 1.0):
        armpit = complex(side * piece.top * 0.95, 24)
        for _ in range(2):
            end = complex(
                side * piece.top * generator.uniform(0.25, 0.6), waist - generator.uniform(3, 14)
            )
            yield [armpit, between(armpit, end, 0.5) + 1.2j, end], generator.uniform(1.2, 2.2)
        for height in (waist - 6, waist - 1, waist + 6):
            if height > piece.spine[1].imag - 4:
                continue
            start = complex(side * piece.top * 0.98, height + generator.uniform(-2, 2))
            end = start - side * generator.uniform(8, 15) + generator.uniform(1, 5) * 1j
            yield [start, between(start, end, 0.5) + 1.4j, end], generator.uniform(1.0, 1.8)
    for number in range(max(int(piece.spine[1].imag - 60) // 8, 0)):
        x = generator.uniform(-0.8, 0.8) * piece.bottom
        low = complex(x, piece.spine[1].imag - 1)
        high = complex(x * 0.9, 50 + 3 * number)
        yield [high, between(high, low, 0.5) + generator.uniform(-1, 1), low], 1.7


def _sleeve_folds(piece: Piece, generator: random.Random) -> Iterator[tuple[Line, float]]:
    top, bottom = piece.spine
    along = direction(top, bottom)
    length = abs(bottom - top)
    for number in range(max(round(length / 9), 2)):
        at = between(top, bottom, 0.25 + 0.68 * number / max(round(length / 9), 2))
        side = 1 if number % 2 else -1
        half = (piece.top * 0.75 + piece.bottom) / 2
        start = at + side * along * 1j * half
        end = at - side * along * 1j * half * generator.uniform(-0.1, 0.5)
        end += along * generator.uniform(1, 5)
        yield [start, between(start, end, 0.5) + along * 1.2, end], generator.uniform(1.0, 1.9)


def _leg_folds(piece: Piece, generator: random.Random) -> Iterator[tuple[Line, float]]:
    top, bottom = piece.spine
    side = 1.0 if top.real > 0 else -1.0
    crotch = complex(side * 1.5, top.imag + 27)
    for _ in range(3):
        end = crotch + complex(side * generator.uniform(6, 13), generator.uniform(-6, 9))
        yield [crotch, between(crotch, end, 0.5) + 0.8j, end], generator.uniform(1.0, 1.8)
    length = abs(bottom - top)
    if length > 50:
        crease = [between(top, bottom, t) + generator.uniform(-0.6, 0.6) for t in (0.3, 0.6, 0.97)]
        yield crease, 1.3 + piece.fullness
        for share in (0.52, 0.58, 0.9, 0.95):
            at = between(top, bottom, share)
            half = piece.bottom * generator.uniform(0.5, 1.0)
            turn: Point = complex(half, generator.uniform(-3, 3))
            yield [at - turn, at + 1.2j, at + turn * 0.2], generator.uniform(0.9, 1.6)
    if piece.fullness > 0.8:
        for u in (-0.55, 0.5):
            high, low = between(top, bottom, 0.35) + u * 6, bottom + u * piece.bottom
            yield [high, between(high, low, 0.5), low], 2.2


def _no_folds(piece: Piece, generator: random.Random) -> Iterator[tuple[Line, float]]:
    return iter(())


_FOLDS = {
    "torso": _torso_folds,
    "sleeve": _sleeve_folds,
    "skirt": _skirt_folds,
    "leg": _leg_folds,
    "band": _no_folds,
}
