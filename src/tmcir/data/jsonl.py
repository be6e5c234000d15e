"""Your own triplets: one JSON object per line, images named by their path below the root."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.folders import ImageFolder, scan_images
from tmcir.core.json_files import Name, Record, Text, Texts, parse_json
from tmcir.core.names import Files
from tmcir.data.dataset import Dataset, Task, Triplet
from tmcir.data.layout import relative_path

FILE = "triplets.jsonl"
ALL = "all"
GALLERIES = ("all", "named")


class _Line(Record):
    """A line of the file; unknown keys are errors, because they are misspelt ones."""

    model_config = ConfigDict(extra="forbid")

    reference: Name
    text: Text
    target: Name
    id: Name | None = None
    answers: Texts = ()
    kind: Text = ""
    split: Name | None = None


class JSONLines(Dataset):
    """Triplets of ``triplets.jsonl``, such as
    ``{"reference": "a.jpg", "text": "with short sleeves", "target": "shop/b.jpg"}``.

    A line may also have ``id`` (default: its number), ``answers`` (all right answers, where the
    target is not the only one), ``kind`` (reports group by it) and ``split``. Blank lines are
    ignored.

    Args:
        root: Folder that has ``triplets.jsonl``, or the path of such a file under any name. Image
            paths are relative to the folder.
        split: Keeps the lines of that ``split``; ``all`` keeps every line.
        gallery: ``all`` ranks every image file under the root, the same ones that ``tmcir index``
            would find there, as a search in that folder does; ``named`` ranks only the images
            that the kept lines name.

    Raises:
        TMCIRError: The file is missing, a line is malformed (named by its number), or no line is
            of that split.
    """

    name = "jsonl"
    protocols = ("fashion200k",)

    def __init__(self, root: str | Path, split: str = ALL, gallery: str = "all") -> None:
        if gallery not in GALLERIES:
            raise unknown_choice("jsonl gallery", gallery, GALLERIES)
        given = Path(root)
        path = given / FILE if given.is_dir() else given
        self._path = path
        self.root = path.parent
        self.split = split
        self._everything = gallery == "all"
        lines = list(_read_lines(path))
        self.triplets = [self._named_as_files(t) for t in _select_split(path, lines, split)]
        self._named = sorted(_images_of(self.triplets))

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for readers of counts: files of the folder that are not in the gallery."""
        note = self._folder.skipped_note if self._everything else ""
        return (note,) if note else ()

    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return the one task: all queries over the gallery in alphabetical order, without
        the reference.
        """
        self.check_protocol(protocol)
        gallery = sorted({*self._named, *self._files}) if self._everything else self._named
        return [Task(self.name, self.triplets, gallery, remove_reference=True)]

    def find_image(self, name: str) -> Path | None:
        """Return the path of an image, given as its path below the root."""
        return self._files.find(name)

    @cached_property
    def _folder(self) -> ImageFolder:
        found = scan_images(self.root, besides=self._path)
        found.require_all()
        return found

    @cached_property
    def _files(self) -> Files:
        return Files((path.relative_to(self.root).as_posix(), path) for path in self._folder.files)

    def _named_as_files(self, triplet: Triplet) -> Triplet:
        """Replace names in another spelling by those of the files."""

        def name(given: str) -> str:
            found = self._files.find(given)
            return given if found is None else found.relative_to(self.root).as_posix()

        return replace(
            triplet,
            reference=name(triplet.reference),
            target=None if triplet.target is None else name(triplet.target),
            answers=tuple(map(name, triplet.answers)),
        )


def _read_lines(path: Path) -> Iterator[tuple[Triplet, str | None]]:
    """Yield each line's triplet and split."""
    if not path.is_file():
        raise TMCIRError(
            f"{path}: no such file; --root must be the folder of your images with a {FILE}, one"
            ' {"reference": "a.jpg", "text": "in red", "target": "b.jpg"} a line'
        )
    identifiers: dict[str, int] = {}
    queries: dict[tuple[str, ...], int] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TMCIRError(f"{path}: not readable as text: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        entry = parse_json(line, where, _Line)
        triplet = _read_triplet(where, entry, number)
        _reject_repeat(where, "id", identifiers, triplet.id, number)
        query = (triplet.reference, triplet.text, triplet.target or "", entry.split or "")
        _reject_repeat(where, "query", queries, query, number)
        yield triplet, entry.split


def _read_triplet(where: str, entry: _Line, number: int) -> Triplet:
    reference, target = _image(where, entry.reference), _image(where, entry.target)
    answers = tuple(dict.fromkeys(_image(where, answer) for answer in entry.answers))
    if reference == target or reference in answers:
        raise TMCIRError(f"{where}: the reference {reference!r} is also a right answer")
    if not entry.text.strip():
        raise TMCIRError(f"{where}: 'text' is empty")
    return Triplet(
        id=entry.id or str(number),
        reference=reference,
        text=entry.text.strip(),
        target=target,
        answers=answers if not answers or target in answers else (target, *answers),
        kind=entry.kind,
    )


def _image(where: str, name: str) -> str:
    """Return an image's path below the root in its plain form: ``./a.jpg`` is ``a.jpg``."""
    path = relative_path(name)
    if path is None:
        raise TMCIRError(
            f"{where}: {name!r} must be a path below the root, without '..' and no leading '/'"
        )
    return path.as_posix()


def _reject_repeat(where: str, what: str, seen: dict[Any, int], key: Any, number: int) -> None:
    if key in seen:
        raise TMCIRError(f"{where}: the same {what} as line {seen[key]}")
    seen[key] = number


def _select_split(path: Path, lines: list[tuple[Triplet, str | None]], split: str) -> list[Triplet]:
    if not lines:
        raise TMCIRError(f"{path}: has no triplets")
    if split == ALL:
        return [triplet for triplet, _ in lines]
    chosen = [triplet for triplet, own in lines if own == split]
    if not chosen:
        splits = {own for _, own in lines if own is not None}
        if not splits:
            raise TMCIRError(f"{path}: no line has a 'split': {split!r} cannot be selected")
        raise unknown_choice(f"split of {path}", split, {*splits, ALL})
    return chosen


def _images_of(triplets: Iterable[Triplet]) -> set[str]:
    names: set[str] = set()
    for triplet in triplets:
        assert triplet.target is not None
        names.update((triplet.reference, triplet.target), triplet.answers)
    return names
