"""Near-duplicates among hits: only the best hit of each set is kept."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tmcir.gallery.stores.base import Neighbours, Value

#: Minimum cosine of two near-duplicates. Not sufficient: a model that gives all shirts
#: nearly equal vectors would merge them all.
SAME_VECTOR = 0.98
#: Minimum correlation of their pixels at 16 x 16. Resized and recompressed copies of product photos
#: reach 0.998, other products in the same pose stay below 0.996.
SAME_PIXELS = 0.997

_SIDE = 16
_BLOCK = 512  # hits whose vectors are compared with all before them at once


def deduplicate(
    ranked: Neighbours,
    rows: Mapping[str, Mapping[str, Value]],
    thumbnails: Callable[[Sequence[str]], Mapping[str, bytes]],
) -> dict[int, list[int]]:
    """Merge each hit into the first kept hit that it repeats.

    Two photos repeat each other if their files have equal bytes, or if both their vectors and
    the pixels of their thumbnails are nearly equal. A hit is compared only with the kept hits
    before it, so the beginning of the result does not depend on how many hits follow.

    Args:
        ranked: K hits, the best first.
        rows: Their ``content_hash`` by id.
        thumbnails: Returns JPEG files by id; a photo without one is compared by its bytes alone.
            Called only for photos whose vectors are close to another's.

    Returns:
        Positions of the hits that are kept, ascending, each with those merged into it.
    """
    vectors, count = ranked.vectors, len(ranked.ids)
    pixels = _Thumbnails(ranked.ids, thumbnails)
    kept: dict[int, list[int]] = {}
    is_kept = np.zeros(count, bool)
    by_hash: dict[Value, int] = {}
    for start in range(0, count, _BLOCK):
        end = min(start + _BLOCK, count)
        near = np.tril(vectors[start:end] @ vectors[:end].T >= SAME_VECTOR, start - 1)
        pixels.read(
            np.union1d(start + np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0)))
        )
        for position in range(start, end):
            own_hash = rows.get(ranked.ids[position], {}).get("content_hash", position)
            first = by_hash.get(own_hash)
            if first is None:
                before = np.flatnonzero(near[position - start] & is_kept[:end])
                first = pixels.alike(position, before)
            if first is None:
                by_hash[own_hash] = position
                is_kept[position] = True
                kept[position] = []
            else:
                kept[first].append(position)
    return kept


class _Thumbnails:
    """Small versions of the hits' thumbnails, each read once and only if it is needed."""

    def __init__(
        self, ids: Sequence[str], thumbnails: Callable[[Sequence[str]], Mapping[str, bytes]]
    ) -> None:
        self._ids = ids
        self._thumbnails = thumbnails
        self._known: dict[int, NDArray[np.float32]] = {}

    def read(self, positions: NDArray[np.int64]) -> None:
        """Read the thumbnails of some hits."""
        missing = [place for place in positions.tolist() if place not in self._known]
        found = self._thumbnails([self._ids[place] for place in missing]) if missing else {}
        for place in missing:
            self._known[place] = _pixels(found.get(self._ids[place]))

    def alike(self, position: int, others: NDArray[np.int64]) -> int | None:
        """Return the first of ``others`` with nearly the same pixels, or None."""
        if len(others) == 0:
            return None
        seen = np.stack([self._known[place] for place in others.tolist()])
        same = seen @ self._known[position] >= SAME_PIXELS
        return int(others[same.argmax()]) if same.any() else None


def _pixels(jpeg: bytes | None) -> NDArray[np.float32]:
    """Return a small version as a centred vector of length 1, or 0 where there is nothing on it."""
    if not jpeg:
        return np.zeros(3 * _SIDE * _SIDE, np.float32)
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        image.draft("RGB", (2 * _SIDE, 2 * _SIDE))  # decoded no larger than it must be
        small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float32).reshape(-1)  # [16 * 16 * 3]
    values = values - values.mean()
    length = np.linalg.norm(values)
    flat: NDArray[np.float32] = values / length if length > 1 else values
    return flat
