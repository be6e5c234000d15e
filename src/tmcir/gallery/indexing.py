"""Bringing photos into a store: which need encoding, decoding ahead, writing in chunks."""

from __future__ import annotations

import hashlib
import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tmcir.core.errors import ImageError, TMCIRError
from tmcir.core.images import check_file, image_name, jpeg_thumbnail, list_images, read_image
from tmcir.gallery.metadata import Metadata
from tmcir.gallery.query import ImageSource
from tmcir.gallery.stores.base import FileState, Rows, Store, Value, is_text

if TYPE_CHECKING:
    from tmcir.models import Explanation

#: Called with the number of photos looked at and the number of all photos.
Progress = Callable[[int, int], None]

_BATCH = 64
_THREADS = min(8, os.cpu_count() or 1)
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class EmbeddingModel(Protocol):
    """What a gallery needs of a model; `tmcir.TMCIR` is one."""

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

    def encode_images(self, images: Sequence[ImageSource]) -> Tensor:
        """Return float32 [N, D], L2-normalised."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return float32 [N, D], L2-normalised."""

    def compose(
        self,
        images: Sequence[ImageSource],
        texts: Sequence[str],
        balance: float | Sequence[float] = 0.0,
    ) -> Tensor:
        """Return float32 [N, D], L2-normalised."""

    def explain(self, image: ImageSource, text: str) -> Explanation:
        """Return the model's account of one query."""


@dataclass(slots=True)
class AddReport:
    """What `Gallery.add` did.

    Attributes:
        added: Photos that are new in the gallery.
        updated: Photos whose file has changed; their vectors are replaced.
        unchanged: Photos that were not encoded again.
        described: Unchanged photos whose metadata has changed.
        removed: Photos that vanished from the folder and were pruned.
        skipped: (id, reason) of each photo that could not be read. One that was in the gallery
            before keeps its last good vector.
        notes: One line each for what was matched and found wrong in the metadata.
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


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to index, and the name it has in the gallery."""

    id: str
    path: Path


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at a photo found: an image to encode, an unchanged file, or a reason to skip.

    An unchanged file comes with a thumbnail where the gallery has none of it.
    """

    id: str
    state: FileState | None = None
    image: Image.Image | None = None
    thumbnail: bytes | None = None
    reason: str | None = None


def find_photos(photos: str | Path | Iterable[str | Path], report: AddReport) -> list[Photo]:
    """Name the photos of a folder by relative path, those of a list by file name.

    Names that are no valid text and names given twice go to ``report.skipped``.

    Raises:
        TMCIRError: The folder is missing.
    """
    if isinstance(photos, str | Path):
        folder = Path(photos)
        found = [Photo(path.relative_to(folder).as_posix(), path) for path in list_images(folder)]
    else:
        found = [Photo(Path(path).name, Path(path)) for path in photos]
    kept: dict[str, Photo] = {}
    for photo in found:
        if photo.id in kept:
            reason = f"{image_name(kept[photo.id].path)} has the same name"
        elif not is_text(photo.id) or not is_text(str(photo.path)):
            reason = "its name is not valid UTF-8"
        else:
            kept[photo.id] = photo
            continue
        report.skipped.append((image_name(photo.path), reason))
    return list(kept.values())


def write_photos(
    store: Store,
    model: EmbeddingModel,
    photos: Sequence[Photo],
    metadata: Metadata,
    report: AddReport,
    chunk_size: int,
    progress: Progress | None = None,
) -> None:
    """Encode what is new or changed, and write it ``chunk_size`` photos at a time.

    Threads decode ahead of the encoder. What a chunk has written stays if the process is killed,
    and the next call goes on after it.
    """
    known = store.files()
    lacking = store.without_thumbnail()
    writer = _Writer(store, model, metadata, known, report, chunk_size)

    def look(photo: Photo) -> _Look:
        return _look(photo, known.get(photo.id), photo.id in lacking, model.image_size)

    looks = _read_ahead(look, photos)
    try:
        for done, result in enumerate(looks, start=1):
            writer.take(result)
            if progress is not None:
                progress(done, len(photos))
    finally:
        looks.close()
    writer.finish()


class _Writer:
    """Collects looked-at photos and writes them chunk by chunk."""

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
        self._waiting: list[_Look] = []
        self._encoded: list[tuple[_Look, NDArray[np.float32]]] = []
        self._touched: list[_Look] = []
        self._wrote = False

    def take(self, look: _Look) -> None:
        if look.reason is not None:
            self._report.skipped.append((look.id, look.reason))
        elif look.image is not None:
            self._waiting.append(look)
        else:
            self._report.unchanged += 1
            described = self._values(look.id) != self._stored.get(look.id, {})
            self._report.described += described
            if described or look.thumbnail or look.state != self._known[look.id]:
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
        # a photo that this CSV does not name keeps what an earlier one said
        return {**self._stored.get(name, {}), **self._metadata.values.get(name, {})}

    def _encode_waiting(self) -> None:
        looks, self._waiting = self._waiting, []
        images = [look.image for look in looks if look.image is not None]
        if not images:
            return
        vectors = self._model.encode_images(images).detach().cpu().numpy().astype(np.float32)
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
        for drawn in (True, False):
            alike = [look for look in looks if (look.thumbnail is not None) is drawn]
            if alike:
                self._write(self._store.update, alike, None)

    def _write(
        self,
        write: Callable[[Rows], None],
        looks: Sequence[_Look],
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


def thumbnail_side(image_size: int) -> int:
    """Return the longest side of stored thumbnails, in pixels, for a model's image size.

    A thumbnail stands in for its photo as a query's reference when the photo is gone: so even the
    shorter side of a 3:4 photo has what the model reads, up to a limit.
    """
    return min(384, max(256, math.ceil(image_size * 4 / 3)))


def file_state(path: Path, known: FileState | None) -> FileState:
    """Return a file's state; a file of the known path, size and time is not read to hash it.

    Raises:
        ImageError: It is no file to be read. One line without its name.
        OSError: It cannot be read.
    """
    status = path.stat()
    # taken before the bytes are read: a change in between is seen by the next run
    state = FileState(str(path.absolute()), status.st_size, status.st_mtime_ns, "")
    if known is not None and state == replace(known, content_hash=""):
        return known
    check_file(path)  # hashing a pipe would wait for ever
    with path.open("rb") as file:
        return replace(state, content_hash=hashlib.file_digest(file, _new_hash).hexdigest())


def _look(photo: Photo, known: FileState | None, lacks_thumbnail: bool, image_size: int) -> _Look:
    try:
        state = file_state(photo.path, known)
        same = known is not None and state.content_hash == known.content_hash
        if same and not lacks_thumbnail:
            return _Look(photo.id, state)
        side = thumbnail_side(image_size)
        image = read_image(photo.path, max(image_size, side))
        thumbnail = jpeg_thumbnail(image, side)
        # smaller, because many wait for the encoder
        return _Look(photo.id, state, None if same else read_image(image, image_size), thumbnail)
    except ImageError as error:
        return _Look(photo.id, reason=str(error).removeprefix(f"{image_name(photo.path)}: "))
    except OSError as error:
        return _Look(photo.id, reason=(error.strerror or str(error)).lower())


def _new_hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _read_ahead(
    work: Callable[[_Item], _Result], items: Sequence[_Item]
) -> Generator[_Result, None, None]:
    """Yield ``work(item)`` in order, with threads a bounded number of items ahead."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="tmcir-decode")
    waiting: deque[Future[_Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 2 * _BATCH:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
