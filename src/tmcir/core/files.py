"""Files that are never half-written, and locks that end with their process."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tmcir.core.errors import TMCIRError

#: How a file begins that Git LFS has left in place of another.
LFS_POINTER = "version https://git-lfs"
_STAGING = ".staging-"


def require_writable(path: Path) -> None:
    """Check that a file can be written, before the work whose result it will hold.

    Raises:
        TMCIRError: A folder is in its place, or a folder above it is a file or not writable.
    """
    if path.is_dir():
        raise TMCIRError(f"{path}: cannot be written: it is a folder, but must be a file")
    above = path.parent
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise TMCIRError(
            f"{path}: cannot be written: {above} is not a folder that can be written to"
        )


def expand_user(path: str | Path) -> Path:
    """Return a path with ``~`` replaced; as it is where there is no such user, or no home."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises


def write_text(path: Path, text: str) -> None:
    """Write a text file by renaming a finished temporary file onto its place.

    Raises:
        TMCIRError: The file cannot be written; one that was there before is as it was.
    """
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, completely or not at all.

    Raises:
        TMCIRError: The file cannot be written; one that was there before is as it was.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file by renaming a finished temporary file onto its place.

    Raises:
        TMCIRError: The file cannot be written; one that was there before is as it was.
    """
    with staged_file(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Yield an empty temporary file that takes the place of ``path`` when the block ends well.

    Raises:
        TMCIRError: The file cannot be written; one that was there before is as it was.
    """
    require_writable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:  # a disk that is full, a folder that vanished
        raise TMCIRError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """Yield an empty folder whose files are moved into ``target`` when the block ends well.

    Other files in ``target`` stay. ``config.json`` moves last, so that a directory that has one
    is complete. Leftovers of killed processes are removed first.

    Raises:
        TMCIRError: ``target`` cannot be written to.
    """
    require_writable(target / _STAGING)
    target.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target)
    staging = Path(tempfile.mkdtemp(dir=target, prefix=_STAGING))
    with _held(staging):
        try:
            yield staging
            last = "config.json"
            for path in sorted(staging.iterdir(), key=lambda path: (path.name == last, path.name)):
                path.chmod(0o644)  # whatever wrote it, others may read it
                path.replace(target / path.name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def remove_abandoned(target: Path) -> None:
    """Remove temporary folders of killed processes that wrote files for ``target``."""
    for folder in target.glob(f"{_STAGING}*"):
        with suppress(OSError), _held(folder):  # held by another process: still in use
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a temporary folder, so that other processes do not take it for abandoned.

    Raises:
        OSError: Another process holds it.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold a lock that one process at a time can have; the system frees it when that process ends.

    Args:
        path: The lock's file.
        busy: The error's message if another process holds the lock; None waits for it.

    Raises:
        TMCIRError: Another process holds the lock, or its file cannot be made.
    """
    if sys.platform == "win32":
        yield  # there are no such locks
        return
    import fcntl

    require_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if busy is None else fcntl.LOCK_NB))
        except BlockingIOError:
            raise TMCIRError(busy or "") from None
        yield
