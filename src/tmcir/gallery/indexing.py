"""Bringing a store up to date with photos: decode ahead, encode in batches, write in chunks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError
from tmcir.core.progress import Progress
from tmcir.gallery.metadata import Metadata
from tmcir.gallery.model import EmbeddingModel, as_array
from tmcir.gallery.photos import Look, Photo, look_at
from tmcir.gallery.stores.base import FileState, Rows, Store, Value
from tmcir.runs.prefetch import prefetch

_BATCH = 64
_THREADS = min(8, os.cpu_count() or 1)


@dataclass(slots=True)
class AddReport:
    """Report of `Gallery.add`.

    Attributes:
        added: Photos that are new in the gallery.
        updated: Photos whose file has changed; their vectors are replaced.
        unchanged: Photos that were not encoded again.
        described: Unchanged photos whose metadata has changed.
        removed: Photos that are no longer in the folder and were pruned.
        skipped: (id, reason) of each photo that could not be read. One that was in the gallery
            before keeps its last valid vector.
        notes: One line each for files skipped, for names matched in another spelling, and for
            errors of the metadata.
        seconds: Wall-clock time.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    described: int = 0
    removed: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def images_per_second(self) -> float:
        """Encoded photos a second."""
        return (self.added + self.updated) / self.seconds if self.seconds > 0 else 0.0


def write_photos(
    store: Store,
    model: EmbeddingModel,
    photos: Sequence[Photo],
    metadata: Metadata,
    report: AddReport,
    chunk_size: int,
    progress: Progress | None = None,
) -> None:
    """Encode new and changed photos, and write them ``chunk_size`` at a time.

    Threads decode ahead of the encoder. A killed process keeps all chunks that were written, and
    the next call resumes after them.
    """
    known = store.files()
    writer = _Writer(store, model, metadata, known, report, chunk_size)

    def look(photo: Photo) -> Look:
        return look_at(photo, known.get(photo.id), model.image_size)

    with closing(prefetch(look, photos, ahead=2 * _BATCH, threads=_THREADS)) as looks:
        for done, result in enumerate(looks, start=1):
            writer.take(result)
            if progress is not None:
                progress(done, len(photos))
    writer.finish()


class _Writer:
    """Collects checked photos and writes them chunk by chunk."""

    def __init__(
        self,
        store: Store,
        model: EmbeddingModel,
        metadata: Metadata,
        known: Mapping[str, FileState],
        report: AddReport,
        chunk_size: int,
    ) -> None:
        self._store = store
        self._model = model
        self._metadata = metadata
        self._known = known
        self._report = report
        self._chunk_size = chunk_size
        self._stored = store.metadata() if store.columns() else {}
        self._waiting: list[Look] = []
        self._encoded: list[tuple[Look, NDArray[np.float32]]] = []
        self._touched: list[Look] = []
        self._wrote = False

    def take(self, look: Look) -> None:
        if look.reason is not None:
            self._report.skipped.append((look.id, look.reason))
        elif look.image is not None:
            self._waiting.append(look)
        else:
            self._report.unchanged += 1
            described = self._values(look.id) != self._stored.get(look.id, {})
            self._report.described += described
            if described or look.state != self._known[look.id]:
                self._touched.append(look)
        if len(self._waiting) >= min(_BATCH, self._chunk_size):
            self._encode_waiting()
        if len(self._encoded) >= self._chunk_size:
            self._write_encoded()
        if len(self._touched) >= self._chunk_size:
            self._write_touched()

    def finish(self) -> None:
        self._encode_waiting()
        self._write_encoded()
        self._write_touched()
        if self._wrote:
            self._store.tidy()

    def _values(self, name: str) -> dict[str, Value]:
        # a photo that this CSV does not name keeps its values of an earlier CSV
        return {**self._stored.get(name, {}), **self._metadata.values.get(name, {})}

    def _encode_waiting(self) -> None:
        looks, self._waiting = self._waiting, []
        images = [look.image for look in looks if look.image is not None]
        if not images:
            return
        vectors = as_array(self._model.encode_images(images))
        if vectors.shape != (len(images), self._model.embedding_size):
            raise TMCIRError(
                f"the model gave vectors of shape {vectors.shape} for {len(images)} images of"
                f" embedding size {self._model.embedding_size}"
            )
        for look, vector in zip(looks, vectors, strict=True):
            if np.isfinite(vector).all():
                self._encoded.append((replace(look, image=None), vector))
            else:
                self._report.skipped.append((look.id, "its embedding is not finite"))

    def _write_encoded(self) -> None:
        encoded, self._encoded = self._encoded, []
        new = [pair for pair in encoded if pair[0].id not in self._known]
        changed = [pair for pair in encoded if pair[0].id in self._known]
        for pairs, write in ((new, self._store.insert), (changed, self._store.update)):
            if pairs:
                looks, vectors = zip(*pairs, strict=True)
                self._write(write, looks, np.stack(vectors))
        self._report.added += len(new)
        self._report.updated += len(changed)

    def _write_touched(self) -> None:
        looks, self._touched = self._touched, []
        if looks:
            self._write(self._store.update, looks, None)

    def _write(
        self,
        write: Callable[[Rows], None],
        looks: Sequence[Look],
        vectors: NDArray[np.float32] | None,  # [N, D]
    ) -> None:
        thumbnails = [look.thumbnail for look in looks if look.thumbnail is not None]
        rows = Rows(
            ids=[look.id for look in looks],
            files=[look.state for look in looks if look.state is not None],
            metadata=[self._values(look.id) for look in looks],
            vectors=vectors,
            thumbnails=thumbnails or None,
        )
        write(rows)
        self._wrote = True
