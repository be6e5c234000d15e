"""From a query's vector to a page of hits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError
from tmcir.gallery.duplicates import deduplicate
from tmcir.gallery.results import Hit
from tmcir.gallery.stores.base import OWN_COLUMNS, Neighbours, Store, Value, unit


def check_page(k: int, offset: int) -> None:
    """Check the size and the place of a page of results.

    Raises:
        TMCIRError: One of them is out of range.
    """
    if k < 1:
        raise TMCIRError(f"k, the number of results, must be at least 1, not {k}")
    if offset < 0:
        raise TMCIRError(f"offset, the results to skip, must not be negative, but is {offset}")


def find_page(
    store: Store, vector: NDArray[np.float32], k: int, where: str | None, offset: int
) -> list[Hit]:
    """Return the hits of the ranks ``offset`` + 1 to ``offset`` + k for a unit vector [D]."""
    found = store.nearest(vector, offset + k, where)
    places = range(offset, len(found.ids))
    return _hits(found, places, store.rows(found.ids[offset:]), {})


def find_deduplicated_page(
    store: Store, vector: NDArray[np.float32], k: int, where: str | None, offset: int
) -> list[Hit]:
    """Return the hits of such ranks among those that show different things."""
    depth = 2 * (offset + k)
    while True:
        found = store.nearest(vector, depth, where)
        rows = store.rows(found.ids)
        kept = deduplicate(found, rows, store.thumbnails)
        if len(kept) > offset + k or len(found.ids) < depth:
            break
        depth *= 2
    return _hits(found, list(kept)[offset : offset + k], rows, kept, offset + 1)


def sample(store: Store, size: int, count: int, seed: int) -> list[str]:
    """Return the ids of the photos nearest to random directions, each once.

    Args:
        store: The gallery's store.
        size: D, numbers a vector.
        count: At most so many.
        seed: Of the random generator.
    """
    random = np.random.default_rng(seed).standard_normal((2 * count, size))
    units = unit(random)  # [2 count, D]
    found = (name for direction in units for name in store.nearest(direction, 1).ids)
    return list(dict.fromkeys(found))[:count]


def metadata_of(row: Mapping[str, Value]) -> dict[str, Value]:
    """Return a row's metadata, without the columns that every gallery has."""
    return {key: value for key, value in row.items() if key not in OWN_COLUMNS}


def _hits(
    found: Neighbours,
    places: Iterable[int],
    rows: Mapping[str, Mapping[str, Value]],
    duplicates: Mapping[int, Sequence[int]],
    first_rank: int | None = None,
) -> list[Hit]:
    """Return the hits at some places of a ranking; those that were removed since are left out.

    Ranks are the places, or count from ``first_rank``.
    """
    return [
        Hit(
            rank=place + 1 if first_rank is None else first_rank + number,
            score=float(found.scores[place]),
            id=found.ids[place],
            path=Path(str(rows[found.ids[place]]["path"])),
            metadata=metadata_of(rows[found.ids[place]]),
            duplicates=tuple(found.ids[other] for other in duplicates.get(place, ())),
        )
        for number, place in enumerate(places)
        if found.ids[place] in rows
    ]
