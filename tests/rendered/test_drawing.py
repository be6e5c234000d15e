"""Pictures of garments: the same for the same input, and different where attributes are."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tmcir.rendered.drawing import draw, render
from tmcir.rendered.garment import Garment
from tmcir.rendered.nuisance import Nuisance
from tmcir.rendered.palette import COLOURS, RGB, shade_of
from tmcir.rendered.sampling import edit_garment, sample_garment
from tmcir.rendered.vocabulary import ATTRIBUTES, KINDS, GarmentKind, values_of

USUAL = Nuisance.sample(random.Random(0))
STILL = replace(USUAL, rotation=0.0, offset=(0.0, 0.0), sway=0.0, scale=1.0, shade=0.5)


def pixels(garment: Garment, nuisance: Nuisance = USUAL, size: int = 64) -> np.ndarray:
    return np.asarray(render(garment, nuisance, size), dtype=np.float32)


def difference(one: Garment, other: Garment) -> float:
    """Return the share of pixels at 64 px that look different in one and the same photo."""
    apart = np.abs(pixels(one) - pixels(other)).max(axis=-1)
    return float((apart > 12).mean())


def test_a_picture_is_rgb_of_any_size() -> None:
    garment = sample_garment(random.Random(0))
    for size in (16, 64, 301):
        image = render(garment, USUAL, size)
        assert (image.mode, image.size) == ("RGB", (size, size))


def test_the_same_input_gives_the_same_bytes() -> None:
    garment = sample_garment(random.Random(3))
    again = sample_garment(random.Random(3))
    assert draw(garment, USUAL) == draw(again, USUAL)
    assert render(garment, USUAL).tobytes() == render(again, USUAL).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_value_of_every_attribute_draws(kind: GarmentKind) -> None:
    generator = random.Random(kind)
    for name in ATTRIBUTES:
        for value in values_of(kind, name) if name not in ("kind", "second_colour") else ():
            garment = sample_garment(generator, **{"kind": kind, name: value})
            svg = draw(garment, Nuisance.sample(generator))
            assert "nan" not in svg
            ElementTree.fromstring(svg)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_any_attribute_can_be_seen(kind: GarmentKind) -> None:
    generator = random.Random(f"{kind} seen")
    base = sample_garment(generator, kind=kind, pattern="dots")
    for name in ATTRIBUTES:
        others = [value for value in base.choices(name) if value != base.value(name)]
        for value in generator.sample(others, min(2, len(others))):
            edited = edit_garment(base, generator, **{name: value})
            assert difference(base, edited) > 0.003, (name, base, edited)


def test_circumstances_change_the_picture_and_not_its_name() -> None:
    garment = Garment("T-shirt", "teal", sleeve="short", neckline="crew")
    first, second = (Nuisance.sample(random.Random(seed)) for seed in (1, 2))
    assert np.abs(pixels(garment, first) - pixels(garment, second)).max() > 20
    assert garment == Garment("T-shirt", "teal", sleeve="short", neckline="crew")


@pytest.mark.parametrize("colour", COLOURS)
def test_the_cloth_has_the_named_colour_in_any_light(colour: str) -> None:
    generator = random.Random(colour)
    garment = sample_garment(
        generator, kind="T-shirt", colour=colour, pattern="solid", trim="none", pockets=False
    )
    for _ in range(3):
        image = pixels(garment, Nuisance.sample(generator), 48)
        middle = np.median(image[20:32, 18:30].reshape(-1, 3), axis=0) / 255
        seen = RGB(*(float(channel) for channel in middle))
        near = sorted(COLOURS, key=lambda name: seen.distance(shade_of(name, 0.5)))
        assert colour in near[:2], near


def test_garments_stay_within_the_picture() -> None:
    generator = random.Random(5)
    for kind in KINDS:
        for fit in ("slim", "loose"):
            garment = sample_garment(generator, kind=kind, fit=fit)
            picture = render(garment, Nuisance.sample(generator), 64)
            wall = _border(picture)
            assert np.abs(np.diff(wall.astype(np.float32), axis=0)).max() < 40


def _border(image: Image.Image) -> np.ndarray:
    array = np.asarray(image)
    return np.concatenate([array[0], array[:, -1], array[-1, ::-1], array[::-1, 0]])


def test_longer_and_wider_garments_are_so_in_the_picture() -> None:
    def extent(garment: Garment) -> tuple[float, float]:
        apart = np.abs(pixels(garment, STILL, 128) - pixels(garment, STILL, 128)[:1, :1])
        rows, columns = np.nonzero(apart.max(axis=-1) > 60)
        return float(np.ptp(rows)), float(np.ptp(columns))

    skirt = Garment("skirt", "black", length="short")
    for one, other in (("short", "knee"), ("knee", "long")):
        (h1, w1), (h2, w2) = (extent(skirt.replace(length=length)) for length in (one, other))
        assert h1 / w1 < h2 / w2
    for one, other in (("slim", "regular"), ("regular", "loose")):
        (h1, w1), (h2, w2) = (extent(skirt.replace(fit=fit)) for fit in (one, other))
        assert w1 / h1 < w2 / h2
