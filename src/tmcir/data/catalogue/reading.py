"""Photos and their table as items with attributes: joined as `tmcir index` joins them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.folders import no_images, scan_images
from tmcir.core.joining import join
from tmcir.core.tables import Row, Table, read_table
from tmcir.data.catalogue.cells import checked_bins
from tmcir.data.catalogue.columns import Column, choose_columns, read_column

#: With fewer described photos there is nothing to learn from, and nothing to measure on.
MINIMUM_PHOTOS = 20
_CAPTIONS = 3  # columns


@dataclass(frozen=True, slots=True)
class Item:
    """A photo with what the table says about it.

    Attributes:
        name: Its path below the folder, with ``/``.
        product: The same for all photos of one product.
        values: Its values in each taken column, as people say them; () where the cell is empty.
        texts: Titles and descriptions.
    """

    name: str
    product: str
    values: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Products:
    """A folder of photos and its table.

    Attributes:
        root: The folder.
        items: Photos that a row describes, sorted by name.
        others: Photos that no row describes, which are in galleries all the same.
        columns: All columns but the key and the group, in the order of the table.
        notes: One line for each thing that a reader must know.
    """

    root: Path
    items: tuple[Item, ...]
    others: tuple[str, ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...]

    @property
    def taken(self) -> tuple[Column, ...]:
        """The columns that queries change, in the order of ``Item.values``."""
        return tuple(column for column in self.columns if column.taken)

    def without_photos(self, names: Collection[str]) -> Products:
        """Return the same without some photos."""
        left_out = frozenset(names)
        return replace(
            self,
            items=tuple(item for item in self.items if item.name not in left_out),
            others=tuple(name for name in self.others if name not in left_out),
        )

    def without(self, reasons: Mapping[str, str]) -> Products:
        """Return the same without some columns, given with the reason of each."""
        kept = [place for place, column in enumerate(self.taken) if column.name not in reasons]
        return replace(
            self,
            items=tuple(
                replace(item, values=tuple(item.values[place] for place in kept))
                for item in self.items
            ),
            columns=tuple(
                replace(column, reason=reasons[column.name]) if column.name in reasons else column
                for column in self.columns
            ),
        )


def read_products(
    photos: str | Path,
    metadata: str | Path,
    *,
    key: str | None = None,
    columns: Collection[str] | None = None,
    group: str | None = None,
    bins: Mapping[str, int] | None = None,
) -> Products:
    """Read a folder of photos and its CSV.

    Args:
        photos: The folder, searched recursively.
        metadata: The CSV, see `tmcir.core.tables.read_table`.
        key: The column that names photos; None finds it, see `tmcir.core.joining.join`.
        columns: Columns that queries change; None guesses them.
        group: Column that is the same for all photos of one product.
        bins: Number of steps by column of numbers.

    Raises:
        TMCIRError: The folder or the CSV cannot be used, no column can, or too few photos are
            described.
    """
    root, path = Path(photos), Path(metadata)
    folder = scan_images(root, path)
    if not folder.files:
        raise TMCIRError(no_images(root))
    names = [file.relative_to(root).as_posix() for file in folder.files]
    table = read_table(path)
    joined = join(path, table, names, key)
    if len(joined.rows) < MINIMUM_PHOTOS:
        first = joined.notes[0]
        raise TMCIRError(f"{path}: {first}: at least {MINIMUM_PHOTOS} photos must be described")
    rows = [(name, joined.rows[name]) for name in names if name in joined.rows]
    places = {name: place for place, name in enumerate(table.header) if place != joined.column}
    products = _products(rows, table, places, group)
    if group is not None:
        del places[_exact(group, places)]
    read, notes = _read_columns(rows, table, places, checked_bins(bins or {}))
    chosen = choose_columns(read, columns)
    if not any(column.taken for column in chosen):
        raise TMCIRError(f"{path}: {_nothing(chosen)}")
    return Products(
        root=root,
        items=_items(rows, products, chosen),
        others=tuple(name for name in names if name not in joined.rows),
        columns=tuple(chosen),
        notes=(joined.notes[0], *table.notes, *joined.notes[1:], *notes),
    )


def _products(
    rows: list[tuple[str, Row]], table: Table, places: Mapping[str, int], group: str | None
) -> list[str]:
    if group is None:
        return [name for name, _ in rows]
    place = places[_exact(group, places)]
    # a photo whose cell is empty is a product of its own
    return [row.cells[place].strip() or f"photo {name}" for name, row in rows]


def _exact(given: str, places: Mapping[str, int]) -> str:
    """Return a column's name as the table has it.

    Raises:
        TMCIRError: There is no such column.
    """
    found = {name.casefold(): name for name in places}.get(given.casefold())
    if found is None:
        raise unknown_choice("column", given, list(places))
    return found


def _read_columns(
    rows: list[tuple[str, Row]], table: Table, places: Mapping[str, int], bins: Mapping[str, int]
) -> tuple[list[Column], list[str]]:
    steps = {_exact(name, places): count for name, count in bins.items()}
    read, notes = [], []
    for name, place in places.items():
        cells = [row.cells[place] for _, row in rows]
        column, found = read_column(
            name or f"column {place + 1}", cells, steps.get(name), table.delimiter == ";"
        )
        read.append(column)
        notes += found
    return read, notes


def _nothing(columns: list[Column]) -> str:
    reasons = "; ".join(f"{column.name}: {column.reason}" for column in columns)
    return f"no column says anything that a query could change: {reasons or 'it has no other'}"


def _items(
    rows: list[tuple[str, Row]], products: list[str], columns: list[Column]
) -> tuple[Item, ...]:
    taken = [column for column in columns if column.taken]
    texts = [column for column in columns if column.captions][:_CAPTIONS]
    return tuple(
        Item(
            name=name,
            product=product,
            values=tuple(column.cells[place] for column in taken),
            texts=tuple(text for column in texts for text in _text(column, place)),
        )
        for place, ((name, _), product) in enumerate(zip(rows, products, strict=True))
    )


def _text(column: Column, place: int) -> tuple[str, ...]:
    return (", ".join(column.cells[place]),) if column.cells[place] else ()
