"""Fashion-IQ: three categories of garments, two captions a query, three evaluation protocols.

Layout, as the authors publish it, with the photos in one folder (or in one a category)::

    captions/cap.{category}.{split}.json
    image_splits/split.{category}.{split}.json
    images/{name}.png or .jpg
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.json_files import Name, Record, Texts
from tmcir.core.names import Files
from tmcir.data.dataset import Dataset, Task, Triplet
from tmcir.data.layout import images_by_stem, read_annotation, read_entries

CATEGORIES = ("dress", "shirt", "toptee")
SPLITS = ("train", "val", "test")
_ORIGIN = (
    "the folder of Fashion-IQ with captions/ and image_splits/"
    " (https://github.com/XiaoxiaoGuo/fashion-iq)"
)


class _Entry(Record):
    """A query as the authors publish it; the labels of the test split are hidden."""

    candidate: Name
    captions: Texts
    target: Name | None = None


class FashionIQ(Dataset):
    """A split of Fashion-IQ (METHOD.md section 6).

    Args:
        root: Folder with ``captions``, ``image_splits`` and ``images``.
        split: ``train``, ``val`` or ``test``; the labels of ``test`` are hidden.
        categories: Any of dress, shirt and toptee, as a list or as one text such as
            ``shirt/dress`` or ``shirt,dress``. They are kept in the authors' order.

    Raises:
        TMCIRError: A split or category is unknown, or an annotation file is missing or malformed.
    """

    name = "fashion-iq"
    protocols = ("original", "original-no-reference", "val")

    def __init__(
        self,
        root: str | Path,
        split: str = "val",
        categories: str | Iterable[str] = CATEGORIES,
    ) -> None:
        if split not in SPLITS:
            raise unknown_choice("fashion-iq split", split, SPLITS)
        self.root = Path(root)
        self.split = split
        self.categories = _parse_categories(categories)
        self._galleries = {name: self._read_gallery(name) for name in self.categories}
        self._queries = {name: self._read_queries(name) for name in self.categories}
        self.triplets = [triplet for queries in self._queries.values() for triplet in queries]

    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return one task a category.

        ``original`` ranks all images of the split and keeps the reference among them,
        ``original-no-reference`` removes it, and ``val`` ranks the references and targets only
        and removes it. Galleries keep the order of the split file.
        """
        protocol = self.check_protocol(protocol)
        tasks = []
        for category in self.categories:
            queries, gallery = self._queries[category], self._galleries[category]
            if protocol == "val":
                named = _named_images(queries)
                gallery = [name for name in gallery if name in named]
            tasks.append(Task(category, queries, gallery, protocol != "original"))
        return tasks

    def find_image(self, name: str) -> Path | None:
        """Return the path of ``images/{name}``, png or jpg."""
        return self._images.find(name)

    @property
    def command_options(self) -> dict[str, str]:
        """The categories, where they are not all of them."""
        chosen = {"categories": ",".join(self.categories)}
        return {} if self.categories == CATEGORIES else chosen

    @property
    def image_folders(self) -> Sequence[Path]:
        """``images`` and its folders of one category each."""
        folder = self.root / "images"
        return [folder, *(folder / category for category in self.categories)]

    @cached_property
    def _images(self) -> Files:
        return images_by_stem(*self.image_folders)

    def _read_gallery(self, category: str) -> list[str]:
        path = self.root / "image_splits" / f"split.{category}.{self.split}.json"
        names = read_annotation(path, _ORIGIN)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TMCIRError(f"{path}: must be a list of image names")
        if len(set(names)) < len(names):
            raise TMCIRError(f"{path}: names an image twice")
        return names

    def _read_queries(self, category: str) -> list[Triplet]:
        path = self.root / "captions" / f"cap.{category}.{self.split}.json"
        known = set(self._galleries[category])
        queries = []
        for number, (where, entry) in enumerate(read_entries(path, _ORIGIN, _Entry)):
            triplet = self._read_query(where, entry, f"{category}-{number}", category)
            for name in (triplet.reference, triplet.target):
                if name is not None and name not in known:
                    raise TMCIRError(
                        f"{where}: image {name!r} is not in the split file of {category}"
                    )
            queries.append(triplet)
        return queries

    def _read_query(self, where: str, entry: _Entry, identifier: str, category: str) -> Triplet:
        if len(entry.captions) != 2:
            raise TMCIRError(
                f"{where}: 'captions' has {len(entry.captions)} texts, but must have two"
            )
        if entry.target is None and self.split != "test":
            raise TMCIRError(f"{where}: 'target' is missing")
        first, second = entry.captions
        return Triplet(
            id=identifier,
            reference=entry.candidate,
            text=join_captions(first, second),
            target=None if self.split == "test" else entry.target,
            kind=category,
            training_texts=training_forms(first, second) if self.split == "train" else (),
        )


def join_captions(first: str, second: str) -> str:
    """Return the text of a validation query: "{First} and {second}" (METHOD.md section 6).

    Published results use exactly this text: an empty caption (three queries have one) leaves its
    side of the "and" empty.
    """
    return f"{_strip(first).capitalize()} and {_strip(second)}"


def training_forms(first: str, second: str) -> tuple[str, ...]:
    """Return the four texts that training samples from (METHOD.md section 6).

    Where one caption is empty, only the other is used.
    """
    texts = [caption for caption in (_strip(first), _strip(second)) if caption]
    if len(texts) < 2:
        return tuple(text.capitalize() for text in texts)
    return (
        join_captions(first, second),
        join_captions(second, first),
        *(text.capitalize() for text in texts),
    )


def _strip(caption: str) -> str:
    return caption.strip(".?, ")


def _named_images(queries: Sequence[Triplet]) -> set[str]:
    named = {triplet.reference for triplet in queries}
    return named | {triplet.target for triplet in queries if triplet.target is not None}


def _parse_categories(categories: str | Iterable[str]) -> tuple[str, ...]:
    given = re.split("[/,]", categories) if isinstance(categories, str) else list(categories)
    given = [category.strip() for category in given]
    for category in given:
        if category not in CATEGORIES:
            raise unknown_choice("fashion-iq category", category, CATEGORIES)
    if not given:
        raise TMCIRError(f"fashion-iq needs at least one category of {', '.join(CATEGORIES)}")
    return tuple(category for category in CATEGORIES if category in given)
