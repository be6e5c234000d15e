"""From ranked photos to tiles: near-duplicates merged, one tile a group, sorted by a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tmcir.gallery.duplicates import deduplicate
from tmcir.gallery.stores.base import Neighbours, Value

#: Maximum number of photos that a sorted search sorts: the nearest ones.
SORTED_PHOTOS = 200
#: Photos that it sorts however far they are from the query: a page of them.
MINIMUM_SORTED = 24


@dataclass(frozen=True, slots=True)
class Sort:
    """Sort hits by a metadata column.

    Attributes:
        column: The column. Photos whose value is empty come last; of equal values the nearer photo
            comes first.
        descending: Largest values first.
    """

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How the photos near a query become a page of results.

    Attributes:
        deduplicate: Merge near-duplicates; see `tmcir.gallery.duplicates`.
        group: Column whose values are shown once each, such as the article that several photos
            show. The nearest photo stands for its group; a photo whose value is empty is a group
            of its own.
        sort: Sort the relevant photos by a column, at most `SORTED_PHOTOS`, and return no others.
    """

    deduplicate: bool = False
    group: str | None = None
    sort: Sort | None = None

    @property
    def columns(self) -> list[str]:
        """The metadata columns that it reads."""
        sort = [] if self.sort is None else [self.sort.column]
        return sort if self.group is None else [self.group, *sort]


@dataclass(slots=True)
class Tile:
    """A photo that is shown, and those that it stands for.

    Attributes:
        position: Its place in the ranking.
        duplicates: Places of its near-duplicates.
        grouped: Places of other photos of its group.
    """

    position: int
    duplicates: Sequence[int] = ()
    grouped: list[int] = field(default_factory=list)


def arrange(
    found: Neighbours,
    rows: Mapping[str, Mapping[str, Value]],
    arrangement: Arrangement,
    thumbnails: Callable[[Sequence[str]], Mapping[str, bytes]],
) -> list[Tile]:
    """Return the tiles of ranked photos.

    Without sorting, the first tiles do not depend on how many photos follow.

    Args:
        found: K photos, the nearest first.
        rows: Content hash and metadata by id; photos without a row are skipped.
        arrangement: What to merge, group and sort by.
        thumbnails: Returns JPEG files by id; called only to deduplicate.
    """
    if arrangement.deduplicate:
        kept: Mapping[int, Sequence[int]] = deduplicate(found, rows, thumbnails)
    else:
        kept = dict.fromkeys(range(len(found.ids)), ())
    tiles = [Tile(place, same) for place, same in kept.items() if found.ids[place] in rows]

    def value(tile: Tile, column: str) -> Value:
        return rows[found.ids[tile.position]].get(column)

    if (column := arrangement.group) is not None:
        tiles = _grouped(tiles, [value(tile, column) for tile in tiles])
    if (sort := arrangement.sort) is not None:
        tiles = _sorted(tiles, [value(tile, sort.column) for tile in tiles], sort.descending)
    return tiles


def _grouped(tiles: Sequence[Tile], values: Sequence[Value]) -> list[Tile]:
    kept: list[Tile] = []
    first: dict[Value, Tile] = {}
    for tile, value in zip(tiles, values, strict=True):
        head = tile if value is None else first.setdefault(value, tile)
        if head is tile:
            kept.append(tile)
        else:
            head.grouped += [tile.position, *tile.duplicates]
    return kept


def _sorted(tiles: Sequence[Tile], values: Sequence[Value], descending: bool) -> list[Tile]:
    filled = [place for place, value in enumerate(values) if value is not None]
    empty = [place for place, value in enumerate(values) if value is None]
    # stable in both directions: of equal values the nearer photo stays first
    filled.sort(key=values.__getitem__, reverse=descending)  # type: ignore[arg-type]  # of one kind
    return [tiles[place] for place in [*filled, *empty]]
