"""Exact nearest neighbours over vectors in memory, ties broken by gallery order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Far above the rounding error of a float32 dot product of unit vectors.
ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Vectors:
    """All vectors of one version of a gallery.

    Attributes:
        version: Grows with each change.
        ids: N names, sorted: the gallery order that breaks ties.
        keys: uint64 [N], the store's own row keys in that version.
        matrix: float32 [N, D].
    """

    version: int
    ids: Sequence[str]
    keys: NDArray[np.uint64]
    matrix: NDArray[np.float32]


def nearest(
    matrix: NDArray[np.float32],
    query: NDArray[np.float32],
    k: int,
    allowed: NDArray[np.intp] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the rows with the largest dot products, the best first.

    Equal vectors get exactly equal scores, and of equal scores the earlier row comes first. A
    float32 matrix product alone does not promise that: it may round equal rows differently by
    their position. So it only picks the candidates, and float64 sums by row rank them.

    Args:
        matrix: float32 [N, D].
        query: float32 [D].
        k: How many rows to return; all of them where there are fewer.
        allowed: Rows to choose from, ascending; None for all.

    Returns:
        Row numbers [min(k, N)] and their scores, float64 of the same shape.
    """
    rows = matrix if allowed is None else matrix[allowed]
    positions = np.arange(len(matrix)) if allowed is None else allowed
    k = min(k, len(rows))
    if k == 0:
        return np.empty(0, np.intp), np.empty(0, np.float64)
    rough = rows @ query  # [N]
    kth = np.partition(rough, len(rough) - k)[len(rough) - k]  # the k-th largest
    candidates = np.flatnonzero(rough >= kth - ROUNDING)  # [C], ascending
    scores = (rows[candidates].astype(np.float64) * query.astype(np.float64)).sum(axis=1)  # [C]
    order = np.argsort(-scores, kind="stable")[:k]
    return positions[candidates[order]], scores[order]
