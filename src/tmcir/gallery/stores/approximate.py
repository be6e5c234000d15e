"""One stable ranking from approximate searches, and the recall of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError
from tmcir.gallery.stores.base import Neighbours, Store, as_matrix, unit
from tmcir.gallery.stores.exact import ROUNDING

#: Maps a number C to that many candidates (ids, and vectors [C, D]); fewer: there are no more.
Fetch = Callable[[int], tuple[Sequence[str], NDArray[np.float32]]]

#: How many candidates searches ask for, one after the other, until there are enough.
DEPTHS = (200, 1_000, 5_000, 16_000)
#: Results that recall is measured on.
RECALL_AT = 50


def rank(fetch: Fetch, vector: NDArray[np.float32], k: int) -> Neighbours:
    """Return the first ``k`` of one ranking that does not depend on ``k``.

    The results of an index depend on how many are asked for, so pages would overlap. Here searches
    have fixed depths: the ranking starts with the results of the shallowest search; each deeper
    search appends those that are new. Candidates are scored again with their full vectors, ties in
    the order of ids. If a search may end within a group of equal scores, the next one ranks that
    group.

    Raises:
        TMCIRError: ``k`` is more than the deepest search gives.
    """
    if k > DEPTHS[-1]:
        raise TMCIRError(
            f"results beyond the first {DEPTHS[-1]:,} are not available from a gallery with"
            " an index; narrow the search"
        )
    ranked = Neighbours([], np.empty(0), np.empty((0, len(vector)), np.float32))
    for depth in DEPTHS:
        found, complete = _scored(*fetch(depth), vector, depth)
        ranked = _followed_by(ranked, found)
        if complete or len(ranked.ids) >= k:
            break
    return Neighbours(ranked.ids[:k], ranked.scores[:k], ranked.vectors[:k])


def recall(store: Store, queries: int, seed: int = 0) -> float | None:
    """Return the mean share of the exact first 50 rows that `Store.nearest` finds.

    The queries are normalised sums of two random rows: like composed queries they lie between the
    images, which is harder than searching for images that are there. The exact answer is a pass
    over all rows; memory is that of a batch.

    Args:
        store: The store, which stays as it is.
        queries: Number of queries.
        seed: Of the choice of rows.

    Returns:
        In [0, 1]; None where there are fewer than two rows.
    """
    names = [name for batch in store.batches(["id"]) for name in batch["id"].to_pylist()]
    if len(names) < 2 or queries < 1:
        return None
    random = np.random.default_rng(seed)
    chosen = [sorted(names)[row] for row in random.integers(0, len(names), 2 * queries)]
    stored = store.vectors(sorted(set(chosen)))
    sums = np.stack([stored[name] for name in chosen]).reshape(queries, 2, -1).sum(axis=1)  # [Q, D]
    vectors = unit(sums)
    k = min(RECALL_AT, len(names))
    kth = _exact_kth_score(store, vectors, k)  # [Q]
    shares = [
        (store.nearest(vector, k).scores >= score - ROUNDING).sum() / k
        for vector, score in zip(vectors, kth, strict=True)
    ]
    return float(np.mean(shares))


def _scored(
    ids: Sequence[str], vectors: NDArray[np.float32], vector: NDArray[np.float32], depth: int
) -> tuple[Neighbours, bool]:
    """Return the candidates in order, and whether there are no others."""
    names = np.asarray(ids, dtype=object)
    scores = (vectors.astype(np.float64) * vector.astype(np.float64)).sum(axis=1)  # [C]
    order = np.lexsort((names.astype(str), -scores))
    complete = len(names) < depth
    if not complete:
        cut = scores[order[-1]] + ROUNDING
        sure = order[scores[order] > cut]
        order = sure if len(sure) or depth < DEPTHS[-1] else order
    return Neighbours(names[order].tolist(), scores[order], vectors[order]), complete


def _followed_by(ranked: Neighbours, found: Neighbours) -> Neighbours:
    seen = set(ranked.ids)
    new = [row for row, name in enumerate(found.ids) if name not in seen]
    return Neighbours(
        [*ranked.ids, *(found.ids[row] for row in new)],
        np.concatenate([ranked.scores, found.scores[new]]),
        np.concatenate([ranked.vectors, found.vectors[new]]),
    )


def _exact_kth_score(store: Store, queries: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return the score of the ``k``-th best row for each query [Q], in one pass."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    for batch in store.batches(["vector"]):
        scores = queries @ as_matrix(batch["vector"]).T  # [Q, B]
        best = -np.partition(-np.concatenate([best, scores], axis=1), k - 1)[:, :k]
    kth: NDArray[np.float32] = best.min(axis=1)
    return kth
