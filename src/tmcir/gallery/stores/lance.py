"""A gallery on LanceDB: a folder on this machine, or an object store."""
# ruff: noqa: D102 - the methods are documented in `Store`

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS, BTree, HnswSq
from lancedb.query import MultiMatchQuery
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError, listed
from tmcir.core.files import locked
from tmcir.core.json_files import parse_json
from tmcir.core.text import on_one_line
from tmcir.gallery.stores.approximate import rank
from tmcir.gallery.stores.base import (
    MAXIMUM_FILTER,
    OWN_COLUMNS,
    ColumnKind,
    FileState,
    ModelRecord,
    Neighbours,
    Precision,
    Rows,
    Store,
    StoreInfo,
    Value,
    as_matrix,
    is_text,
)
from tmcir.gallery.stores.exact import Vectors, nearest
from tmcir.gallery.stores.where import check_where

#: Version of what is written; a gallery without one is of version 1.
FORMAT = "1"
_TABLE = "images"
_SETTINGS = "settings"
_LOCK = ".lock"
_FORMAT, _MODEL = "tmcir.format", "tmcir.model"
_INDEX = "IVF_HNSW_SQ"
_FEWEST_INDEXED = 255  # rows that the index needs to learn its scale from
_THUMBNAIL = "thumbnail_jpeg"
_ARROW: dict[ColumnKind, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
}
_VECTOR: dict[Precision, pa.DataType] = {"float32": pa.float32(), "float16": pa.float16()}
_FILE = ("path", "file_size", "file_modified", "content_hash")
_BATCH = 1_000  # rows, or ids in a condition
_MANY_COLUMNS = 100
# Searches open the newest version each time, so none needs a version for as long as this.
_KEEP_OLD_VERSIONS = timedelta(hours=1)
_SHOWN = 120  # characters of a filter that an error shows


class LanceStore(Store):
    """A gallery as one LanceDB table. A version of the table is written whole or not at all."""

    has_words = True

    def __init__(self, uri: str, exact_up_to: int) -> None:
        self._uri = uri
        self._exact_up_to = exact_up_to
        self._table = self._open()
        self._loaded: Vectors | None = None
        self._loading = threading.Lock()
        self._word_columns: set[str] = set()  # known to have an index of words
        self._indexing = threading.Lock()

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
        metadata = self._table.schema.metadata or {}
        if _MODEL.encode() not in metadata:
            raise TMCIRError(f"{self._uri}: is a LanceDB table, but not a gallery")
        version = metadata.get(_FORMAT.encode(), FORMAT.encode()).decode()
        if version != FORMAT or _THUMBNAIL not in self._table.schema.names:
            age = "an older" if _THUMBNAIL not in self._table.schema.names else "a newer"
            raise TMCIRError(
                f"{self._uri}: was made by {age} version of tmcir; index the photos into another"
                " folder"
            )
        where = f"{self._uri}: the record of its model"
        return parse_json(metadata[_MODEL.encode()].decode(), where, ModelRecord)

    def create(self, model: ModelRecord, precision: Precision) -> None:
        schema = pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("path", pa.string()),
                pa.field("content_hash", pa.string()),
                pa.field("file_size", pa.int64()),
                pa.field("file_modified", pa.int64()),
                pa.field("vector", pa.list_(_VECTOR[precision], model.embedding_size)),
                pa.field(_THUMBNAIL, pa.binary(), nullable=False),
            ],
            metadata={_FORMAT: FORMAT, _MODEL: json.dumps(asdict(model))},
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

    def columns(self) -> dict[str, ColumnKind]:
        kinds = {arrow: kind for kind, arrow in _ARROW.items()}
        fields = [field for field in self._table.schema if field.name not in OWN_COLUMNS]
        return {field.name: kinds[field.type] for field in fields if field.type in kinds}

    def add_columns(self, columns: Mapping[str, ColumnKind]) -> None:
        if columns:
            with self._writing():
                fields = [pa.field(name, _ARROW[kind]) for name, kind in columns.items()]
                self._table.add_columns(pa.schema(fields))

    def files(self) -> dict[str, FileState]:
        table = self._read(["id", *_FILE])
        values = zip(*(table[name].to_pylist() for name in _FILE), strict=True)
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

    def remove(self, ids: Sequence[str]) -> int:
        removed = 0
        with self._writing():
            for start in range(0, len(ids), _BATCH):
                result = self._table.delete(_is_one_of(ids[start : start + _BATCH]))
                removed += int(result.num_deleted_rows)
        return removed

    def tidy(self) -> None:
        with self._writing():
            self._table.optimize(cleanup_older_than=_KEEP_OLD_VERSIONS)
            rows = self._table.count_rows()
            if rows > max(self._exact_up_to, _FEWEST_INDEXED) and not self._index():
                self._build_index(rows)

    def _build_index(self, rows: int) -> None:
        # one graph a million vectors, as LanceDB advises; the others are the graph's own settings
        graph = HnswSq("dot", num_partitions=math.ceil(rows / 2**20), m=20, ef_construction=150)
        self._table.create_index("vector", config=graph)
        self._table.create_index("id", config=BTree())  # photos are looked up by id

    def refresh(self) -> None:
        with _plain_errors(f"{self._uri}: this gallery cannot be read"):
            self._table.checkout_latest()

    @property
    def version(self) -> int:
        """The version that is seen; it grows with each write."""
        return int(self._table.version)

    def nearest(self, vector: NDArray[np.float32], k: int, where: str | None = None) -> Neighbours:
        if self._table.count_rows() > self._exact_up_to:
            return rank(partial(self._candidates, vector, where), vector, k)
        vectors = self._all_vectors()
        allowed = None
        if where is not None:
            allowed = np.flatnonzero(np.isin(vectors.keys, self._matching(where)))
        rows, scores = nearest(vectors.matrix, vector, k, allowed)
        return Neighbours([vectors.ids[row] for row in rows], scores, vectors.matrix[rows])

    def _candidates(
        self, vector: NDArray[np.float32], where: str | None, count: int
    ) -> tuple[list[str], NDArray[np.float32]]:
        query = self._table.search(vector, vector_column_name="vector").distance_type("dot")
        query = query.limit(count).ef(4 * count).select(["id", "vector", "_distance"])
        if where is None:
            found = query.to_arrow()
        else:
            with self._filter_errors(where):
                found = query.where(_bracketed(where), prefilter=True).to_arrow()
        return found["id"].to_pylist(), as_matrix(found["vector"])

    def match(
        self, text: str, columns: Sequence[str], count: int, where: str | None = None
    ) -> list[str]:
        self._index_words(columns)
        query = self._table.search(MultiMatchQuery(text, list(columns)), query_type="fts")
        query = query.limit(count).select(["id", "_score"])
        if where is None:
            with _plain_errors(f"{self._uri}: the words of this gallery cannot be searched"):
                found = query.to_arrow()
        else:
            with self._filter_errors(where):
                found = query.where(_bracketed(where), prefilter=True).to_arrow()
        scored = zip(found["_score"].to_pylist(), found["id"].to_pylist(), strict=True)
        return [name for _, name in sorted(scored, key=lambda pair: (-pair[0], pair[1]))]

    def _index_words(self, columns: Sequence[str]) -> None:
        """Index the words of columns when they are searched first; `tidy` keeps the index new."""
        with self._indexing:
            if self._word_columns.issuperset(columns):
                return
            missing = set(columns) - self._indexed_words()
            if missing:
                with self.alone(), self._writing():
                    for name in sorted(missing - self._indexed_words()):
                        self._table.create_index(name, config=FTS())
            self._word_columns.update(columns)

    def _indexed_words(self) -> set[str]:
        indices = self._table.list_indices()
        return {name for index in indices if index.index_type == "FTS" for name in index.columns}

    def vectors(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        table = self._read(["id", "vector"], _is_one_of(ids))
        return dict(zip(table["id"].to_pylist(), as_matrix(table["vector"]), strict=True))

    def sample(self, count: int) -> NDArray[np.float32]:
        total = self._table.count_rows()
        rows = np.linspace(0, total - 1, min(count, total)).astype(int)
        if total <= self._exact_up_to or not total:
            sampled: NDArray[np.float32] = self._all_vectors().matrix[rows]
            return sampled
        with _plain_errors(f"{self._uri}: this gallery cannot be read"):
            found = self._table.take_offsets(rows.tolist()).select(["vector"]).to_arrow()
        return as_matrix(found["vector"])

    def batches(self, names: Sequence[str]) -> pa.RecordBatchReader:
        with _plain_errors(f"{self._uri}: this gallery cannot be read"):
            return self._table.search().select(list(names)).to_batches(_BATCH)

    def values(self, column: str) -> dict[Value, int]:
        counted = self._read([column])[column].drop_null().value_counts()
        return {pair["values"]: pair["counts"] for pair in counted.to_pylist()}

    def rows(self, ids: Sequence[str]) -> dict[str, dict[str, Value]]:
        names = ["id", "path", "content_hash", *self.columns()]
        # LanceDB plans each selected column by itself: of a few whole rows, all is read sooner
        found = self._read(names if len(names) < _MANY_COLUMNS else None, _is_one_of(ids))
        return {row["id"]: row for row in found.select(names).to_pylist()}

    def file(self, name: str) -> FileState | None:
        found = self._read([*_FILE], _is_one_of([name])).to_pylist()
        return FileState(*found[0].values()) if found else None

    def thumbnails(self, ids: Sequence[str]) -> dict[str, bytes]:
        found = self._read(["id", _THUMBNAIL], _is_one_of(ids)).to_pylist()
        return {row["id"]: row[_THUMBNAIL] for row in found}

    def setting(self, name: str) -> str | None:
        with _plain_errors(f"{self._uri}: this gallery cannot be read"):
            settings = self._settings()
            if settings is None:
                return None
            where = f"name = '{name}'"
            found = settings.search().where(where).select(["value"]).to_arrow()["value"].to_pylist()
        return found[0] if found else None

    def change_setting(self, name: str, value: str) -> None:
        with self._writing():
            rows = pa.table({"name": [name], "value": [value]})
            settings = self._settings()
            if settings is None:
                lancedb.connect(self._uri).create_table(_SETTINGS, rows)
            else:
                merge = settings.merge_insert("name").when_matched_update_all()
                merge.when_not_matched_insert_all().execute(rows)

    def _settings(self) -> Any:
        try:
            return lancedb.connect(self._uri).open_table(_SETTINGS)
        except ValueError as error:
            if "not found" in str(error):
                return None  # nothing was kept yet
            raise

    def info(self) -> StoreInfo:
        half = self._table.schema.field("vector").type.value_type == pa.float16()
        index = self._index()
        return StoreInfo(
            precision="float16" if half else "float32",
            size=self._size(),
            index=_INDEX if index else "",
            indexed=int(index.num_indexed_rows) if index else 0,
        )

    def _index(self) -> Any:
        """Return the index on the vectors, or None."""
        return next((x for x in self._table.list_indices() if "vector" in x.columns), None)

    def _size(self) -> int | None:
        if "://" in self._uri:
            return None
        return sum(path.stat().st_size for path in Path(self._uri).rglob("*") if path.is_file())

    def _all_vectors(self) -> Vectors:
        with self._loading:  # threads that search at the same time load once
            version = self.version
            if self._loaded is None or self._loaded.version != version:
                table = self._read(["id", "vector"], keys=True)
                ids = np.asarray(table["id"].to_pylist(), dtype=object)
                order = np.argsort(ids)
                matrix = np.ascontiguousarray(as_matrix(table["vector"])[order])  # [N, D]
                keys = table["_rowid"].to_numpy()[order]
                self._loaded = Vectors(version, ids[order].tolist(), keys, matrix)
            return self._loaded

    def _matching(self, where: str) -> NDArray[np.uint64]:
        """Return the keys of the rows for which an SQL condition holds."""
        query = self._table.search().where(_bracketed(where)).select(["id"]).with_row_id(True)
        with self._filter_errors(where):
            return np.asarray(query.to_arrow()["_rowid"].to_numpy(), dtype=np.uint64)

    @contextmanager
    def _filter_errors(self, where: str) -> Iterator[None]:
        if len(where) > MAXIMUM_FILTER:
            raise TMCIRError(f"the filter is longer than {MAXIMUM_FILTER:,} characters")
        columns: dict[str, ColumnKind] = {"id": "text", "path": "text", **self.columns()}
        try:
            check_where(where, columns)
            yield
        except Exception as error:
            # A panic inside LanceDB, as for the filter `year = ?`, has no type of its own to name.
            raise TMCIRError(
                f"the filter {_shorten(where)!r} cannot be used: {_filter_reason(error)};"
                f" columns: {listed([f'{name} ({kind})' for name, kind in columns.items()])}"
            ) from None

    def __len__(self) -> int:
        return 0 if self._table is None else int(self._table.count_rows())

    def _read(
        self, names: list[str] | None, where: str | None = None, keys: bool = False
    ) -> pa.Table:
        with _plain_errors(f"{self._uri}: this gallery cannot be read"):
            query = self._table.search().with_row_id(keys)
            query = query if names is None else query.select(names)
            return (query if where is None else query.where(where)).to_arrow()

    def _arrow(self, rows: Rows) -> pa.Table:
        columns: dict[str, Any] = {
            "id": pa.array(rows.ids, pa.string()),
            "path": pa.array([file.path for file in rows.files], pa.string()),
            "content_hash": pa.array([file.content_hash for file in rows.files], pa.string()),
            "file_size": pa.array([file.size for file in rows.files], pa.int64()),
            "file_modified": pa.array([file.modified for file in rows.files], pa.int64()),
        }
        if rows.vectors is not None:
            kind = self._table.schema.field("vector").type
            flat = rows.vectors.reshape(-1).astype(kind.value_type.to_pandas_dtype())  # [N * D]
            columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(flat), kind.list_size)
        if rows.thumbnails is not None:
            columns[_THUMBNAIL] = pa.array(rows.thumbnails, pa.binary())
        for name, kind in self.columns().items():
            values = [row.get(name) for row in rows.metadata]
            columns[name] = pa.array(values, _ARROW[kind])
        return pa.table(columns)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _plain_errors(f"{self._uri}: this gallery cannot be written"):
            yield


def _is_one_of(ids: Sequence[str]) -> str:
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in ids if is_text(name))
    return f"id IN ({quoted})" if quoted else "false"


def _bracketed(where: str) -> str:
    # Without the brackets LanceDB reads "year = 2012 nonsense" as "year = 2012"; the line end
    # closes a comment.
    return f"({where}\n)"


@contextmanager
def _plain_errors(problem: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError, OSError, pa.ArrowException) as error:
        raise TMCIRError(f"{problem}: {_one_line(error)[:300]}") from error


def _one_line(error: Exception) -> str:
    """Return LanceDB's message on one line, without the place in its own source."""
    words = on_one_line(" ".join(str(error).split()))
    return re.sub(r",? ?\S*/\S+\.rs:\d+(:\d+)?", "", words)


def _filter_reason(error: Exception) -> str:
    if isinstance(error, TMCIRError):
        return str(error)
    reason = _one_line(error).removeprefix("Invalid input, ").removeprefix("Schema error: ")
    _, _, parser = reason.rpartition("(sql parser error: ")
    reason = parser.removesuffix(")") if "sql parser error" in reason else reason
    return _shorten(reason.split(". Valid fields")[0].split(", /")[0])


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
