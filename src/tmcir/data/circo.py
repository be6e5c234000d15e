"""CIRCO: several right answers a query, over the unlabelled images of COCO 2017.

Layout, as the authors publish it::

    annotations/{split}.json
    COCO2017_unlabeled/annotations/image_info_unlabeled2017.json
    COCO2017_unlabeled/unlabeled2017/{id, 12 digits}.jpg
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.json_files import Record, Text, Whole, Wholes
from tmcir.core.names import Files
from tmcir.data.dataset import Dataset, Task, Triplet
from tmcir.data.layout import images_by_stem, read_annotation, read_entries

SPLITS = ("val", "test")
IMAGE_LIST = "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json"
_ORIGIN = (
    "the folder of CIRCO with annotations/ and COCO2017_unlabeled/"
    " (https://github.com/miccunifi/CIRCO)"
)


class _Entry(Record):
    """A query as the authors publish it; the labels of the test split are hidden."""

    id: Whole
    reference_img_id: Whole
    relative_caption: Text
    target_img_id: Whole | None = None
    gt_img_ids: Wholes = ()


class _Image(Record):
    id: Whole


class _ImageList(Record):
    images: tuple[_Image, ...]


class CIRCO(Dataset):
    """A split of CIRCO (METHOD.md section 6). Image names are COCO's ids as text.

    The gallery is COCO's list of images. Where that file is missing, the gallery has only the
    images that the annotation names, ``complete`` is False and ``notes`` says so: figures over such
    a gallery cannot be compared with published ones.

    Args:
        root: Folder with ``annotations`` and ``COCO2017_unlabeled``.
        split: ``val`` or ``test``; the labels of ``test`` are hidden.

    Raises:
        TMCIRError: The split is unknown, or an annotation file is missing or malformed.
    """

    name = "circo"
    protocols = ("circo",)

    def __init__(self, root: str | Path, split: str = "val") -> None:
        if split not in SPLITS:
            raise unknown_choice("circo split", split, SPLITS)
        self.root = Path(root)
        self.split = split
        path = self.root / "annotations" / f"{split}.json"
        self.triplets = [
            self._read_query(where, entry) for where, entry in read_entries(path, _ORIGIN, _Entry)
        ]
        if len({triplet.id for triplet in self.triplets}) < len(self.triplets):
            raise TMCIRError(f"{path}: an 'id' occurs twice")
        self.complete = (self.root / IMAGE_LIST).is_file()

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for readers of counts and reports."""
        if self.complete:
            return ()
        return (
            f"{IMAGE_LIST} is missing: the gallery is only the images that the annotation names",
        )

    @cached_property
    def gallery(self) -> list[str]:
        """Image names in the order of COCO's list; by number where that list is missing."""
        named = {
            name for triplet in self.triplets for name in (triplet.reference, *triplet.answers)
        }
        if not self.complete:
            return sorted(named, key=int)
        names = _read_image_list(self.root / IMAGE_LIST)
        strangers = named.difference(names)
        if strangers:
            raise TMCIRError(f"{self.root / IMAGE_LIST}: lacks image {min(strangers, key=int)}")
        return names

    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return the one task: all queries over the gallery; the reference stays in it."""
        self.check_protocol(protocol)
        return [Task(self.name, self.triplets, self.gallery, remove_reference=False)]

    def find_image(self, name: str) -> Path | None:
        """Return the path of ``{id, 12 digits}.jpg``."""
        return self._images.get(name.zfill(12))

    @property
    def image_folders(self) -> Sequence[Path]:
        """COCO's folder of unlabelled images."""
        return [self.root / "COCO2017_unlabeled" / "unlabeled2017"]

    @cached_property
    def _images(self) -> Files:
        return images_by_stem(*self.image_folders)

    def _read_query(self, where: str, entry: _Entry) -> Triplet:
        target: str | None = None
        answers: tuple[str, ...] = ()
        if self.split != "test":
            if entry.target_img_id is None:
                raise TMCIRError(f"{where}: 'target_img_id' is missing")
            target = str(entry.target_img_id)
            answers = tuple(str(answer) for answer in entry.gt_img_ids)
            if target not in answers or len(set(answers)) < len(answers):
                raise TMCIRError(f"{where}: 'gt_img_ids' must have the target, and no image twice")
        return Triplet(
            id=str(entry.id),
            reference=str(entry.reference_img_id),
            text=entry.relative_caption,
            target=target,
            answers=answers,
        )


def _read_image_list(path: Path) -> list[str]:
    return [str(image.id) for image in read_annotation(path, _ORIGIN, _ImageList).images]
