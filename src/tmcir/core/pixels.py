"""From the pixels of any mode to RGB: depth, transparency, orientation and colour profiles."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, ImageOps

# round(value * 255 / 65535) for every 16-bit value
_EIGHT_BITS = ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)
_SAME_COLOURS = 2  # levels; a profile that changes less than this is sRGB under some name


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return a decoded image upright, in mode RGB and in sRGB.

    Transparent pixels are laid on white; 16-bit and float pixels are scaled to 8 bits. Colours are
    converted by the image's own profile; a profile that is damaged, or of another mode than the
    image, is ignored.
    """
    if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        # Adobe writes CMYK inverted, and Pillow takes every CMYK file for Adobe's
        profile = image.info.get("icc_profile")
        image = ImageChops.invert(image)
        image.info["icc_profile"] = profile
    return _to_rgb(_in_srgb(_upright(image)))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data does not make the pixels any worse
        return image


def _in_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile or image.mode[0] in "IF":
        return image
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA") else "RGBA")
        alpha, image = image.getchannel("A"), image.convert(image.mode[:-1])
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    transform = _to_srgb(profile, image.mode)
    converted = image if transform is None else transform.apply(image)
    converted.info.pop("icc_profile", None)
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None where there is nothing to be done."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, mode, "RGB")
        if mode == "RGB":
            steps = np.stack(np.meshgrid(*[np.arange(0, 256, 51)] * 3), axis=-1).astype(np.uint8)
            colours = Image.fromarray(steps.reshape(6, 36, 3))
            changed = np.asarray(transform.apply(colours)).astype(int) - np.asarray(colours)
            if np.abs(changed).max() <= _SAME_COLOURS:
                return None
    except Exception:  # a damaged profile, one of another mode, or a Pillow without this part
        return None
    return transform


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_integers(np.asarray(image)).convert("RGB")
    if image.mode == "F":
        return _from_floats(np.asarray(image)).convert("RGB")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        page = Image.new("RGB", coloured.size, "white")
        page.paste(coloured, mask=coloured.getchannel("A"))
        return page
    return image.convert("RGB")


def _from_integers(values: NDArray[np.integer]) -> Image.Image:
    # Files of 32 bits state no range. Those that hold 16 bits are read as such, others stretched.
    if values.min() >= 0 and values.max() <= 65535:
        return Image.fromarray(_EIGHT_BITS[values])
    return _from_floats(values.astype(np.float32))


def _from_floats(values: NDArray[np.float32]) -> Image.Image:
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = min(float(values.min()), 0.0), float(values.max())
    if low < 0 or high > 255:  # neither of the two usual ranges: stretch what is there
        low = float(values.min())
        values = (values - low) / (high - low or 1.0)
        high = 1.0
    scale = 255.0 if high <= 1 else 1.0
    return Image.fromarray(np.rint(values * scale).astype(np.uint8))
