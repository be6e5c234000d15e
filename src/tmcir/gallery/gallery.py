"""The gallery as people use it: open, add photos, search."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tmcir.errors import TMCIRError
from tmcir.gallery.exact import nearest
from tmcir.gallery.indexing import (
    AddReport,
    EmbeddingModel,
    ImageSource,
    Progress,
    find_photos,
    write_photos,
)
from tmcir.gallery.metadata import Metadata, read_metadata
from tmcir.gallery.store import ModelRecord, Store, Value, Vectors, open_store

if TYPE_CHECKING:
    from tmcir.models.tmcir import Explanation

#: Longest query text, in characters.
MAXIMUM_TEXT = 2_000
#: Photos written at once; a killed `Gallery.add` loses at most the work on so many.
CHUNK_SIZE = 256


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result.

    Attributes:
        rank: 1 for the best.
        score: Cosine of query and image embedding.
        id: The photo's path relative to the folder that was added.
        path: Absolute path of the photo when it was added.
        metadata: Its metadata by column.
    """

    rank: int
    score: float
    id: str
    path: Path
    metadata: dict[str, Value]


@runtime_checkable
class Explains(Protocol):
    """A model that says how its queries come about; `tmcir.TMCIR` is one."""

    def explain(self, image: ImageSource, text: str) -> Explanation:
        """Return the account of a query."""


class Gallery:
    """Photos, their vectors and their metadata, searched with an image, a text or both.

    Make one with `Gallery.open`. Example:

        gallery = Gallery.open("shop", model=tmcir.load("my-model"))
        gallery.add("photos/", metadata="styles.csv")
        hits = gallery.search(image="ref.jpg", text="in red", where="year >= 2012")
    """

    def __init__(self, store: Store, uri: str, model: EmbeddingModel, record: ModelRecord) -> None:
        self._store = store
        self._uri = uri
        self._model = model
        self._record = record
        self._vectors: Vectors | None = None

    @classmethod
    def open(cls, uri: str | Path, model: EmbeddingModel, source: str = "") -> Gallery:
        """Open a gallery. One that does not exist yet is made by the first `add`.

        Args:
            uri: A folder, or an object store such as ``s3://bucket/shop``.
            model: The model that made the gallery's vectors, or will make them.
            source: Where the model was loaded from. A new gallery remembers it, so that
                ``tmcir search`` finds the model again.

        Raises:
            TMCIRError: The gallery was made with another model, or is something else.
        """
        store = open_store(uri)
        given = ModelRecord(model.name, model.identity, model.embedding_size, source)
        stored = store.model()
        if stored is not None:
            _check_same(str(uri), stored, given)
        return cls(store, str(uri), model, given)

    @staticmethod
    def read_model(uri: str | Path) -> ModelRecord | None:
        """Return which model a gallery was made with, or None where there is no gallery.

        Raises:
            TMCIRError: There is something else at this address.
        """
        return open_store(uri).model()

    def add(
        self,
        photos: str | Path | Iterable[str | Path],
        metadata: str | Path | None = None,
        *,
        metadata_key: str | None = None,
        progress: Progress | None = None,
        chunk_size: int = CHUNK_SIZE,
    ) -> AddReport:
        """Add the photos of a folder, or bring the gallery up to date with it.

        A photo is known by its path relative to the folder (in a list: by its file name). Only
        photos that are new, or whose bytes have changed, are encoded; changed metadata is written
        for all. Broken photos are skipped and reported. Photos that vanished stay in the gallery.

        Args:
            photos: A folder, searched recursively, or a list of files.
            metadata: A CSV with a row per photo; see `tmcir.gallery.metadata.read_metadata`.
            metadata_key: Its column that names the photos; None finds it.
            progress: Called with photos done and photos in all.
            chunk_size: Photos written at once. A killed call keeps all chunks written so far, and
                the next call goes on from there.

        Returns:
            What was added, updated, left unchanged and skipped.

        Raises:
            TMCIRError: The folder or the CSV cannot be used, or the gallery cannot be written.
        """
        if chunk_size < 1:
            raise TMCIRError(f"chunk_size must be at least 1, not {chunk_size}")
        started = time.perf_counter()
        report = AddReport()
        found = find_photos(photos, report)
        if self._store.model() is None:
            columns = {}
        else:
            self._store.refresh()
            columns = self._store.columns()
        table = Metadata()
        if metadata is not None:
            table = read_metadata(metadata, [photo.id for photo in found], metadata_key, columns)
            report.notes += table.notes
        with self._store.alone():
            stored = self._store.model()
            if stored is None:
                self._store.create(self._record)
            else:
                _check_same(self._uri, stored, self._record)
            columns = self._store.columns()  # again: another writer may have added some meanwhile
            new = {name: kind for name, kind in table.columns.items() if name not in columns}
            self._store.add_columns(new)
            write_photos(self._store, self._model, found, table, report, chunk_size, progress)
        report.seconds = time.perf_counter() - started
        return report

    def search(
        self,
        image: ImageSource | None = None,
        text: str | None = None,
        k: int = 20,
        where: str | None = None,
        balance: float = 0.0,
    ) -> list[Hit]:
        """Return the photos nearest to a query, the best first; ties in the order of their ids.

        Args:
            image: Reference image, a file or a PIL image.
            text: How the result should differ from it or, without an image, what it shows.
            k: How many results.
            where: SQL condition on ids and metadata, such as ``"baseColour != 'Black'"``.
            balance: In [-1, 1], for queries with image and text: -1 follows the image only, 1 the
                text only.

        Raises:
            TMCIRError: The query is empty or out of range, the filter cannot be read, or there is
                no such gallery.
            ImageError: The image cannot be read.
        """
        text = (text or "").strip()
        _check_query(image, text, k, balance)
        vectors = self._current_vectors()
        allowed = None
        if where is not None and where.strip():
            allowed = _positions(vectors, self._store.matching(where))
        query = self._embed(image, text, balance)
        found, scores = nearest(vectors.matrix, query, k, allowed)
        return self._hits([vectors.ids[index] for index in found], scores.tolist())

    def explain(self, image: ImageSource, text: str) -> Explanation | None:
        """Return the model's account of a query; None where it gives none.

        Raises:
            TMCIRError: The text is blank.
            ImageError: The image cannot be read.
        """
        return self._model.explain(image, text) if isinstance(self._model, Explains) else None

    def columns(self) -> dict[str, str]:
        """Return the metadata columns and their kinds: ``integer``, ``number`` or ``text``."""
        return {} if self._store.model() is None else dict(self._store.columns())

    def __len__(self) -> int:
        """Return the number of photos; 0 where the gallery does not exist yet."""
        return len(self._store)

    def _current_vectors(self) -> Vectors:
        if self._store.model() is None:
            raise TMCIRError(
                f"{self._uri}: there is no gallery; make one with `tmcir index {self._uri} PHOTOS`"
            )
        version = self._store.refresh()
        if self._vectors is None or self._vectors.version != version:
            self._vectors = self._store.vectors()
        return self._vectors

    def _embed(self, image: ImageSource | None, text: str, balance: float) -> NDArray[np.float32]:
        vectors: Tensor
        if image is None:
            vectors = self._model.encode_texts([text])
        elif text:
            vectors = self._model.compose([image], [text], balance=balance)
        else:
            vectors = self._model.encode_images([image])
        query: NDArray[np.float32] = vectors[0].detach().float().cpu().numpy()  # [D]
        return query

    def _hits(self, ids: Sequence[str], scores: Sequence[float]) -> list[Hit]:
        rows = self._store.rows(ids)
        hits: list[Hit] = []
        for rank, (name, score) in enumerate(zip(ids, scores, strict=True), start=1):
            row = rows[name]
            path = Path(str(row["path"]))
            metadata = {key: value for key, value in row.items() if key not in ("id", "path")}
            hits.append(Hit(rank, score, name, path, metadata))
        return hits


def _check_same(uri: str, stored: ModelRecord, given: ModelRecord) -> None:
    if stored.identity != given.identity:
        raise TMCIRError(
            f"{uri}: was indexed with the model {_describe(stored)}, which is not"
            f" {_describe(given)}; open it with its own model or index the photos anew"
        )


def _check_query(image: ImageSource | None, text: str, k: int, balance: float) -> None:
    if image is None and not text:
        raise TMCIRError("an empty query: give an image, a text or both")
    if len(text) > MAXIMUM_TEXT:
        raise TMCIRError(
            f"the text has {len(text):,} characters; at most {MAXIMUM_TEXT:,} are read"
        )
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise TMCIRError("the text is not valid UTF-8")
    if k < 1:
        raise TMCIRError(f"k, the number of results, must be at least 1, not {k}")
    if not math.isfinite(balance) or not -1 <= balance <= 1:
        raise TMCIRError(
            f"balance must lie between -1 (image only) and 1 (text only), not {balance}"
        )


def _positions(vectors: Vectors, keys: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return the rows of ``vectors`` that have one of these keys, ascending."""
    return np.flatnonzero(np.isin(vectors.keys, keys))


def _describe(record: ModelRecord) -> str:
    return f"{record.name!r} ({record.identity[:12]}, {record.embedding_size} dimensions)"
