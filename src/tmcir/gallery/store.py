"""What a gallery keeps and asks of its store, small enough that another engine can stand behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tmcir.errors import TMCIRError

Value = int | float | str | None
Kind = Literal["integer", "number", "text"]

#: Columns that every gallery has; metadata columns take other names.
OWN_COLUMNS = ("id", "path", "content_hash", "file_size", "file_modified", "vector")
MAXIMUM_FILTER = 10_000


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Which model made a gallery's vectors.

    Attributes:
        name: What reports call it.
        identity: Hash of its configuration and weights.
        embedding_size: D, numbers a vector.
        source: Folder or hub id to load it from; empty where it was built in Python.
    """

    name: str
    identity: str
    embedding_size: int
    source: str = ""


@dataclass(frozen=True, slots=True)
class FileState:
    """A photo as it was when it was last read.

    Attributes:
        path: Absolute path.
        size: Bytes.
        modified: Time of the last change, nanoseconds since 1970.
        content_hash: BLAKE2b of the bytes, hexadecimal.
    """

    path: str
    size: int
    modified: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class Rows:
    """N rows to write.

    Attributes:
        ids: Unique names.
        files: The photos' states.
        metadata: Values by column; columns that a row does not name are empty (None).
        vectors: float32 [N, D], L2-normalised; None leaves the stored vectors as they are.
    """

    ids: Sequence[str]
    files: Sequence[FileState]
    metadata: Sequence[Mapping[str, Value]]
    vectors: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Vectors:
    """All vectors of one version of a gallery.

    Attributes:
        version: Grows with each change.
        ids: N names, sorted: the gallery order that breaks ties.
        keys: uint64 [N], the store's own row keys in that version.
        matrix: float32 [N, D].
    """

    version: int
    ids: Sequence[str]
    keys: NDArray[np.uint64]
    matrix: NDArray[np.float32]


class Store(Protocol):
    """What a gallery asks of its store. Each write is there completely or not at all."""

    def model(self) -> ModelRecord | None:
        """Return the model of the gallery, or None where there is no gallery yet."""

    def create(self, model: ModelRecord) -> None:
        """Make an empty gallery for the vectors of ``model``."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep other writers out of the gallery, which need not exist yet, during a ``with``.

        Raises:
            TMCIRError: Another process is writing.
        """

    def columns(self) -> dict[str, Kind]:
        """Return the metadata columns."""

    def add_columns(self, columns: Mapping[str, Kind]) -> None:
        """Add metadata columns, empty in all rows."""

    def files(self) -> dict[str, FileState]:
        """Return the states of all photos by id."""

    def metadata(self) -> dict[str, dict[str, Value]]:
        """Return the metadata of all rows by id."""

    def insert(self, rows: Rows) -> None:
        """Add rows; ids that are there already keep their row."""

    def update(self, rows: Rows) -> None:
        """Change rows; ids that are not there are passed over."""

    def tidy(self) -> None:
        """Join the small files of many writes."""

    def refresh(self) -> int:
        """See what others have written, and return the version."""

    def vectors(self) -> Vectors:
        """Return all vectors, sorted by id."""

    def matching(self, where: str) -> NDArray[np.uint64]:
        """Return the keys of the rows for which an SQL condition holds.

        Raises:
            TMCIRError: The condition cannot be read or names an unknown column.
        """

    def rows(self, ids: Sequence[str]) -> dict[str, dict[str, Value]]:
        """Return path and metadata of some rows by id."""

    def __len__(self) -> int:
        """Return the number of rows."""


def open_store(uri: str | Path) -> Store:
    """Return the store for a folder or for an address such as ``s3://bucket/shop``.

    Raises:
        TMCIRError: The address is of a kind that is not supported, or the folder is something else.
    """
    from tmcir.gallery.lance import LanceStore  # a second to import, and not always needed

    text = str(uri)
    if text.startswith("milvus://"):
        raise TMCIRError(f"{text}: galleries on Milvus are not supported yet")
    if "://" in text:
        return LanceStore(text)
    return LanceStore(str(Path(text).expanduser()))
