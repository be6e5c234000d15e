"""A gallery on LanceDB: a folder on this machine, or an object store."""
# ruff: noqa: D102 - the methods are documented in `Store`

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tmcir.data.images import on_one_line
from tmcir.errors import TMCIRError
from tmcir.files import locked
from tmcir.gallery.store import (
    MAXIMUM_FILTER,
    OWN_COLUMNS,
    FileState,
    Kind,
    ModelRecord,
    Rows,
    Store,
    Value,
    Vectors,
)

_TABLE = "images"
_LOCK = ".lock"
_MODEL = "tmcir.model"
_ARROW: dict[Kind, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
}
# Searches open the newest version each time, so none needs a version for as long as this.
_KEEP_OLD_VERSIONS = timedelta(hours=1)
_SHOWN = 120  # characters of a filter that an error shows


class LanceStore(Store):
    """A gallery as one LanceDB table. A version of the table is written whole or not at all."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._table = self._open()

    def _open(self) -> Any:
        if "://" not in self._uri:
            folder = Path(self._uri)
            if folder.exists() and not folder.is_dir():
                raise TMCIRError(f"{self._uri}: is a file, not a gallery")
            if not folder.is_dir() or not any(path.name != _LOCK for path in folder.iterdir()):
                return None  # `connect` would make the folder, and a search must not
            if not (folder / f"{_TABLE}.lance").is_dir():
                raise TMCIRError(f"{self._uri}: holds other files and is not a gallery")
        with _plain_errors(f"{self._uri}: this gallery cannot be opened"):
            try:
                return lancedb.connect(self._uri).open_table(_TABLE)
            except ValueError as error:
                if "not found" in str(error):
                    return None
                raise

    def model(self) -> ModelRecord | None:
        if self._table is None:
            return None
        try:
            stored = json.loads(self._table.schema.metadata[_MODEL.encode()])
            return ModelRecord(**stored)
        except (TypeError, KeyError, ValueError):
            raise TMCIRError(f"{self._uri}: is a LanceDB table, but not a gallery") from None

    def create(self, model: ModelRecord) -> None:
        schema = pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("path", pa.string()),
                pa.field("content_hash", pa.string()),
                pa.field("file_size", pa.int64()),
                pa.field("file_modified", pa.int64()),
                pa.field("vector", pa.list_(pa.float32(), model.embedding_size)),
            ],
            metadata={_MODEL: json.dumps(asdict(model))},
        )
        with _plain_errors(f"{self._uri}: no gallery can be made here"):
            self._table = lancedb.connect(self._uri).create_table(_TABLE, schema=schema)

    @contextmanager
    def alone(self) -> Iterator[None]:
        if "://" in self._uri:
            yield  # nothing there to lock with
            return
        busy = f"{self._uri}: another process is writing to it; wait until it is done"
        with _plain_errors(f"{self._uri}: no gallery can be made here"):
            Path(self._uri).mkdir(parents=True, exist_ok=True)
        with locked(Path(self._uri) / _LOCK, busy):
            self._table = self._open()  # another writer may have made it meanwhile
            yield

    def columns(self) -> dict[str, Kind]:
        kinds = {arrow: kind for kind, arrow in _ARROW.items()}
        fields = [field for field in self._table.schema if field.name not in OWN_COLUMNS]
        return {field.name: kinds[field.type] for field in fields if field.type in kinds}

    def add_columns(self, columns: Mapping[str, Kind]) -> None:
        if columns:
            with self._writing():
                fields = [pa.field(name, _ARROW[kind]) for name, kind in columns.items()]
                self._table.add_columns(pa.schema(fields))

    def files(self) -> dict[str, FileState]:
        names = ("path", "file_size", "file_modified", "content_hash")
        table = self._read(["id", *names])
        values = zip(*(table[name].to_pylist() for name in names), strict=True)
        states = (FileState(*value) for value in values)
        return dict(zip(table["id"].to_pylist(), states, strict=True))

    def metadata(self) -> dict[str, dict[str, Value]]:
        rows = self._read(["id", *self.columns()]).to_pylist()
        return {row.pop("id"): row for row in rows}

    def insert(self, rows: Rows) -> None:
        if rows.ids:
            with self._writing():
                merge = self._table.merge_insert("id").when_not_matched_insert_all()
                merge.execute(self._arrow(rows))

    def update(self, rows: Rows) -> None:
        if rows.ids:
            with self._writing():
                merge = self._table.merge_insert("id").when_matched_update_all()
                merge.execute(self._arrow(rows))

    def tidy(self) -> None:
        with self._writing():
            self._table.optimize(cleanup_older_than=_KEEP_OLD_VERSIONS)

    def refresh(self) -> int:
        with _plain_errors(f"{self._uri}: this gallery cannot be read"):
            self._table.checkout_latest()
            return int(self._table.version)

    def vectors(self) -> Vectors:
        version = int(self._table.version)
        table = self._read(["id", "vector"], keys=True)
        ids = np.asarray(table["id"].to_pylist(), dtype=object)
        order = np.argsort(ids)
        flat = table["vector"].combine_chunks().flatten().to_numpy()
        size = self._table.schema.field("vector").type.list_size
        matrix = flat.reshape(-1, size)[order]  # [N, D]
        keys = table["_rowid"].to_numpy()[order]
        return Vectors(version, ids[order].tolist(), keys, np.ascontiguousarray(matrix))

    def matching(self, where: str) -> NDArray[np.uint64]:
        if len(where) > MAXIMUM_FILTER:
            raise TMCIRError(f"the filter is longer than {MAXIMUM_FILTER:,} characters")
        # Without the brackets LanceDB reads "year = 2012 nonsense" as "year = 2012".
        query = self._table.search().where(f"({where}\n)").select(["id"]).with_row_id(True)
        try:
            return np.asarray(query.to_arrow()["_rowid"].to_numpy(), dtype=np.uint64)
        except Exception as error:
            # A panic inside LanceDB, as for the filter `year = ?`, has no type of its own to name.
            columns = ", ".join(f"{name} ({kind})" for name, kind in self.columns().items())
            raise TMCIRError(
                f"the filter {_shorten(where)!r} cannot be used: {_filter_reason(error)};"
                f" columns: id (text), path (text){', ' if columns else ''}{columns}"
            ) from None

    def rows(self, ids: Sequence[str]) -> dict[str, dict[str, Value]]:
        if not ids:
            return {}
        quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in ids)
        names = ["id", "path", *self.columns()]
        with _plain_errors(f"{self._uri}: this gallery cannot be read"):
            found = self._table.search().where(f"id IN ({quoted})").select(names).to_arrow()
        return {row["id"]: row for row in found.to_pylist()}

    def __len__(self) -> int:
        return 0 if self._table is None else int(self._table.count_rows())

    def _read(self, names: list[str], keys: bool = False) -> pa.Table:
        with _plain_errors(f"{self._uri}: this gallery cannot be read"):
            return self._table.search().select(names).with_row_id(keys).to_arrow()

    def _arrow(self, rows: Rows) -> pa.Table:
        columns: dict[str, Any] = {
            "id": pa.array(rows.ids, pa.string()),
            "path": pa.array([file.path for file in rows.files], pa.string()),
            "content_hash": pa.array([file.content_hash for file in rows.files], pa.string()),
            "file_size": pa.array([file.size for file in rows.files], pa.int64()),
            "file_modified": pa.array([file.modified for file in rows.files], pa.int64()),
        }
        if rows.vectors is not None:
            flat = pa.array(rows.vectors.reshape(-1), pa.float32())  # [N * D]
            columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, rows.vectors.shape[1])
        for name, kind in self.columns().items():
            values = [row.get(name) for row in rows.metadata]
            columns[name] = pa.array(values, _ARROW[kind])
        return pa.table(columns)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _plain_errors(f"{self._uri}: this gallery cannot be written"):
            yield


@contextmanager
def _plain_errors(problem: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError, OSError, pa.ArrowException) as error:
        raise TMCIRError(f"{problem}: {_one_line(error)[:300]}") from error


def _one_line(error: Exception) -> str:
    return on_one_line(" ".join(str(error).split()))


def _filter_reason(error: Exception) -> str:
    reason = _one_line(error).removeprefix("Invalid input, ").removeprefix("Schema error: ")
    _, _, parser = reason.rpartition("(sql parser error: ")
    reason = parser.removesuffix(")") if "sql parser error" in reason else reason
    return _shorten(reason.split(". Valid fields")[0].split(", /")[0])


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
