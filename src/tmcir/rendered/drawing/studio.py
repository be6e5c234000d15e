"""The wall behind a garment, its light, and the shadow that the garment throws on it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from tmcir.rendered.nuisance import Nuisance
from tmcir.rendered.palette import RGB, WHITE

_SHADOW = (28, 26, 36)
_SHADOW_SHARE = 0.42
_GREY = RGB(0.2, 0.2, 0.25)


def hang_on_wall(garment: Image.Image, nuisance: Nuisance) -> Image.Image:
    """Return a garment before the wall.

    Pillow blurs the shadow: as a filter of the SVG it would take more time than the garment does.

    Args:
        garment: RGBA, square.
        nuisance: The wall and the light.
    """
    size = garment.width
    picture = _wall(nuisance, size)
    alpha = garment.getchannel("A")
    for radius, share, drop in ((size / 90, 0.5, 0.006), (size / 28, 0.5, 0.022)):
        soft = alpha.filter(ImageFilter.GaussianBlur(radius))
        shifted = ImageChops.offset(soft, round(-0.014 * nuisance.light * size), round(drop * size))
        mask = shifted.point([round(value * _SHADOW_SHARE * share) for value in range(256)])
        picture.paste(_SHADOW, mask=mask)
    picture.paste(garment, mask=alpha)
    return picture


def _wall(nuisance: Nuisance, size: int) -> Image.Image:
    """Return the lit wall: brightest where the light falls, darker towards the corners."""
    # In steps, so that the distances are computed for a few places only.
    distance = _distances(size, 0.5 + round(6 * nuisance.light) / 20)[..., None]
    wall = nuisance.background
    stops = [wall.mix(WHITE, 0.55), wall, wall.mix(_GREY, 0.16)]
    lit, plain, dim = (np.array([c.red, c.green, c.blue], np.float32) for c in stops)
    near = lit + (plain - lit) * np.clip(distance / 0.55, 0, 1)
    colours = near + (dim - plain) * np.clip((distance - 0.55) / 0.45, 0, 1)
    return Image.fromarray((colours * 255 + 0.5).astype(np.uint8))


@lru_cache(maxsize=16)
def _distances(size: int, x: float) -> NDArray[np.float32]:
    """Return how far every pixel is from where the light falls: float [size, size]."""
    places = (np.arange(size, dtype=np.float32) + 0.5) / size
    return (np.hypot(places[None, :] - x, places[:, None] - 0.38) / 0.85).astype(np.float32)
