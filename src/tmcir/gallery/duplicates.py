"""Folding near-duplicates: of photos that show the same, only the best hit is kept."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tmcir.gallery.store import Neighbours, Value

#: Cosine of vectors from which two photos may be the same. Alone it would not do: a model that
#: gives all shirts much the same vector would fold them all.
SAME_VECTOR = 0.98
#: Correlation of pixels, at 16 x 16, from which they are. Resized and recompressed copies of
#: product photos reach 0.998, other products in the same pose stay below 0.996.
SAME_PIXELS = 0.997

_SIDE = 16


def fold(
    ranked: Neighbours,
    rows: Mapping[str, Mapping[str, Value]],
    thumbnails: Mapping[str, bytes],
) -> dict[int, list[int]]:
    """Fold each hit into the first kept hit that it repeats.

    Two photos repeat each other if their files have equal bytes, or if their vectors and the
    pixels of their thumbnails are nearly the same. A hit is compared with those that were kept
    before it, and with nothing after it: so the beginning of the result does not depend on how
    many hits follow.

    Args:
        ranked: K hits, the best first.
        rows: Their ``content_hash`` by id.
        thumbnails: Their JPEG files by id; a photo without one is compared by its bytes alone.

    Returns:
        Positions of the hits that are kept, ascending, each with those folded into it.
    """
    hashes = [rows.get(name, {}).get("content_hash", name) for name in ranked.ids]
    pixels = np.stack([_pixels(thumbnails.get(name)) for name in ranked.ids]) if hashes else None
    kept: dict[int, list[int]] = {}
    first: list[int] = []  # the positions of those kept
    by_hash: dict[Value, int] = {}
    for position, vector in enumerate(ranked.vectors):
        near = ranked.vectors[first] @ vector >= SAME_VECTOR
        if pixels is not None and near.any():
            near &= pixels[first] @ pixels[position] >= SAME_PIXELS
        if hashes[position] in by_hash:
            kept[by_hash[hashes[position]]].append(position)
        elif near.any():
            kept[first[int(near.argmax())]].append(position)
        else:
            first.append(position)
            by_hash[hashes[position]] = position
            kept[position] = []
    return kept


def _pixels(jpeg: bytes | None) -> NDArray[np.float32]:
    """Return a small version as a centred vector of length 1, or 0 where there is nothing on it."""
    if not jpeg:
        return np.zeros(3 * _SIDE * _SIDE, np.float32)
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float32).reshape(-1)  # [16 * 16 * 3]
    values = values - values.mean()
    length = np.linalg.norm(values)
    flat: NDArray[np.float32] = values / length if length > 1 else values
    return flat
