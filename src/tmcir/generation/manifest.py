"""The manifest while it grows: Parquet parts that are joined at the end."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tmcir.core.errors import TMCIRError, first_line
from tmcir.core.files import locked, write_bytes
from tmcir.data.pseudo_targets import MANIFEST, SCHEMA

Row = dict[str, Any]
"""A row of ``SCHEMA`` as a dictionary."""


class Manifest:
    """The rows of a folder of pseudo-targets. Several shards may write into it at a time.

    Args:
        folder: The folder.
        shard: Names the parts of this process, such as ``1-of-4``.
    """

    def __init__(self, folder: Path, shard: str) -> None:
        self._folder = folder
        self._shard = shard

    def files(self) -> dict[str, str]:
        """Return the file of each triplet that has a row, of any shard."""
        parts = [_read(part, ["id", "file"]) for part in self._parts()]
        return {row["id"]: row["file"] for part in parts for row in part.to_pylist()}

    def append(self, rows: list[Row]) -> None:
        """Write rows as a new part: all of them or none.

        Raises:
            TMCIRError: The part cannot be written.
        """
        own = [part.stem.rpartition("_")[2] for part in self._parts(self._shard)]
        number = max(map(int, own), default=-1) + 1
        _write(
            self._folder / "parts" / f"{self._shard}_{number:06d}.parquet",
            pa.Table.from_pylist(rows, SCHEMA),
        )

    def publish(self, judge: Callable[[pa.Table], list[str]], order: Iterable[str]) -> pa.Table:
        """Join all parts as ``manifest.parquet``, and return its table.

        Args:
            judge: Returns the filter that rejects each row, "" for none.
            order: Ids in the order of the rows; other rows follow.

        Raises:
            TMCIRError: A part is damaged, or the file cannot be written.
        """
        with locked(self._folder / ".manifest.lock"):
            for left in self._folder.glob(f".{MANIFEST}.*"):  # half-written, by a kill
                left.unlink(missing_ok=True)
            parts = [_read(part) for part in self._parts()]
            rows = {row["id"]: row for part in parts for row in reversed(part.to_pylist())}
            known = [name for name in order if name in rows]
            others = sorted(rows.keys() - set(known))
            table = pa.Table.from_pylist([rows[name] for name in [*known, *others]], SCHEMA)
            place = SCHEMA.get_field_index("rejected_by")
            rejected = pa.array(judge(table), pa.string())
            table = table.set_column(place, SCHEMA.field(place), rejected)
            _write(self._folder / MANIFEST, table)
        return table

    def _parts(self, shard: str = "*") -> list[Path]:
        return sorted((self._folder / "parts").glob(f"{shard}_*.parquet"))


def counts(table: pa.Table) -> dict[str, int]:
    """Return how many rows each filter rejected; "" counts those that were kept."""
    found = pc.value_counts(table["rejected_by"]).to_pylist()
    return {entry["values"]: entry["counts"] for entry in found}


def _read(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise TMCIRError(
            f"{path}: damaged ({first_line(error)}); remove it, and its"
            " pseudo-targets are made again"
        ) from None


def _write(path: Path, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_bytes(path, buffer.getvalue())
