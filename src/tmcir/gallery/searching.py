"""Finding a page of hits for a query's vector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.gallery.arranging import (
    MINIMUM_SORTED,
    SORTED_PHOTOS,
    Arrangement,
    Tile,
    arrange,
)
from tmcir.gallery.ranking import Ranking
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


def find_page(store: Store, ranking: Ranking, k: int, offset: int) -> list[Hit]:
    """Return the hits of the ranks ``offset`` + 1 to ``offset`` + k."""
    found = ranking(offset + k)
    rows = store.rows(found.ids[offset:])
    places = range(offset, len(found.ids))
    # skips photos that were removed since
    return [
        _hit(found, Tile(place), place + 1, rows) for place in places if found.ids[place] in rows
    ]


def find_arranged_page(
    store: Store,
    ranking: Ranking,
    k: int,
    offset: int,
    arrangement: Arrangement,
    sorted_photos: int,
) -> list[Hit]:
    """Return the hits of such ranks among the tiles of an arrangement.

    Args:
        store: The gallery's store.
        ranking: The photos in the order of the query.
        k: Most hits to return.
        offset: Tiles to skip.
        arrangement: What to merge, group and sort by.
        sorted_photos: How many of the first photos to sort, where it sorts.

    Raises:
        TMCIRError: The arrangement names an unknown column.
    """
    columns = store.columns()
    for name in arrangement.columns:
        if name not in columns:
            raise unknown_choice("column", name, columns)
    depth = 2 * (offset + k) if arrangement.sort is None else sorted_photos
    while True:
        found = ranking(depth)
        rows = store.rows(found.ids)
        tiles = arrange(found, rows, arrangement, store.thumbnails)
        enough = arrangement.sort is not None or len(tiles) > offset + k
        if enough or len(found.ids) < depth:
            break
        depth *= 2
    page = tiles[offset : offset + k]
    return [_hit(found, tile, rank, rows) for rank, tile in enumerate(page, start=offset + 1)]


def count_sorted(store: Store, vector: NDArray[np.float32], where: str | None) -> int:
    """Return how many of the photos nearest to a unit vector [D] are relevant enough to be sorted.

    Relevant photos have at least half of the nearest photo's margin over the
    `SORTED_PHOTOS`-th photo. That photo is ranked without the filter, which may keep relevant
    photos only.
    """
    scores = store.nearest(vector, SORTED_PHOTOS).scores
    if not len(scores):
        return MINIMUM_SORTED
    minimum = (scores[0] + scores[-1]) / 2
    if where is not None:
        scores = store.nearest(vector, SORTED_PHOTOS, where).scores
    return max(MINIMUM_SORTED, int((scores >= minimum).sum()))


def sample(store: Store, size: int, count: int, seed: int) -> list[str]:
    """Return the ids of the photos nearest to random directions, each once.

    Args:
        store: The gallery's store.
        size: D, numbers a vector.
        count: Maximum number of ids.
        seed: Of the random generator.
    """
    random = np.random.default_rng(seed).standard_normal((2 * count, size))
    units = unit(random)  # [2 count, D]
    found = (name for direction in units for name in store.nearest(direction, 1).ids)
    return list(dict.fromkeys(found))[:count]


def metadata_of(row: Mapping[str, Value]) -> dict[str, Value]:
    """Return a row's metadata, without the columns that every gallery has."""
    return {key: value for key, value in row.items() if key not in OWN_COLUMNS}


def _hit(found: Neighbours, tile: Tile, rank: int, rows: Mapping[str, Mapping[str, Value]]) -> Hit:
    name = found.ids[tile.position]
    return Hit(
        rank=rank,
        score=float(found.scores[tile.position]),
        id=name,
        path=Path(str(rows[name]["path"])),
        metadata=metadata_of(rows[name]),
        duplicates=tuple(found.ids[place] for place in tile.duplicates),
        grouped=tuple(found.ids[place] for place in tile.grouped),
    )
