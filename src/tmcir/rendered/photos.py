"""Drawing pictures into files, atomically and in parallel processes."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from tmcir.core.errors import TMCIRError
from tmcir.core.progress import Progress
from tmcir.rendered.drawing import render
from tmcir.rendered.garment import Garment
from tmcir.rendered.nuisance import Nuisance

SUFFIX = ".jpg"
_QUALITY = 92
_CHUNK = 16
# With fewer pictures, starting processes takes longer than it saves.
_MIN_FOR_POOL = 100


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture to draw, and its file."""

    path: Path
    garment: Garment
    nuisance: Nuisance
    size: int


def draw_photo(photo: Photo) -> None:
    """Draw one picture into its file, atomically.

    Raises:
        TMCIRError: The file cannot be written.
    """
    image = render(photo.garment, photo.nuisance, photo.size)
    try:
        photo.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=photo.path.parent, prefix=".", suffix=SUFFIX)
        try:
            with os.fdopen(descriptor, "wb") as file:
                image.save(file, "JPEG", quality=_QUALITY, subsampling=0)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(photo.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise TMCIRError(f"{photo.path}: cannot be drawn: {error.strerror}") from None


def draw_photos(
    photos: Sequence[Photo],
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Draw many pictures.

    Processes and not threads, because the rasteriser keeps the interpreter locked.

    Args:
        photos: What to draw.
        workers: Number of processes; None takes one per processor. With one, or with few
            pictures, all are drawn in this process.
        progress: Called with the number of pictures drawn so far, and of all of them.

    Raises:
        TMCIRError: A file cannot be written, or a process ended before its time.
    """
    count = _processors() if workers is None else workers
    if count < 2 or len(photos) < _MIN_FOR_POOL:
        for done, photo in enumerate(photos, start=1):
            draw_photo(photo)
            _report(progress, done, len(photos))
        return
    # Spawned, not forked: a fork of a process that runs threads (torch does) may hang.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(count, mp_context=context) as pool:
            for done, _ in enumerate(pool.map(draw_photo, photos, chunksize=_CHUNK), start=1):
                _report(progress, done, len(photos))
    except BrokenProcessPool:
        raise TMCIRError(
            "the processes that draw pictures ended: a script that draws many must keep its code"
            " under `if __name__ == '__main__':`, because each process imports the script; or the"
            " machine has too little memory for this many processes"
        ) from None


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
