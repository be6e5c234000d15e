"""The numbers of the cut: how wide and how long each kind of garment is, in centimetres.

Widths are from the middle to one side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tmcir.rendered.garment import Garment
from tmcir.rendered.vocabulary import Fit, GarmentKind, Length, Neckline

Hem = Literal["straight", "shirttail", "rib", "flounce", "waist"]

_FIT_INDEX: dict[Fit, int] = {"slim": 0, "regular": 1, "loose": 2}
# Slim, regular, loose.
_SHOULDER = (18.0, 19.5, 22.5)
_CHEST = (19.0, 23.0, 28.5)
_WAIST = (17.2, 21.8, 28.5)
_ARMPIT = (21.5, 24.0, 28.5)
_SLEEVE_END = (4.6, 6.2, 9.2)
_SLEEVE_TOP = (0.94, 1.0, 1.08)
_SKIRT_WAIST = (15.5, 17.0, 18.5)

_NECKS: dict[Neckline, tuple[float, float]] = {
    "crew": (8.0, 8.5),
    "V": (8.0, 21.0),
    "boat": (14.5, 5.5),
    "turtleneck": (7.0, 6.0),
    "collar": (7.2, 9.5),
    "lapels": (7.8, 35.0),
}
_HOODED = (8.5, 9.0)


@dataclass(frozen=True, slots=True)
class TopStyle:
    """What distinguishes the upper part of one kind from another's."""

    length: float
    hem: Hem
    ease: float = 0.0
    waist: float = 1.0
    flare: float = 1.0


_TOPS: dict[GarmentKind, TopStyle] = {
    "shirt": TopStyle(74, "shirttail", ease=0.5, waist=0.97, flare=1.0),
    "T-shirt": TopStyle(67, "straight", waist=0.98),
    "blouse": TopStyle(62, "flounce", waist=0.88, flare=1.22),
    "sweater": TopStyle(66, "rib", ease=2.0),
    "cardigan": TopStyle(71, "rib", ease=1.5, waist=0.98),
    "hoodie": TopStyle(69, "rib", ease=3.0, waist=1.03),
    "jacket": TopStyle(62, "straight", ease=2.0, waist=0.92, flare=1.04),
    "coat": TopStyle(86, "straight", ease=3.5, waist=0.9, flare=1.12),
    "dress": TopStyle(40, "waist", waist=0.86),
    "jumpsuit": TopStyle(40, "waist", waist=0.9),
}
_COAT_LENGTH: dict[Length, float] = {"short": 86, "knee": 106, "long": 130}
_SKIRT_LENGTH: dict[Length, float] = {"short": 40, "knee": 60, "long": 94}
_DRESS_SKIRT: dict[Length, float] = {"short": 38, "knee": 60, "long": 98}
_LEG_LENGTH: dict[Length, float] = {"short": 40, "knee": 62, "long": 102}
_SHORTS = 42.0
_LEG_WIDTHS = ((7.0, 5.6), (10.0, 9.4), (14.0, 15.5))
_SHORT_LEG_WIDTH = (9.6, 12.2, 16.5)
_LEG_APART = (10.5, 11.3, 15.0)
_FULLNESS = (0.15, 0.5, 1.0)
_WAVES = (0, 3, 5)

_SLEEVE_LENGTH = {"short": 22.0, "long": 57.0}
_SLEEVE_ANGLE = {"short": 40.0, "long": 17.0}
_SLOPE = 4.6 / 13


@dataclass(frozen=True, slots=True)
class Torso:
    """Measures of the upper part of a garment."""

    shoulder: float
    chest: float
    waist: float
    hem: float
    armpit: float
    waist_at: float
    length: float
    neck: float
    neck_depth: float
    hem_style: Hem

    def height_of_shoulder(self, x: float) -> float:
        """Return how low the shoulder line is at a distance from the middle."""
        return max(x - 6.5, 0.0) * _SLOPE


@dataclass(frozen=True, slots=True)
class Sleeves:
    """Measures of a sleeve: its length, its angle to the vertical, half the width of its end."""

    length: float
    angle: float
    end: float
    top: float
    puffed: bool


@dataclass(frozen=True, slots=True)
class Skirt:
    """Measures of a skirt. ``fullness`` in [0, 1] makes folds, ``waves`` go along the hem."""

    waist: float
    hip: float
    hem: float
    length: float
    fullness: float
    waves: int


@dataclass(frozen=True, slots=True)
class Legs:
    """Measures of two legs; ``apart`` is how far the middle of one is from that of the garment."""

    waist: float
    hip: float
    knee: float
    end: float
    apart: float
    length: float
    fullness: float


def torso_of(garment: Garment) -> Torso:
    """Return the measures of the upper part of a garment that has one."""
    style, fit = _TOPS[garment.kind], _FIT_INDEX[garment.fit]
    ease = style.ease * (0.4, 1.0, 1.4)[fit]
    neck, depth = _NECKS[garment.neckline] if garment.neckline else _HOODED
    length = style.length
    if garment.kind == "coat" and garment.length:
        length = _COAT_LENGTH[garment.length]
    if garment.kind == "jacket" and garment.closure == "buttons":
        length += 6
    waist = (_WAIST[fit] + ease) * style.waist
    if style.hem == "waist":
        waist = _SKIRT_WAIST[fit] + (0.5, 1.5, 4.0)[fit]
    chest = _CHEST[fit] + ease
    below = max(length - 45.0, 0.0) / 60
    return Torso(
        shoulder=_SHOULDER[fit] + ease * 0.5,
        chest=chest,
        waist=waist,
        hem=waist if style.hem == "waist" else chest * style.flare * (1 + 0.12 * below),
        armpit=_ARMPIT[fit] + ease * 0.6,
        waist_at=40.0 if style.hem == "waist" else 42.0,
        length=length,
        neck=neck,
        neck_depth=depth,
        hem_style=style.hem,
    )


def sleeves_of(garment: Garment) -> Sleeves | None:
    """Return the measures of the sleeves, or None without any."""
    if garment.sleeve not in ("short", "long"):
        return None
    fit = _FIT_INDEX[garment.fit]
    end = _SLEEVE_END[fit] if garment.sleeve == "long" else 7.0 + 1.4 * _SLEEVE_END[fit] / 4
    if garment.kind in ("coat", "jacket", "hoodie"):
        end += 0.8
    return Sleeves(
        length=_SLEEVE_LENGTH[garment.sleeve] * (1.0, 1.02, 1.06)[fit],
        angle=_SLEEVE_ANGLE[garment.sleeve],
        end=end,
        top=_SLEEVE_TOP[fit],
        puffed=garment.kind == "blouse",
    )


def skirt_of(garment: Garment) -> Skirt:
    """Return the measures of a skirt, or of a dress below its waist."""
    fit = _FIT_INDEX[garment.fit]
    assert garment.length is not None
    dress = garment.kind == "dress"
    length = (_DRESS_SKIRT if dress else _SKIRT_LENGTH)[garment.length]
    waist = torso_of(garment).waist if dress else _SKIRT_WAIST[fit]
    hip = waist + (4.8, 6.5, 9.0)[fit]
    hem = hip + (-1.5 - length * 0.02, 1.0 + length * 0.11, 4.0 + length * 0.27)[fit]
    return Skirt(waist, hip, hem, length, _FULLNESS[fit], _WAVES[fit])


def legs_of(garment: Garment) -> Legs:
    """Return the measures of trousers, or of a jumpsuit below its waist."""
    fit = _FIT_INDEX[garment.fit]
    waist = torso_of(garment).waist if garment.kind == "jumpsuit" else _SKIRT_WAIST[fit] + 1.0
    length = _SHORTS if garment.kind == "shorts" else _LEG_LENGTH[garment.length or "long"]
    knee, end = _LEG_WIDTHS[fit]
    if garment.kind == "shorts" or garment.length == "short":
        knee = end = _SHORT_LEG_WIDTH[fit]
    hip = waist + (3.8, 5.0, 7.0)[fit]
    return Legs(waist, hip, knee, end, _LEG_APART[fit], length, _FULLNESS[fit])
