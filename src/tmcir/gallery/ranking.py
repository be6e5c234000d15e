"""Rankings of a gallery's photos for a query, of any depth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tmcir.gallery.stores.base import Neighbours, Store

#: Maps a number to at most that many first photos of a ranking; a longer one begins with them.
Ranking = Callable[[int], Neighbours]


def by_vector(store: Store, vector: NDArray[np.float32], where: str | None) -> Ranking:
    """Rank by the dot product with a unit vector [D], among the photos that a filter keeps."""
    return partial(store.nearest, vector, where=where)


def from_score(ranking: Ranking, minimum: float) -> Ranking:
    """End a ranking by score before the first score that is less than ``minimum``."""

    def ranked(count: int) -> Neighbours:
        found = ranking(count)
        kept = int((found.scores >= minimum).sum())
        return Neighbours(found.ids[:kept], found.scores[:kept], found.vectors[:kept])

    return ranked
