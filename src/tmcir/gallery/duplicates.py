"""Folding near-duplicates: of photos that show the same, only the best hit is kept."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tmcir.gallery.store import Neighbours, Value

#: Cosine from which two photos count as the same.
SAME = 0.98


def fold(
    ranked: Neighbours, rows: Mapping[str, Mapping[str, Value]], same: float = SAME
) -> dict[int, list[int]]:
    """Fold each hit into the first kept hit that it repeats.

    Two photos repeat each other if their files have equal bytes, or if the cosine of their
    vectors is at least ``same``. A hit is compared with those that were kept before it, and with
    nothing after it: so the beginning of the result does not depend on how many hits follow.

    Args:
        ranked: Hits, the best first.
        rows: Their ``content_hash`` by id.
        same: The cosine.

    Returns:
        Positions of the hits that are kept, ascending, each with those folded into it.
    """
    hashes = [rows.get(name, {}).get("content_hash", name) for name in ranked.ids]
    kept: dict[int, list[int]] = {}
    first: list[int] = []  # the positions of those kept
    by_hash: dict[Value, int] = {}
    matrix = np.empty_like(ranked.vectors)  # [K, D], its first rows are the vectors of those kept
    for position, vector in enumerate(ranked.vectors):
        near = np.flatnonzero(matrix[: len(first)] @ vector >= same)
        if hashes[position] in by_hash:
            kept[by_hash[hashes[position]]].append(position)
        elif len(near):
            kept[first[near[0]]].append(position)
        else:
            matrix[len(first)] = vector
            first.append(position)
            by_hash[hashes[position]] = position
            kept[position] = []
    return kept
