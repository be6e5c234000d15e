"""Reading the datasets' official folders: annotation files, their fields, and where images lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tmcir.core.errors import TMCIRError
from tmcir.core.files import read_json

# Where one name has files of several kinds, the first kind counts.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of an annotation file, whose fields are checked as they are read.

    Attributes:
        where: File and position, for error messages.
        content: The object.
    """

    where: str
    content: dict[str, Any]

    def error(self, reason: str) -> TMCIRError:
        """Build an error that says where this entry is."""
        return TMCIRError(f"{self.where}: {reason}")

    def text(self, key: str) -> str:
        """Return a field that is a string, perhaps an empty one."""
        value: str = self._read(key, str, "a text")
        return value

    def name(self, key: str) -> str:
        """Return a field that is a string and not empty."""
        value = self.text(key)
        if not value:
            raise self.error(f"{key!r} is empty")
        return value

    def integer(self, key: str) -> int:
        """Return a field that is a whole number and not negative."""
        value: int = self._read(key, int, "a whole number")
        if isinstance(value, bool) or value < 0:
            raise self.error(f"{key!r} is {value}, but must be a whole number from 0")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a field that is a list of strings."""
        values = self._read(key, list, "a list of texts")
        if not all(isinstance(value, str) for value in values):
            raise self.error(f"{key!r} must be a list of texts")
        return tuple(values)

    def integers(self, key: str) -> tuple[int, ...]:
        """Return a field that is a list of whole numbers."""
        values = self._read(key, list, "a list of whole numbers")
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise self.error(f"{key!r} must be a list of whole numbers")
        return tuple(values)

    def inner(self, key: str) -> Entry:
        """Return a field that is an object itself."""
        return Entry(f"{self.where}, {key!r}", self._read(key, dict, "an object"))

    def _read(self, key: str, kind: type, words: str) -> Any:
        if key not in self.content:
            raise self.error(f"{key!r} is missing")
        value = self.content[key]
        if not isinstance(value, kind):
            raise self.error(f"{key!r} must be {words}")
        return value


def read_annotation(path: Path, origin: str) -> Any:
    """Return the content of an annotation file.

    Args:
        path: The file.
        origin: What ``--root`` has to be and where to get it, for the error.

    Raises:
        TMCIRError: The file is missing or is not JSON.
    """
    if not path.is_file():
        raise TMCIRError(f"{path}: no such file; --root must be {origin}")
    return read_json(path)


def read_entries(path: Path, origin: str) -> Iterator[Entry]:
    """Yield the objects of an annotation file that is a list of objects.

    Raises:
        TMCIRError: The file is missing, is not JSON, or is something else than a list of objects.
    """
    content = read_annotation(path, origin)
    if not isinstance(content, list):
        raise TMCIRError(f"{path}: must be a list of objects")
    for number, item in enumerate(content):
        if not isinstance(item, dict):
            raise TMCIRError(f"{path}, entry {number}: must be an object")
        yield Entry(f"{path}, entry {number}", item)


def relative_path(name: str) -> PurePosixPath | None:
    """Return a path that stays below its root, or None for one that is absolute or has ``..``."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts and path.parts
    return path if inside else None


def images_by_stem(*folders: Path) -> dict[str, Path]:
    """Return the images that lie directly in these folders, by name without extension.

    One directory listing a folder, because asking for every name and extension in turn is slow on
    network disks. A folder that is not there counts as empty; the first of two images with one
    name counts.
    """
    found: dict[str, Path] = {}
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
