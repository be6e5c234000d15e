"""CIRR: real-life photos in sets of six that look alike; the labels of test1 are hidden.

Layout, as the authors publish it (``train``, ``dev`` and ``test1`` may also lie in ``img_raw``, and
the annotation in ``cirr``, as other projects have it)::

    captions/cap.rc2.{split}.json
    image_splits/split.rc2.{split}.json
    train/{0..99}/, dev/, test1/
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.json_files import Name, Record, Text, Texts, Whole
from tmcir.data.dataset import Dataset, Task, Triplet
from tmcir.data.layout import images_by_stem, read_annotation, read_entries, relative_path

SPLITS = ("train", "val", "test1")
_ORIGIN = (
    "the folder of CIRR with captions/ and image_splits/ (https://github.com/Cuberick-Orion/CIRR)"
)


class _ImageSet(Record):
    members: Texts


class _Entry(Record):
    """A query as the authors publish it; the labels of test1 are hidden."""

    pairid: Whole
    reference: Name
    caption: Text
    img_set: _ImageSet
    target_hard: Name | None = None


class CIRR(Dataset):
    """A split of CIRR (METHOD.md section 6).

    ``Triplet.subset`` has the other five members of the query's image set.

    Args:
        root: Folder with ``captions``, ``image_splits`` and the image folders.
        split: ``train``, ``val`` or ``test1``; the labels of ``test1`` are hidden.

    Raises:
        TMCIRError: The split is unknown, or an annotation file is missing or malformed.
    """

    name = "cirr"
    protocols = ("cirr",)

    def __init__(self, root: str | Path, split: str = "val") -> None:
        if split not in SPLITS:
            raise unknown_choice("cirr split", split, SPLITS)
        self.root = Path(root)
        self.split = split
        nested = self.root / "cirr"
        annotation = nested if (nested / "captions").is_dir() else self.root
        self._files = _read_split(annotation / "image_splits" / f"split.rc2.{split}.json")
        captions = annotation / "captions" / f"cap.rc2.{split}.json"
        self.triplets = [
            self._read_query(where, entry)
            for where, entry in read_entries(captions, _ORIGIN, _Entry)
        ]
        if len({triplet.id for triplet in self.triplets}) < len(self.triplets):
            raise TMCIRError(f"{captions}: a 'pairid' occurs twice")

    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return the one task: all queries over all images of the split, reference removed."""
        self.check_protocol(protocol)
        return [Task(self.name, self.triplets, list(self._files), remove_reference=True)]

    def find_image(self, name: str) -> Path | None:
        """Return the path that the split file gives, with this or another image extension."""
        return self._images.get(name)

    @property
    def image_folders(self) -> Sequence[Path]:
        """Where the split file says, below the root or ``img_raw``, and without a subfolder."""
        folders = sorted({path.parent for path in self._files.values()})
        return list(dict.fromkeys(place for folder in folders for place in self._places(folder)))

    def _places(self, folder: PurePosixPath) -> list[Path]:
        tops = (self.root, self.root / "img_raw")
        flat = folder.parts[:1]  # train/ without its hundred folders
        return [top.joinpath(*parts) for parts in (folder.parts, flat) for top in tops]

    @cached_property
    def _images(self) -> dict[str, Path]:
        folders = {path.parent for path in self._files.values()}
        listings = {folder: images_by_stem(*self._places(folder)) for folder in folders}
        found = {name: listings[path.parent].find(path.stem) for name, path in self._files.items()}
        return {name: path for name, path in found.items() if path is not None}

    def _read_query(self, where: str, entry: _Entry) -> Triplet:
        members = entry.img_set.members
        target = None if self.split == "test1" else entry.target_hard
        if target is None and self.split != "test1":
            raise TMCIRError(f"{where}: 'target_hard' is missing")
        for name in (entry.reference, *members, *([] if target is None else [target])):
            if name not in self._files:
                raise TMCIRError(f"{where}: image {name!r} is not in the split file")
        if target is not None and target not in members:
            raise TMCIRError(f"{where}: the target {target!r} is not a member of its image set")
        return Triplet(
            id=str(entry.pairid),
            reference=entry.reference,
            text=entry.caption,
            target=target,
            subset=tuple(name for name in members if name != entry.reference),
        )


def _read_split(path: Path) -> dict[str, PurePosixPath]:
    """Return each image's path relative to the root."""
    content = read_annotation(path, _ORIGIN)
    if not isinstance(content, dict):
        raise TMCIRError(f"{path}: must be an object of image names and paths")
    files = {}
    for name, value in content.items():
        file = relative_path(value) if isinstance(value, str) else None
        if file is None:
            raise TMCIRError(f"{path}: the path of {name!r} must be a text that stays in the root")
        files[name] = file
    return files
