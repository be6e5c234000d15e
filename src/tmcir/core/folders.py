"""The images of a folder, with what was skipped and what could not be read."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from tmcir.core.errors import TMCIRError
from tmcir.core.text import on_one_line

#: File name endings that count as images, in lower case.
# fmt: off
EXTENSIONS = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff",
    ".avif",
])
# fmt: on
# Files that systems put into folders of photos; ignored like hidden ones.
_SYSTEM_FILES = frozenset(["thumbs.db", "desktop.ini", "ehthumbs.db"])
_NAMED_AT_MOST = 8


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """The images of a folder and the folders below it.

    Attributes:
        root: The folder.
        files: Image files, sorted by relative path.
        unreadable: (relative path, reason) of folders and files that could not be read: files
            below them may still exist.
        skipped: Other files by kind, with their number: ``.heic``, links out of the folder.
    """

    root: Path
    files: list[Path]
    unreadable: list[tuple[str, str]]
    skipped: dict[str, int]

    def require_all(self) -> None:
        """Check that all of the folder could be read.

        Raises:
            TMCIRError: A part of it could not.
        """
        for name, reason in self.unreadable:
            raise TMCIRError(f"{on_one_line(str(self.root / name))}: {reason}")

    @property
    def skipped_note(self) -> str:
        """One line about skipped files; empty where there are none."""
        kinds = sorted(self.skipped.items(), key=lambda pair: (-pair[1], pair[0]))
        named = [f"{count:,} {_words(kind, count)}" for kind, count in kinds[:_NAMED_AT_MOST]]
        others = sum(count for _, count in kinds[_NAMED_AT_MOST:])
        if others:
            named.append(f"{others:,} of other kinds")
        return f"skipped: {', '.join(named)}" if named else ""


def scan_images(folder: str | Path, besides: Path | None = None) -> ImageFolder:
    """Look for image files in a folder and the folders below it.

    Files count by their ending (`EXTENSIONS`, any case). Hidden files and folders are ignored, and
    links to folders and to files outside ``folder`` are skipped: nothing is found twice, and a
    link in an upload folder cannot publish the rest of the disk.

    Args:
        folder: The folder.
        besides: A file with another use, such as the table of the images, that is not counted.

    Raises:
        TMCIRError: There is no such folder, or it cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise TMCIRError(f"{on_one_line(str(root))}: no such folder")
    if not os.access(root, os.R_OK | os.X_OK):
        raise TMCIRError(f"{on_one_line(str(root))}: no permission to read this folder")
    scan = _Scan(root, None if besides is None else besides.absolute())
    scan.look_into("")
    files = sorted(scan.files, key=lambda path: path.relative_to(root).as_posix())
    return ImageFolder(root, files, sorted(scan.unreadable), dict(scan.skipped))


def list_images(folder: str | Path) -> list[Path]:
    """Return the image files that `scan_images` finds.

    Raises:
        TMCIRError: There is no such folder, or a part of it cannot be read.
    """
    found = scan_images(folder)
    found.require_all()
    return found.files


def no_images(folder: str | Path) -> str:
    """Return one line for a folder without images."""
    endings = ", ".join(sorted(EXTENSIONS))
    return f"{on_one_line(str(folder))}: no image files; these endings count: {endings}"


@dataclass(slots=True)
class _Scan:
    root: Path
    besides: Path | None
    files: list[Path] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def look_into(self, place: str) -> None:
        """Look into a folder, given as a path below the root."""
        waiting = [place]
        while waiting:
            waiting.extend(self._folders_in(waiting.pop()))

    def _folders_in(self, place: str) -> Iterator[str]:
        try:
            with os.scandir(os.fspath(self.root / place)) as entries:
                found = list(entries)
        except OSError as error:
            if not place:
                raise TMCIRError(f"{on_one_line(str(self.root))}: {_reason(error)}") from None
            self.unreadable.append((place, _reason(error)))
            return
        for entry in found:
            if entry.name.startswith(".") or entry.name.lower() in _SYSTEM_FILES:
                continue
            name = f"{place}/{entry.name}" if place else entry.name
            try:
                if entry.is_symlink():
                    self._take_link(self.root / name)
                elif entry.is_dir(follow_symlinks=False):
                    yield name
                elif entry.is_file(follow_symlinks=False):
                    self._take(self.root / name)
            except OSError as error:
                self.unreadable.append((name, _reason(error)))

    def _take(self, path: Path) -> None:
        if path.suffix.lower() in EXTENSIONS:
            path.stat()  # where a folder may be listed but not entered, this fails
            self.files.append(path)
        elif path.absolute() != self.besides:
            self.skipped[path.suffix.lower()] += 1

    def _take_link(self, path: Path) -> None:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # a circle of links; before Python 3.13 the latter
            if isinstance(error, OSError) and error.errno not in (errno.ENOENT, errno.ELOOP):
                raise
            self.skipped["link that leads nowhere"] += 1
            return
        if target.is_dir():
            self.skipped["link to a folder"] += 1
        elif not target.is_relative_to(self.root.resolve()):
            self.skipped["link that leads out of the folder"] += 1
        elif target.is_file():
            self._take(path)


def _words(kind: str, count: int) -> str:
    if not kind:
        return "without an ending"
    if kind.startswith(".") or count == 1:
        return kind
    return kind.replace("link", "links", 1).replace("leads", "lead").replace("a folder", "folders")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def is_below(name: str, folders: Collection[str]) -> bool:
    """Return whether a relative path is one of some folders or files, or below one of them."""
    parents = (str(parent) for parent in (PurePath(name), *PurePath(name).parents))
    return any(parent in folders for parent in parents)
