"""The interface between a gallery and the database that keeps it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Value = int | float | str | None
#: Kind of a metadata column.
ColumnKind = Literal["integer", "number", "text"]
#: How a store keeps the numbers of vectors.
Precision = Literal["float32", "float16"]

#: Columns that every gallery has; metadata columns take other names.
OWN_COLUMNS = (
    "id",
    "path",
    "content_hash",
    "file_size",
    "file_modified",
    "vector",
    "thumbnail_jpeg",
)
MAXIMUM_FILTER = 10_000
#: Photos up to which a search compares the query with every one of them.
EXACT_UP_TO = 200_000


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Which model made a gallery's vectors.

    Attributes:
        name: What reports call it.
        identity: Hash of its configuration and weights.
        embedding_size: D, numbers a vector.
        source: Folder, hub id or name of a shipped model to load it from; empty where it was built
            in Python.
        shipped: Whether ``source`` is the name of a shipped model.
    """

    name: str
    identity: str
    embedding_size: int
    source: str = ""
    shipped: bool = False


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
        thumbnails: N JPEG files; None leaves the stored ones as they are.
    """

    ids: Sequence[str]
    files: Sequence[FileState]
    metadata: Sequence[Mapping[str, Value]]
    vectors: NDArray[np.float32] | None
    thumbnails: Sequence[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Rows near a query, the best first; of equal scores the smaller id comes first.

    Attributes:
        ids: K names.
        scores: float64 [K], dot products with the query.
        vectors: float32 [K, D].
    """

    ids: Sequence[str]
    scores: NDArray[np.float64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """Precision, size and index of a store.

    Attributes:
        precision: How it keeps the numbers of vectors.
        size: Bytes on disk, where the store can tell.
        index: Kind of its nearest-neighbour index; "" where it compares every vector.
        indexed: Rows that the index covers; others are compared one by one.
    """

    precision: Precision
    size: int | None
    index: str
    indexed: int


class Store(ABC):
    """The interface of a store. Every write is atomic.

    Attributes:
        has_words: Whether `match` searches words.
    """

    has_words: ClassVar[bool] = False

    @abstractmethod
    def model(self) -> ModelRecord | None:
        """Return the model of the gallery, or None where there is no gallery yet."""

    @abstractmethod
    def create(self, model: ModelRecord, precision: Precision) -> None:
        """Make an empty gallery for the vectors of ``model``."""

    @abstractmethod
    def alone(self) -> AbstractContextManager[None]:
        """Lock the gallery, which need not exist yet, against other writers within a ``with``.

        Raises:
            TMCIRError: Another process is writing.
        """

    @abstractmethod
    def columns(self) -> dict[str, ColumnKind]:
        """Return the metadata columns."""

    @abstractmethod
    def add_columns(self, columns: Mapping[str, ColumnKind]) -> None:
        """Add metadata columns, empty in all rows."""

    @abstractmethod
    def files(self) -> dict[str, FileState]:
        """Return the states of all photos by id."""

    @abstractmethod
    def metadata(self) -> dict[str, dict[str, Value]]:
        """Return the metadata of all rows by id."""

    @abstractmethod
    def insert(self, rows: Rows) -> None:
        """Add rows; ids that are there already keep their row."""

    @abstractmethod
    def update(self, rows: Rows) -> None:
        """Change rows; ids that are not there are ignored."""

    @abstractmethod
    def remove(self, ids: Sequence[str]) -> int:
        """Remove rows and return how many there were; ids that are not there are ignored."""

    @abstractmethod
    def tidy(self) -> None:
        """Compact the small files of many writes, and build or update the index."""

    @abstractmethod
    def refresh(self) -> None:
        """Read the newest version."""

    @abstractmethod
    def nearest(self, vector: NDArray[np.float32], k: int, where: str | None = None) -> Neighbours:
        """Return the rows nearest to a unit vector [D], min(k, N) of them where it is exact.

        A longer ranking begins with the shorter one, as long as nothing is written.

        Raises:
            TMCIRError: The SQL condition ``where`` cannot be read or names an unknown column.
        """

    @abstractmethod
    def match(
        self, text: str, columns: Sequence[str], count: int, where: str | None = None
    ) -> list[str]:
        """Return the ids of rows whose columns of text have words of a text, the best first.

        The words are compared by their stems; rows with more and with rarer words come first.

        Raises:
            TMCIRError: This store cannot search words, or the filter cannot be read.
        """

    @abstractmethod
    def vectors(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the vectors [D] of some rows by id; ids that are not there are ignored."""

    @abstractmethod
    def sample(self, count: int) -> NDArray[np.float32]:
        """Return the vectors [min(count, N), D] of some rows, the same until something is written.

        The rows are spread over the whole gallery where the engine can do so cheaply.
        """

    @abstractmethod
    def batches(self, names: Sequence[str]) -> pa.RecordBatchReader:
        """Read columns of all rows, own and metadata, a batch at a time, in no particular order."""

    @abstractmethod
    def values(self, column: str) -> dict[Value, int]:
        """Return how many rows have each value of a metadata column; empty cells do not count."""

    @abstractmethod
    def rows(self, ids: Sequence[str]) -> dict[str, dict[str, Value]]:
        """Return path, content hash and metadata of some rows by id."""

    @abstractmethod
    def file(self, name: str) -> FileState | None:
        """Return the state of a photo, or None where there is no such row."""

    @abstractmethod
    def thumbnails(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the JPEG files of some rows by id; ids that are not there are ignored."""

    @abstractmethod
    def setting(self, name: str) -> str | None:
        """Return a text that is kept beside the rows; None where there is none of that name."""

    @abstractmethod
    def change_setting(self, name: str, value: str) -> None:
        """Keep a text beside the rows, in place of one of the same name."""

    @abstractmethod
    def info(self) -> StoreInfo:
        """Return precision, size and index."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""


def as_matrix(vectors: pa.Array | pa.ChunkedArray) -> NDArray[np.float32]:
    """Return a column of unit vectors, of either precision, as float32 [N, D]."""
    if isinstance(vectors, pa.ChunkedArray):
        vectors = vectors.combine_chunks()
    flat = vectors.flatten().to_numpy()  # [N * D]
    matrix: NDArray[np.float32] = flat.astype(np.float32, copy=False)
    matrix = matrix.reshape(-1, vectors.type.list_size)  # [N, D]
    # float16 has changed the lengths
    return matrix if flat.dtype == np.float32 else unit(matrix)


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return vectors [N, D], none of them zero, with length 1."""
    scaled: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled.astype(np.float32, copy=False)


def is_text(text: str) -> bool:
    """Return whether a string can be written as UTF-8: file names of other bytes cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
