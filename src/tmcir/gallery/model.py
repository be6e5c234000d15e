"""The model of a gallery: its interface, its record in the gallery, and loading it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError
from tmcir.core.shipped import MODEL_INDEX, is_shipped, shipped_folder
from tmcir.gallery.query import ImageSource
from tmcir.gallery.stores.base import ModelRecord
from tmcir.models.explained import Explanation
from tmcir.runtime import Runtime, load


class Array(Protocol):
    """Numbers of NumPy, or of torch on the CPU."""

    def __array__(self) -> Any:
        """Return the same numbers as an array of NumPy."""


class EmbeddingModel(Protocol):
    """The interface of a gallery's model; `tmcir.TMCIR` and `OnnxModel` have it."""

    name: str

    @property
    def identity(self) -> str:
        """Hash of configuration and weights."""

    @property
    def embedding_size(self) -> int:
        """D, numbers a vector."""

    @property
    def image_size(self) -> int:
        """Side of the square that the image tower reads, in pixels."""

    def encode_images(self, images: Sequence[ImageSource]) -> Array:
        """Return float32 [N, D], L2-normalised."""

    def encode_texts(self, texts: Sequence[str]) -> Array:
        """Return float32 [N, D], L2-normalised."""

    def compose(
        self,
        images: Sequence[ImageSource],
        texts: Sequence[str],
        balance: float | Sequence[float] = 0.0,
    ) -> Array:
        """Return float32 [N, D], L2-normalised."""

    def explain(self, image: ImageSource, text: str) -> Explanation:
        """Return the model's account of one query."""

    def unread(self, text: str) -> str:
        """Return the end of a text that is too long to be read; "" where all of it is read."""


def as_array(vectors: Array) -> NDArray[np.float32]:
    """Return what a model encoded as float32 [N, D]."""
    return np.asarray(vectors, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model is loaded from.

    Attributes:
        place: Absolute folder, Hugging Face id, or name of a shipped model; empty where the model
            was built in Python.
        shipped: Whether it is a shipped model's name, whatever folders of that name there are.
    """

    place: str = ""
    shipped: bool = False

    @classmethod
    def of(cls, given: str | Path) -> ModelSource:
        """Resolve a path, name or id, so that it means the same in every working folder."""
        if is_shipped(given, MODEL_INDEX):
            return cls(str(given), shipped=True)
        return cls(str(Path(given).absolute()) if Path(given).is_dir() else str(given))

    @classmethod
    def of_model(cls, model: EmbeddingModel) -> ModelSource:
        """Return the folder that a model was loaded from: its name, where that is such a folder."""
        folder = Path(model.name)
        if shipped_folder(folder.name, MODEL_INDEX) == folder:
            return cls(folder.name, shipped=True)
        return cls.of(folder) if (folder / MODEL_INDEX).is_file() else cls()

    def load(self, runtime: Runtime = "auto") -> EmbeddingModel:
        """Load the model; by default by its graphs, where they fit its weights.

        Raises:
            TMCIRError: There is no such model.
        """
        folder = shipped_folder(self.place, MODEL_INDEX) if self.shipped else None
        return load(self.place if folder is None else folder, runtime=runtime)


def load_remembered(uri: str, record: ModelRecord, runtime: Runtime = "auto") -> EmbeddingModel:
    """Load the model that a gallery was made with.

    Raises:
        TMCIRError: The gallery does not know where its model is, or it is there no more.
    """
    source = ModelSource(record.source, record.shipped)
    if not source.place:
        raise TMCIRError(
            f"{uri}: does not remember its model {describe(record)}; pass it with --model (in"
            " Python: model=...)"
        )
    if Path(source.place).is_absolute() and not Path(source.place).is_dir():
        raise TMCIRError(
            f"{uri}: its model is no longer at {source.place}; pass its new place with --model"
        )
    return source.load(runtime)


def record_of(model: EmbeddingModel, source: ModelSource) -> ModelRecord:
    """Return the record of a model that a gallery keeps."""
    name = source.place if source.shipped else model.name
    return ModelRecord(name, model.identity, model.embedding_size, source.place, source.shipped)


def check_same(uri: str, stored: ModelRecord, given: ModelRecord) -> None:
    """Check that a gallery is used with the model that made its vectors.

    Raises:
        TMCIRError: It is another model.
    """
    if stored.identity != given.identity:
        raise TMCIRError(
            f"{uri}: was indexed with the model {describe(stored)}, which is not"
            f" {describe(given)}; open it with its own model or index the photos again"
        )


def describe(record: ModelRecord) -> str:
    """Return a model's name for messages; of a folder, the last part."""
    name = Path(record.name).name if Path(record.name).is_absolute() else record.name
    origin = "shipped, " if record.shipped else ""
    place = f" from {record.source}" if record.source not in ("", record.name, name) else ""
    return f"{name!r} ({origin}{record.identity[:12]}, {record.embedding_size} dimensions){place}"
