"""CIRCO: several right answers a query, over the unlabelled images of COCO 2017.

Layout, as the authors publish it::

    annotations/{split}.json
    COCO2017_unlabeled/annotations/image_info_unlabeled2017.json
    COCO2017_unlabeled/unlabeled2017/{id, 12 digits}.jpg
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.data.dataset import Dataset, Task, Triplet
from tmcir.data.layout import Entry, images_by_stem, read_annotation, read_entries

SPLITS = ("val", "test")
IMAGE_LIST = "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json"
_ORIGIN = (
    "the folder of CIRCO with annotations/ and COCO2017_unlabeled/"
    " (https://github.com/miccunifi/CIRCO)"
)


class CIRCO(Dataset):
    """A split of CIRCO (METHOD.md section 6). Image names are COCO's ids as text.

    The gallery is COCO's list of images. Where that file is missing the gallery is no more than
    the images that the annotation names, ``complete`` is False and ``notes`` says so: figures
    over such a gallery cannot be compared with anyone's.

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
        self.triplets = [self._read_query(entry) for entry in read_entries(path, _ORIGIN)]
        if len({triplet.id for triplet in self.triplets}) < len(self.triplets):
            raise TMCIRError(f"{path}: an 'id' occurs twice")
        self.complete = (self.root / IMAGE_LIST).is_file()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of counts and reports must know."""
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

    @cached_property
    def _images(self) -> dict[str, Path]:
        return images_by_stem(self.root / "COCO2017_unlabeled" / "unlabeled2017")

    def _read_query(self, entry: Entry) -> Triplet:
        target: str | None = None
        answers: tuple[str, ...] = ()
        if self.split != "test":
            target = str(entry.integer("target_img_id"))
            answers = tuple(str(answer) for answer in entry.integers("gt_img_ids"))
            if target not in answers or len(set(answers)) < len(answers):
                raise entry.error("'gt_img_ids' must have the target, and no image twice")
        return Triplet(
            id=str(entry.integer("id")),
            reference=str(entry.integer("reference_img_id")),
            text=entry.text("relative_caption"),
            target=target,
            answers=answers,
        )


def _read_image_list(path: Path) -> list[str]:
    content = read_annotation(path, _ORIGIN)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise TMCIRError(f"{path}: must be an object with a list 'images' of objects")
    return [
        str(Entry(f"{path}, image {number}", image).integer("id"))
        for number, image in enumerate(images)
    ]
