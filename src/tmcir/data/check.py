"""Check a dataset before use: count queries and images, find missing and broken images."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tmcir.core.images import check_image
from tmcir.core.progress import Progress
from tmcir.core.text import on_one_line
from tmcir.data.dataset import Dataset
from tmcir.runs.prefetch import prefetch

_THREADS = 4
_AHEAD = 64
_MAX_LISTED = 20
_MAX_FOLDERS = 4  # in a message


@dataclass(frozen=True, slots=True)
class TaskCount:
    """Size of one ranking problem of a protocol."""

    protocol: str
    task: str
    queries: int
    gallery: int


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What was found in a dataset's folder.

    Attributes:
        dataset: Name of the dataset.
        split: The split.
        root: The folder.
        queries: Number of queries of the split.
        tasks: Queries and gallery images for every protocol and task.
        images: Number of images that queries and galleries name.
        missing: Those that have no file, sorted.
        broken: Those whose file does not decode, and why.
        notes: Further notes for readers.
        looked_in: Folders in which images were looked for.
    """

    dataset: str
    split: str
    root: str
    queries: int
    tasks: tuple[TaskCount, ...]
    images: int
    missing: tuple[str, ...]
    broken: dict[str, str]
    notes: tuple[str, ...] = ()
    looked_in: tuple[str, ...] = ()

    @property
    def annotation_only(self) -> bool:
        """Whether none of the images is there."""
        return self.images > 0 and len(self.missing) == self.images

    @property
    def good(self) -> bool:
        """Whether every image is there and whole."""
        return not self.missing and not self.broken

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON. ``missing`` is left empty where all images are."""
        content = asdict(self) | {"annotation_only": self.annotation_only}
        content["missing_count"] = len(self.missing)
        if self.annotation_only:
            content["missing"] = []
        return content

    def __str__(self) -> str:
        """Return the findings as plain text; long lists are cut, and say so."""
        rows = [("protocol", "part", "queries", "gallery")]
        rows += [(t.protocol, t.task, f"{t.queries:,}", f"{t.gallery:,}") for t in self.tasks]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [f"{self.dataset} {self.split} in {self.root}: {self.queries:,} queries", ""]
        lines += [
            f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:>{widths[2]}}"
            f"  {row[3]:>{widths[3]}}"
            for row in rows
        ]
        return "\n".join([*lines, "", *self._image_lines(), *(f"note: {n}" for n in self.notes)])

    def _image_lines(self) -> list[str]:
        if self.annotation_only:
            more = ", ..." if len(self.looked_in) > _MAX_FOLDERS else ""
            return [
                f"images: none of the {self.images:,} named is there (looked in"
                f" {', '.join(self.looked_in[:_MAX_FOLDERS])}{more});"
                " only the annotation was checked"
            ]
        counts = f"{len(self.missing):,} missing, {len(self.broken):,} broken"
        return [
            f"images: {self.images:,} named, {counts}",
            *_cut([f"  missing: {on_one_line(name)}" for name in self.missing]),
            *_cut(
                [f"  broken: {on_one_line(name)}: {reason}" for name, reason in self.broken.items()]
            ),
        ]


def check_dataset(dataset: Dataset, progress: Progress | None = None) -> DataCheck:
    """Count queries and galleries, and decode every image that they name.

    Args:
        dataset: The split.
        progress: Called with the number of images decoded (before that: drawn) so far, and of all
            of them.
    """
    names = dataset.image_names()
    dataset.prepare(progress)
    paths = {name: dataset.find_image(name) for name in names}
    return DataCheck(
        dataset=dataset.name,
        split=dataset.split,
        root=str(dataset.root),
        queries=len(dataset.triplets),
        tasks=tuple(
            TaskCount(protocol, task.name, len(task.triplets), len(task.gallery))
            for protocol in dataset.protocols
            for task in dataset.tasks(protocol)
        ),
        images=len(names),
        missing=tuple(name for name, path in paths.items() if path is None),
        broken=_broken({n: path for n, path in paths.items() if path is not None}, progress),
        notes=dataset.notes,
        looked_in=tuple(map(str, dataset.image_folders)),
    )


def unusable_images(dataset: Dataset, names: Iterable[str]) -> list[str]:
    """Return those of the images that are missing, or that do not decode fully."""
    paths = {name: dataset.find_image(name) for name in names}
    broken = _broken({name: path for name, path in paths.items() if path is not None}, None)
    return [name for name, path in paths.items() if path is None or name in broken]


def _broken(paths: dict[str, Path], progress: Progress | None) -> dict[str, str]:
    found = {}
    # Threads, because Pillow releases the interpreter lock while it decodes.
    with closing(prefetch(check_image, paths.values(), _AHEAD, _THREADS)) as reasons:
        for done, (name, reason) in enumerate(zip(paths, reasons, strict=True), start=1):
            if reason is not None:
                found[name] = reason
            if progress is not None:
                progress(done, len(paths))
    return found


def _cut(lines: list[str]) -> list[str]:
    if len(lines) <= _MAX_LISTED:
        return lines
    return [*lines[:_MAX_LISTED], f"  ... and {len(lines) - _MAX_LISTED:,} more (--json)"]
