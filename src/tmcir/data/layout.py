"""Reading the datasets' official folders: annotation files, and where images lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, overload

from tmcir.core.errors import TMCIRError
from tmcir.core.json_files import Record, check, read_json
from tmcir.core.names import Files

T = TypeVar("T")
Entry = TypeVar("Entry", bound=Record)

# Where one name has files of several kinds, the first kind counts.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@overload
def read_annotation(path: Path, origin: str) -> Any: ...


@overload
def read_annotation(path: Path, origin: str, kind: type[T]) -> T: ...


def read_annotation(path: Path, origin: str, kind: type[Any] | None = None) -> Any:
    """Return the content of an annotation file.

    Args:
        path: The file.
        origin: What ``--root`` has to be and where to get it, for the error.
        kind: What the file holds, as for `tmcir.core.json_files.read_json`.

    Raises:
        TMCIRError: The file is missing, is not JSON, or is of another form.
    """
    if not path.is_file():
        raise TMCIRError(f"{path}: no such file; --root must be {origin}")
    return read_json(path) if kind is None else read_json(path, kind)


def read_entries(path: Path, origin: str, kind: type[Entry]) -> Iterator[tuple[str, Entry]]:
    """Yield the objects of an annotation file that is a list of objects.

    Yields:
        File and position of each object, for error messages, and the object.

    Raises:
        TMCIRError: The file is missing, is not JSON, or is something else than a list of objects.
    """
    content = read_annotation(path, origin)
    if not isinstance(content, list):
        raise TMCIRError(f"{path}: must be a list of objects")
    for number, item in enumerate(content):
        where = f"{path}, entry {number}"
        yield where, check(item, where, kind)


def relative_path(name: str) -> PurePosixPath | None:
    """Return a path that stays below its root, or None for one that is absolute or has ``..``."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts and path.parts
    return path if inside else None


def images_by_stem(*folders: Path) -> Files:
    """Return the images that lie directly in these folders, by name without extension.

    One directory listing a folder, because asking for every name and extension in turn is slow on
    network disks. A folder that is not there counts as empty; the first of two images with one
    name counts.
    """
    found = Files()
    for folder in folders:
        if folder.is_dir():
            with os.scandir(folder) as entries:
                paths = [folder / entry.name for entry in entries if entry.is_file()]
            for path in sorted(_images_among(paths), key=_preference):
                found.setdefault(path.stem, path)
    return found


def _images_among(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]


def _preference(path: Path) -> tuple[int, str]:
    return IMAGE_SUFFIXES.index(path.suffix.lower()), path.name
