"""Reading a metadata CSV: rows joined to photos, columns typed, faults reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tmcir.core.joining import join
from tmcir.core.tables import read_table
from tmcir.gallery.columns import column_names, convert, infer_kind
from tmcir.gallery.stores.base import ColumnKind, Value


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a CSV says about photos.

    Attributes:
        columns: Columns as the gallery names them, with their kinds.
        values: For each described photo (by id) its values by column.
        notes: One line each for what was matched and what is wrong with the file.
    """

    columns: dict[str, ColumnKind] = field(default_factory=dict)
    values: dict[str, dict[str, Value]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_metadata(
    path: str | Path,
    ids: Sequence[str],
    key: str | None = None,
    known: Mapping[str, ColumnKind] | None = None,
) -> Metadata:
    """Read a CSV (comma, semicolon or tab; UTF-8) and join its rows to photos.

    How rows are read and joined: see `tmcir.core.tables.read_table` and
    `tmcir.core.joining.join`. A column whose values are all numbers (``NaN``, ``n/a``, ``-`` and
    the like count as empty) is one of numbers, any other is text. A column without any value is
    skipped: a later table may define its kind.

    Args:
        path: The CSV. Its first line names the columns.
        ids: Relative paths of the photos, with ``/``.
        key: The column that names photos; None finds it.
        known: Columns that the gallery has, with their kinds. They keep their kinds; a value
            that does not fit is left empty and noted.

    Returns:
        Metadata of the photos that a row describes. The key column itself is not repeated.

    Raises:
        TMCIRError: The file cannot be read as such a CSV, there is no such key column, or no row
            belongs to any photo.
    """
    path, known = Path(path), known or {}
    table = read_table(path)
    joined = join(path, table, ids, key)
    names, renamed = column_names(table.header, joined.column, known)
    first, *others = joined.notes
    metadata = Metadata(notes=[first, *table.notes, *others, *renamed])
    metadata.values.update({photo: {} for photo in joined.rows})
    for index, name in names.items():
        cells = {row.line: row.cells[index].strip() for row in joined.rows.values()}
        kind, notes = infer_kind(name, cells, table.delimiter == ";")
        if name in known:
            kind, notes = known[name], []
        if kind is None:
            continue
        values, faults = convert(name, cells, kind, table.delimiter == ";")
        metadata.columns[name] = kind
        metadata.notes.extend([*notes, *faults])
        for photo, row in joined.rows.items():
            metadata.values[photo][name] = values[row.line]
    return metadata
