"""The rendered catalogue: product photos drawn as vector art, whose attributes are all known."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.files import write_text
from tmcir.core.json_files import read_json
from tmcir.core.progress import Progress
from tmcir.data.dataset import Dataset, Judgement, Task, Triplet
from tmcir.rendered.changes import Change, kept_and_changed, kept_attributes
from tmcir.rendered.collection import CatalogueItem, Collection
from tmcir.rendered.descriptions import describe
from tmcir.rendered.garment import Garment
from tmcir.rendered.grammar import Modification, modify
from tmcir.rendered.photos import SUFFIX, Photo, draw_photo, draw_photos
from tmcir.rendered.vocabulary import ATTRIBUTES, LOCAL

SPLITS = ("train", "val", "test")
ITEMS = 4000
QUERIES = 2000
MANIFEST = "rendered.json"
SEVERAL = "several"
NEGATION = "negation"
CHANGES = ("all", "local")
# Increment it whenever drawing changes, so that old pictures are not mixed with new ones.
DRAWING = 1
_TEXTS = 3
_SIZES = (16, 4096)


@dataclass(frozen=True, slots=True)
class Request:
    """What a query asks for.

    Attributes:
        changes: The changes to the reference.
        kept: The attributes in which the target must equal the reference.
    """

    changes: tuple[Change, ...]
    kept: tuple[str, ...]


class RenderedCatalogue(Dataset):
    """A split of the rendered catalogue; pictures that are missing are drawn, not downloaded.

    Items come in families of a garment and its variants, so that a query's reference, its target
    and near misses of both are in the gallery. A query's answers are all items that satisfy what
    the text asks for and are otherwise like the reference.

    Args:
        root: Folder for the pictures; made when the first is drawn.
        split: ``train``, ``val`` or ``test``. No photo is in two splits; equal garments may be,
            as the same shirt may be photographed twice.
        seed: Seed of garments, photos and queries.
        items: Number of photos of the split. More items begin with the same ones.
        queries: Number of queries of ``val`` and ``test``.
        image_size: Side of the pictures in pixels.
        typos: Share of the longer words of modification texts that are misspelt.
        changes: ``all``, or ``local``: texts change single parts alone (sleeves, neckline, length,
            closure, trim, belt, pockets). These are other garments, whose names begin otherwise.

    Raises:
        TMCIRError: The split is unknown, an option is out of range, or the folder holds pictures
            of another seed or size.
    """

    name = "rendered"
    protocols = ("rendered",)

    def __init__(
        self,
        root: str | Path,
        split: str = "test",
        seed: int = 0,
        items: int = ITEMS,
        queries: int = QUERIES,
        image_size: int = 224,
        typos: float = 0.0,
        changes: str = "all",
    ) -> None:
        if split not in SPLITS:
            raise unknown_choice("rendered split", split, SPLITS)
        _check_whole("seed", seed, 0)
        _check_whole("items", items, 1)
        _check_whole("queries", queries, 0)
        _check_whole("image_size", image_size, *_SIZES)
        if not 0 <= typos <= 1:
            raise TMCIRError(f"rendered: typos is {typos}, but must be a share from 0 to 1")
        if changes not in CHANGES:
            raise unknown_choice("value of changes of rendered", changes, CHANGES)
        self.root = Path(root)
        self.split = split
        self.seed = seed
        self.queries = queries
        self.image_size = image_size
        self.typos = typos
        self._local = changes == "local"
        attributes = LOCAL if self._local else ATTRIBUTES
        self._collection = Collection(seed, split, items, attributes)
        self._check_manifest()

    @cached_property
    def triplets(self) -> Sequence[Triplet]:  # type: ignore[override]
        """The queries of the split; ``train`` gives those of its first epoch."""
        if self.split == "train":
            return self.training_triplets(0)
        return [triplet for triplet, _ in self._queries.values()]

    def training_triplets(self, epoch: int, seed: int = 0) -> Sequence[Triplet]:
        """Sample the pairs and texts of an epoch: every item is a reference, in random order.

        Each pair is followed by its reverse, so that a batch has twice the queries for the same
        images. The answers are only the photos of the target's own garment: training treats the
        answers of a query as equivalent, which those of "longer sleeves" are not.
        """
        generator = random.Random(f"rendered {self.seed} {self.split} {seed} epoch {epoch}")
        items = self._collection.items
        triplets = []
        for item in generator.sample(items, len(items)):
            partner = self._collection.partner(item, generator)
            if partner is not None:
                triplets.append(self._training_triplet(item, partner, generator))
                triplets.append(self._training_triplet(partner, item, generator))
        return triplets

    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return the one task: all queries over all items of the split, reference removed."""
        self.check_protocol(protocol)
        gallery = [item.name for item in self._collection.items]
        return [Task(self.name, self.triplets, gallery, remove_reference=True)]

    def find_image(self, name: str) -> Path | None:
        """Return the path of an item's picture, drawing it first where it is missing.

        Raises:
            TMCIRError: It cannot be written.
        """
        if name not in self._collection.by_name:
            return None
        photo = self._photo(self._collection.by_name[name])
        if not photo.path.exists():
            self._write_manifest()
            draw_photo(photo)
        return photo.path

    def has_image(self, name: str) -> bool:
        """Return whether the split has that item, whether its picture exists or not."""
        return name in self._collection.by_name

    def prepare(self, progress: Progress | None = None) -> None:
        """Draw what is missing; see ``draw``."""
        self.draw(progress)

    def draw(
        self,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> None:
        """Draw all pictures of the split that are missing.

        Args:
            progress: Called with the number of pictures drawn so far, and of all missing ones.
            workers: Number of processes; None takes one per processor.

        Raises:
            TMCIRError: A picture cannot be written.
        """
        photos = [self._photo(item) for item in self._collection.items]
        missing = [photo for photo in photos if not photo.path.exists()]
        if missing:
            self._write_manifest()
            draw_photos(missing, workers, progress)

    def captions(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Return each picture with several descriptions of its garment."""
        return [
            (item.name, describe(item.garment, random.Random(f"{self.seed} {item.name} captions")))
            for item in self._collection.items
        ]

    def garment_of(self, name: str) -> Garment:
        """Return the garment of an item.

        Raises:
            TMCIRError: This split has no such item.
        """
        if name not in self._collection.by_name:
            raise TMCIRError(f"rendered {self.split}: no item {name!r}")
        return self._collection.by_name[name].garment

    def changes_of(self, triplet_id: str) -> Request:
        """Return what a query of ``val`` or ``test`` asks for.

        Raises:
            TMCIRError: This split has no such query.
        """
        if triplet_id not in self._queries:
            raise TMCIRError(f"rendered {self.split}: no query {triplet_id!r}")
        return self._queries[triplet_id][1]

    def cluster_of(self, triplet: Triplet) -> str:
        """Return the target's garment, which all its photos show."""
        return str(self.garment_of(triplet.target or triplet.reference))

    def can_judge(self, name: str) -> bool:
        """Return whether this split has such an item, and queries with known changes."""
        return self.split != "train" and name in self._collection.by_name

    def judge(self, triplet: Triplet, name: str) -> Judgement:
        """Judge how many of a query's changes an item shows, and how much else it keeps.

        Raises:
            TMCIRError: This split has no such item, or no such query.
        """
        changes = self.changes_of(triplet.id).changes
        reference, found = self.garment_of(triplet.reference), self.garment_of(name)
        changed, kept = kept_and_changed(reference, changes, found)
        return Judgement(changed, kept)

    @cached_property
    def _queries(self) -> dict[str, tuple[Triplet, Request]]:
        """The queries of an evaluation split by their ids; none of ``train``."""
        found: dict[str, tuple[Triplet, Request]] = {}
        if self.split == "train":
            return found
        generator = random.Random(f"rendered {self.seed} {self.split} queries")
        # Bounded, because a tiny catalogue may have fewer different pairs.
        for _ in range(50 * self.queries):
            if len(found) == self.queries:
                break
            item = generator.choice(self._collection.items)
            partner = self._collection.partner(item, generator)
            if partner is not None:
                triplet, asked = self._query(item, partner, generator)
                found.setdefault(triplet.id, (triplet, asked))
        return found

    def _query(
        self, reference: CatalogueItem, target: CatalogueItem, generator: random.Random
    ) -> tuple[Triplet, Request]:
        asked = self._modify(reference, target, generator)
        triplet = Triplet(
            id=f"{reference.name}-{target.name}",
            reference=reference.name,
            text=asked.text,
            target=target.name,
            answers=self._collection.answers(reference.garment, asked.changes),
            kind=self._kind_of(asked.changes),
        )
        kept = kept_attributes(reference.garment, asked.changes, target.garment)
        return triplet, Request(asked.changes, kept)

    def _training_triplet(
        self, reference: CatalogueItem, target: CatalogueItem, generator: random.Random
    ) -> Triplet:
        asked = [self._modify(reference, target, generator) for _ in range(_TEXTS)]
        return Triplet(
            id=f"{reference.name}-{target.name}",
            reference=reference.name,
            text=asked[0].text,
            target=target.name,
            answers=self._collection.alike(target.garment),
            kind=self._kind_of(asked[0].changes),
            training_texts=tuple(dict.fromkeys(modification.text for modification in asked)),
        )

    def _modify(
        self, reference: CatalogueItem, target: CatalogueItem, generator: random.Random
    ) -> Modification:
        garments = reference.garment, target.garment
        return modify(*garments, generator, self.typos, formality=not self._local)

    def _kind_of(self, changes: Sequence[Change]) -> str:
        if len(changes) > 1:
            return SEVERAL
        (change,) = changes
        gone = change.predicate == "has not" or change.value == "sleeveless"
        return NEGATION if self._local and gone else change.attribute

    def _photo(self, item: CatalogueItem) -> Photo:
        path = self.root / "images" / f"{item.name}{SUFFIX}"
        return Photo(path, item.garment, item.nuisance, self.image_size)

    @property
    def _manifest(self) -> dict[str, Any]:
        """The settings that all pictures of the folder share."""
        return {"drawing": DRAWING, "seed": self.seed, "image_size": self.image_size}

    def _check_manifest(self) -> None:
        path = self.root / MANIFEST
        if path.exists() and read_json(path) != self._manifest:
            found = read_json(path)
            raise TMCIRError(
                f"{self.root}: holds pictures drawn with {json.dumps(found)}, not with"
                f" {json.dumps(self._manifest)}: choose another folder, or remove this one"
            )

    def _write_manifest(self) -> None:
        path = self.root / MANIFEST
        if not path.exists():
            write_text(path, json.dumps(self._manifest, indent=2) + "\n")


def _check_whole(option: str, value: int, minimum: int, maximum: int | None = None) -> None:
    valid = isinstance(value, int) and value >= minimum
    valid = valid and (maximum is None or value <= maximum)
    if not valid:
        until = "" if maximum is None else f" to {maximum}"
        raise TMCIRError(f"rendered: {option} must be a whole number from {minimum}{until}")
