"""A gallery on a Milvus server, as one collection.

Metadata is one JSON field, because a collection's fields cannot be added to; which columns there
are, and the model, are properties of the collection. Milvus has no lock: who writes to one
collection from several places must take turns.
"""
# ruff: noqa: D102 - the methods are documented in `Store`

from __future__ import annotations

import base64
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pyarrow as pa
from grpc import RpcError
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from tmcir.core.errors import TMCIRError, first_line, unknown_choice
from tmcir.core.json_files import parse_json
from tmcir.gallery.stores.approximate import rank
from tmcir.gallery.stores.base import (
    ColumnKind,
    FileState,
    ModelRecord,
    Neighbours,
    Precision,
    Rows,
    Store,
    StoreInfo,
    Value,
    is_text,
)
from tmcir.gallery.stores.milvus_filter import translate

#: Environment variable with the server's token or ``user:password``, so that no address holds it.
TOKEN = "TMCIR_MILVUS_TOKEN"
#: How new the data is that searches see; ``?consistency=`` of the address.
CONSISTENCY = ("Session", "Bounded", "Eventually", "Strong")

_MODEL, _COLUMNS = "tmcir.model", "tmcir.columns"
_FILE = ("path", "file_size", "file_modified", "content_hash")
_THUMBNAIL = "thumbnail_jpeg"
_BATCH = 1_000
#: Nodes of the index that a search looks at, for each result. A filter hides most of them, and with
#: the effort of a plain search one in thirteen of the results is missed where it keeps 10 %.
_EFFORT, _FILTERED_EFFORT, _LONGEST_EFFORT = 4, 16, 32_768
_SECONDS = 30.0
_TEXT = 65_535  # bytes, the maximum of Milvus
_ARROW: dict[ColumnKind, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
}
_OWN_ARROW = {
    "id": pa.string(),
    "path": pa.string(),
    "content_hash": pa.string(),
    "file_size": pa.int64(),
    "file_modified": pa.int64(),
}


class MilvusStore(Store):
    """A gallery as one collection of one shard, so that each write is one message."""

    def __init__(self, uri: str, exact_up_to: int) -> None:
        self._uri = uri
        self._exact_up_to = exact_up_to
        address, self._name, self._consistency = _parse(uri)
        with self._plain_errors("cannot be reached"):
            self._client = MilvusClient(
                uri=address, token=os.environ.get(TOKEN, ""), timeout=_SECONDS
            )
            _silence()
            self._exists = self._client.has_collection(self._name)
            if self._exists:
                self._client.load_collection(self._name)

    def model(self) -> ModelRecord | None:
        if not self._exists:
            return None
        stored = self._properties().get(_MODEL)
        if stored is None:
            raise TMCIRError(f"{self._uri}: is a collection, but not a gallery")
        return parse_json(stored, f"{self._uri}: the record of its model", ModelRecord)

    def create(self, model: ModelRecord, precision: Precision) -> None:
        if precision != "float32":
            raise TMCIRError(f"{self._uri}: galleries on Milvus keep vectors as float32")
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=_TEXT)
        for name in ("path", "content_hash", _THUMBNAIL):
            schema.add_field(name, DataType.VARCHAR, max_length=_TEXT)
        for name in ("file_size", "file_modified"):
            schema.add_field(name, DataType.INT64)
        schema.add_field("metadata", DataType.JSON)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=model.embedding_size)
        with self._plain_errors("no gallery can be made here"):
            self._client.create_collection(
                self._name,
                schema=schema,
                num_shards=1,
                consistency_level="Strong",
                properties={_MODEL: json.dumps(asdict(model)), _COLUMNS: "{}"},
            )
            self._index_with("FLAT", {})
            self._exists = True

    @contextmanager
    def alone(self) -> Iterator[None]:
        yield  # nothing there to lock with

    def columns(self) -> dict[str, ColumnKind]:
        where = f"{self._uri}: the record of its columns"
        return parse_json(self._properties()[_COLUMNS], where, dict[str, ColumnKind])

    def add_columns(self, columns: Mapping[str, ColumnKind]) -> None:
        if columns:
            known = json.dumps({**self.columns(), **columns})
            with self._writing():
                self._client.alter_collection_properties(self._name, {_COLUMNS: known})

    def files(self) -> dict[str, FileState]:
        rows = self._all(["id", *_FILE])
        return {row["id"]: FileState(*(row[name] for name in _FILE)) for row in rows}

    def metadata(self) -> dict[str, dict[str, Value]]:
        columns = self.columns()
        return {row["id"]: _values(row, columns) for row in self._all(["id", "metadata"])}

    def insert(self, rows: Rows) -> None:
        stored = self._by_id(rows.ids, ["id"])
        self._write([row for row in _records(rows) if row["id"] not in stored])

    def update(self, rows: Rows) -> None:
        stored = self._by_id(rows.ids, ["id", "vector", _THUMBNAIL])
        self._write([{**stored[row["id"]], **row} for row in _records(rows) if row["id"] in stored])

    def remove(self, ids: Sequence[str]) -> int:
        found = list(self._by_id(ids, ["id"]))
        with self._writing():
            for start in range(0, len(found), _BATCH):
                self._client.delete(self._name, filter=_is_one_of(found[start : start + _BATCH]))
        return len(found)

    def tidy(self) -> None:
        with self._writing():
            self._client.flush(self._name)
            if self._index()["index_type"] == "FLAT" and len(self) > self._exact_up_to:
                self._client.release_collection(self._name)
                self._client.drop_index(self._name, "vector")
                self._index_with("HNSW", {"M": 20, "efConstruction": 150})

    def refresh(self) -> None:
        if not self._exists:
            with self._plain_errors("cannot be reached"):
                self._exists = self._client.has_collection(self._name)

    def nearest(self, vector: NDArray[np.float32], k: int, where: str | None = None) -> Neighbours:
        condition = "" if where is None else translate(where, self.columns())
        return rank(partial(self._candidates, vector, condition), vector, k)

    def _candidates(
        self, vector: NDArray[np.float32], condition: str, count: int
    ) -> tuple[list[str], NDArray[np.float32]]:
        effort = min(count * (_FILTERED_EFFORT if condition else _EFFORT), _LONGEST_EFFORT)
        with self._plain_errors("this search failed"):
            (found,) = self._client.search(
                self._name,
                data=[vector],
                filter=condition,
                limit=count,
                output_fields=["vector"],
                search_params={"params": {"ef": effort}},
                consistency_level=self._consistency,
            )
        vectors = [hit["entity"]["vector"] for hit in found]
        matrix = np.asarray(vectors, np.float32).reshape(-1, len(vector))  # [C, D]
        return [hit["id"] for hit in found], matrix

    def match(
        self, text: str, columns: Sequence[str], count: int, where: str | None = None
    ) -> list[str]:
        raise TMCIRError(
            f"{self._uri}: words can be searched in galleries on LanceDB, not on Milvus; search"
            " without them"
        )

    def vectors(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        found = self._by_id(ids, ["id", "vector"])
        return {name: np.asarray(row["vector"], np.float32) for name, row in found.items()}

    def sample(self, count: int) -> NDArray[np.float32]:
        with self._plain_errors("this gallery cannot be read"):
            found = self._client.query(
                self._name,
                filter="",
                output_fields=["vector"],
                limit=count,
                consistency_level=self._consistency,
            )
        size = int(self._description()["fields"][-1]["params"]["dim"])
        return np.asarray([row["vector"] for row in found], np.float32).reshape(-1, size)

    def batches(self, names: Sequence[str]) -> pa.RecordBatchReader:
        columns = self.columns()
        types = {**_OWN_ARROW, **{name: _ARROW[kind] for name, kind in columns.items()}}
        if "vector" in names:
            size = int(self._description()["fields"][-1]["params"]["dim"])
            types["vector"] = pa.list_(pa.float32(), size)
        schema = pa.schema([pa.field(name, types[name]) for name in names])
        own = [name for name in names if name not in columns]
        read = self._batches([*own, "metadata"] if len(own) < len(names) else own)
        rows = ([{**_values(row, columns), **row} for row in batch] for batch in read)
        return pa.RecordBatchReader.from_batches(
            schema, (pa.RecordBatch.from_pylist(batch, schema) for batch in rows)
        )

    def values(self, column: str) -> dict[Value, int]:
        rows = (row["metadata"].get(column) for row in self._all(["metadata"]))
        return dict(Counter(value for value in rows if value is not None))

    def rows(self, ids: Sequence[str]) -> dict[str, dict[str, Value]]:
        columns = self.columns()
        own = ["id", "path", "content_hash"]
        found = self._by_id(ids, [*own, "metadata"])
        return {
            name: {**{key: row[key] for key in own}, **_values(row, columns)}
            for name, row in found.items()
        }

    def file(self, name: str) -> FileState | None:
        found = self._by_id([name], ["id", *_FILE])
        return FileState(*(found[name][key] for key in _FILE)) if found else None

    def thumbnails(self, ids: Sequence[str]) -> dict[str, bytes]:
        found = self._by_id(ids, ["id", _THUMBNAIL])
        return {name: base64.b64decode(row[_THUMBNAIL]) for name, row in found.items()}

    def setting(self, name: str) -> str | None:
        return self._properties().get(f"tmcir.{name}")

    def change_setting(self, name: str, value: str) -> None:
        with self._writing():
            self._client.alter_collection_properties(self._name, {f"tmcir.{name}": value})

    def info(self) -> StoreInfo:
        index = self._index()
        approximate = index["index_type"] != "FLAT"
        return StoreInfo(
            precision="float32",
            size=None,
            index=index["index_type"] if approximate else "",
            indexed=int(index.get("indexed_rows", 0)) if approximate else 0,
        )

    def __len__(self) -> int:
        if not self._exists:
            return 0
        with self._plain_errors("this gallery cannot be read"):
            counted = self._client.query(
                self._name, filter="", output_fields=["count(*)"], consistency_level="Strong"
            )
        return int(counted[0]["count(*)"])

    def _description(self) -> dict[str, Any]:
        with self._plain_errors("this gallery cannot be read"):
            described: dict[str, Any] = self._client.describe_collection(self._name)
            return described

    def _properties(self) -> dict[str, str]:
        properties: dict[str, str] = self._description()["properties"]
        return properties

    def _index(self) -> dict[str, Any]:
        with self._plain_errors("this gallery cannot be read"):
            index: dict[str, Any] = self._client.describe_index(self._name, "vector")
            return index

    def _index_with(self, kind: str, parameters: Mapping[str, int]) -> None:
        index = self._client.prepare_index_params()
        index.add_index("vector", index_type=kind, metric_type="IP", params=dict(parameters))
        self._client.create_index(self._name, index)
        self._client.load_collection(self._name)

    def _write(self, records: list[dict[str, Any]]) -> None:
        if records:
            with self._writing():
                self._client.upsert(self._name, records)

    def _by_id(self, ids: Sequence[str], names: list[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        with self._plain_errors("this gallery cannot be read"):
            for start in range(0, len(ids), _BATCH):
                rows = self._client.query(
                    self._name,
                    filter=_is_one_of(ids[start : start + _BATCH]),
                    output_fields=names,
                    consistency_level="Strong",
                )
                found.update((row["id"], row) for row in rows)
        return found

    def _all(self, names: list[str]) -> Iterator[dict[str, Any]]:
        for batch in self._batches(names):
            yield from batch

    def _batches(self, names: list[str]) -> Iterator[list[dict[str, Any]]]:
        with self._plain_errors("this gallery cannot be read"):
            rows = self._client.query_iterator(
                self._name,
                batch_size=_BATCH,
                output_fields=names,
                consistency_level="Strong",
            )
            try:
                while batch := rows.next():
                    yield batch
            finally:
                rows.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._plain_errors("this gallery cannot be written"):
            yield

    @contextmanager
    def _plain_errors(self, problem: str) -> Iterator[None]:
        try:
            yield
        except (MilvusException, RpcError) as error:
            reason = first_line(error).partition("message=")[2] or first_line(error)
            raise TMCIRError(f"{self._uri}: {problem}: {reason[:300]}") from error


def _parse(uri: str) -> tuple[str, str, str]:
    """Return server, collection and consistency of an address."""
    parts = urlsplit(uri)
    name = parts.path.strip("/")
    if not parts.hostname or "@" in parts.netloc or not re.fullmatch(r"[A-Za-z_]\w{0,254}", name):
        raise TMCIRError(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}: write"
            " milvus://host:port/collection, the collection in letters, digits and _;"
            f" a password goes into the environment variable {TOKEN}"
        )
    options = dict(parse_qsl(parts.query))
    consistency = options.pop("consistency", CONSISTENCY[0])
    for option in options:
        raise unknown_choice("option of the address", option, ["consistency"])
    if consistency not in CONSISTENCY:
        raise unknown_choice("consistency", consistency, CONSISTENCY)
    return f"http://{parts.hostname}:{parts.port or 19530}", name, consistency


def _silence() -> None:
    # pymilvus prints a traceback of each rejected request, on top of raising it
    for name in logging.root.manager.loggerDict:
        if name.startswith("pymilvus"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _is_one_of(ids: Sequence[str]) -> str:
    return f"id in {json.dumps([name for name in ids if is_text(name)], ensure_ascii=False)}"


def _records(rows: Rows) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for row, (name, file, metadata) in enumerate(
        zip(rows.ids, rows.files, rows.metadata, strict=True)
    ):
        # an empty cell is a missing key
        filled = {key: value for key, value in metadata.items() if value is not None}
        record: dict[str, Any] = {
            "id": name,
            "path": file.path,
            "file_size": file.size,
            "file_modified": file.modified,
            "content_hash": file.content_hash,
            "metadata": filled,
        }
        if rows.vectors is not None:
            record["vector"] = rows.vectors[row]
        if rows.thumbnails is not None:
            record[_THUMBNAIL] = base64.b64encode(rows.thumbnails[row]).decode()
        records.append(record)
    return records


def _values(row: Mapping[str, Any], columns: Mapping[str, ColumnKind]) -> dict[str, Value]:
    stored = row.get("metadata", {})
    return {name: stored.get(name) for name in columns}
