"""Kaggle's Fashion Product Images as composed queries, by the Fashion200K protocol of TIRG.

Layout: ``styles.csv`` and ``images/{id}.jpg``. An item's caption is its gender, colour, pattern and
article type. A query pairs two items whose captions differ in exactly one of the four, and every
item with the target's caption is a right answer (METHOD.md section 6).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.names import Files
from tmcir.data.dataset import Dataset, Judgement, Task, Triplet
from tmcir.data.product_pairs import USAGE, Pairs, value_of
from tmcir.data.product_phrases import PARAPHRASES
from tmcir.data.product_wordings import describe, held_out, modify
from tmcir.data.products import KINDS, Caption, Product, read_products

QUERIES = 2000
SPLITS = ("train", "val", "test")
WORDINGS = ("protocol", "varied", "held-out")
CHANGES = ("caption", "usage")
# Texts of a training pair, and captions of a photo, where wordings vary.
_VARIED_TEXTS, _VARIED_CAPTIONS = 4, 8
_MAX_NAMED = 20


class FashionProducts(Dataset):
    """A split of the product photos.

    Args:
        root: Folder with ``styles.csv`` and ``images/``.
        split: ``test`` has the ids divisible by 5, ``val`` those that leave 1, ``train`` the rest.
        seed: Fixes the pairs and their texts.
        queries: Number of queries of ``val`` and ``test``.
        wordings: ``protocol`` has the texts of the protocol alone. ``varied`` trains on many more
            wordings and captions beside them; its queries stay the protocol's. ``held-out`` asks
            the same queries in wordings that are in no training text.
        changes: ``caption`` is the protocol. ``usage`` asks for another usage (more formal, for
            sports) of the same gender, colour and type.
        usage_share: Share of training pairs, where there are such, that change the usage.

    Raises:
        TMCIRError: An option is unknown or out of range, or ``styles.csv`` is missing or lacks a
            column.
    """

    name = "fashion-products"
    protocols = ("fashion200k",)

    def __init__(
        self,
        root: str | Path,
        split: str = "test",
        seed: int = 0,
        queries: int = QUERIES,
        wordings: str = "protocol",
        changes: str = "caption",
        usage_share: float = 0.0,
    ) -> None:
        for option, chosen, valid in (
            ("split", split, SPLITS),
            ("wordings", wordings, WORDINGS),
            ("changes", changes, CHANGES),
        ):
            if chosen not in valid:
                raise unknown_choice(f"fashion-products {option}", str(chosen), valid)
        if not isinstance(usage_share, int | float) or not 0 <= usage_share <= 1:
            raise TMCIRError("fashion-products: usage_share must be a number between 0 and 1")
        for option, value in (("seed", seed), ("queries", queries)):
            if not isinstance(value, int) or value < 0:
                raise TMCIRError(f"fashion-products: {option} must be a whole number from 0")
        self.root = Path(root)
        self.split = split
        self.seed = seed
        self.queries = queries
        self.wordings = wordings
        self.changes = changes
        self.usage_share = usage_share
        self._files = _image_files(self.root / "images")
        products, self._table_notes = read_products(self.root / "styles.csv")
        self.without_image = sorted(item.id for item in products if not self.find_image(item.id))
        if len(self.without_image) == len(products):
            raise TMCIRError(f"{self.root / 'images'}: has no photo of any row of styles.csv")
        without_image = set(self.without_image)
        self.items = [
            item
            for item in products
            if item.id not in without_image and _split_of(item.id) == split
        ]
        self._by_id = {item.id: item for item in self.items}
        self._captioned = [item for item in self.items if item.caption is not None]
        self._pairs = Pairs(self._captioned)
        self._answers = _answers(self._captioned)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for readers of counts and reports: skipped rows, by id."""
        lost = [name for name in self.without_image if _split_of(name) == self.split]
        if not lost:
            return tuple(self._table_notes)
        more = ", ..." if len(lost) > _MAX_NAMED else ""
        rows = "row of styles.csv has" if len(lost) == 1 else "rows of styles.csv have"
        are = "is" if len(lost) == 1 else "are"
        return (
            f"{len(lost):,} {rows} no photo and {are} skipped:"
            f" {', '.join(lost[:_MAX_NAMED])}{more}",
            *self._table_notes,
        )

    @cached_property
    def triplets(self) -> Sequence[Triplet]:  # type: ignore[override]
        """The queries of the split; ``train`` gives those of its first epoch."""
        if self.split == "train":
            return self.training_triplets(0)
        generator = random.Random(f"{self.seed} {self.split}")
        found: dict[str, Triplet] = {}
        # Bounded: a tiny catalogue may not have as many different pairs.
        for _ in range(50 * self.queries):
            if len(found) == self.queries or not self._captioned:
                break
            item = generator.choice(self._captioned)
            asks_usage = self.changes == USAGE
            pair = (self._pairs.draw_usage if asks_usage else self._pairs.draw)(item, generator)
            if pair is not None:
                triplet = self._triplet(*pair, generator)
                found.setdefault(triplet.id, triplet)
        return list(found.values())

    def training_triplets(self, epoch: int, seed: int = 0) -> Sequence[Triplet]:
        """Sample the pairs of an epoch: every item is a reference once, in random order.

        Each pair is followed by its reverse, so that a batch has twice the queries for the same
        images, and each query's reference is among its negatives.
        """
        generator = random.Random(f"{self.seed} {self.split} {seed} {epoch}")
        triplets = []
        for item in generator.sample(self._captioned, len(self._captioned)):
            pair = self._pairs.draw(item, generator, self.usage_share)
            if pair is not None:
                reference, target, kind = pair
                triplets.append(self._triplet(reference, target, kind, generator))
                triplets.append(self._triplet(target, reference, kind, generator))
        return triplets

    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return the one task: all queries over all images of the split, reference removed."""
        self.check_protocol(protocol)
        gallery = [item.id for item in self.items]
        return [Task(self.name, self.triplets, gallery, remove_reference=True)]

    @property
    def image_folders(self) -> Sequence[Path]:
        """The one folder of photos."""
        return [self.root / "images"]

    def find_image(self, name: str) -> Path | None:
        """Return the path of an item's photo."""
        return self._files.find(name)

    def captions(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Return each photo with its title and, where it has one, its caption in words."""
        return [(item.id, self._captions_of(item)) for item in self.items]

    def caption_of(self, name: str) -> Caption | None:
        """Return the caption of an item of this split; None for a rare one."""
        return self._by_id[name].caption

    def cluster_of(self, triplet: Triplet) -> str:
        """Return the target's caption: its photos are all right answers."""
        return str(self.caption_of(triplet.target or "") or triplet.id)

    def can_judge(self, name: str) -> bool:
        """Return whether an item has a caption."""
        return name in self._by_id and self._by_id[name].caption is not None

    def judge(self, triplet: Triplet, name: str) -> Judgement:
        """Compare captions: the one attribute that a query changes, and the other three.

        Raises:
            TMCIRError: The item, or one of the query's, has no caption.
        """
        if triplet.kind == USAGE:
            return self._judge_usage(triplet, name)
        return self.judge_caption(triplet, self._caption(name))

    def judge_caption(self, triplet: Triplet, found: Sequence[str]) -> Judgement:
        """Judge what somebody sees in an image: (gender, colour, pattern, type).

        Raises:
            TMCIRError: An item of the query has no caption.
        """
        target, asked = self._caption(triplet.target or ""), KINDS.index(triplet.kind)
        old = self._caption(triplet.reference)
        stayed = [old[kind] == found[kind] for kind in range(len(KINDS)) if kind != asked]
        return Judgement(float(found[asked] == target[asked]), sum(stayed) / len(stayed))

    def _caption(self, name: str) -> Caption:
        caption = self._by_id[name].caption if name in self._by_id else None
        if caption is None:
            raise TMCIRError(f"{self.name} {self.split}: item {name!r} has no caption")
        return caption

    def _judge_usage(self, triplet: Triplet, name: str) -> Judgement:
        found, old = self._caption(name), self._caption(triplet.reference)
        changed = self._by_id[name].usage == self._by_id[triplet.target or ""].usage
        kept = [found.gender == old.gender, found.colour == old.colour, found.type == old.type]
        return Judgement(float(changed), sum(kept) / len(kept))

    def _captions_of(self, item: Product) -> tuple[str, ...]:
        if item.caption is None:
            return (item.title,)
        texts = (item.title, " ".join(item.caption).lower())
        if self.wordings != "varied":
            return texts
        generator = random.Random(f"{self.seed} {item.id}")
        values = [value.lower() for value in (*item.caption, item.usage)]
        varied = (describe(values, generator) for _ in range(_VARIED_CAPTIONS))
        return (*texts, *varied)

    def _triplet(
        self, reference: Product, target: Product, kind: str, generator: random.Random
    ) -> Triplet:
        assert target.caption is not None
        texts = self._texts(reference, target, kind, generator)
        answers = self._answers[target.caption]
        if kind == USAGE:
            # Asked of products that the caption does not tell apart: in training only the target
            # counts, and whatever else has its caption is no negative.
            trains = self.split == "train"
            answers = () if trains else self._pairs.same_usage(reference, target)
        return Triplet(
            id=f"{reference.id}-{target.id}",
            reference=reference.id,
            text=generator.choice(texts),
            target=target.id,
            answers=answers,
            kind=kind,
            training_texts=texts,
        )

    def _texts(
        self, reference: Product, target: Product, kind: str, generator: random.Random
    ) -> tuple[str, ...]:
        """Return equally likely texts for one change."""
        old, new = value_of(reference, kind).lower(), value_of(target, kind).lower()
        if self.wordings == "held-out":
            return (held_out(kind, old, new, generator),)
        protocol = tuple(form.format(old=old, new=new) for form in PARAPHRASES.get(kind, ()))
        if protocol and (self.wordings == "protocol" or self.split != "train"):
            return protocol
        varied = tuple(modify(kind, old, new, generator) for _ in range(_VARIED_TEXTS))
        return (*generator.choices(protocol, k=_VARIED_TEXTS), *varied) if protocol else varied


def _answers(items: Sequence[Product]) -> dict[Caption, tuple[str, ...]]:
    groups: dict[Caption, list[str]] = defaultdict(list)
    for item in items:
        if item.caption is not None:
            groups[item.caption].append(item.id)
    return {caption: tuple(ids) for caption, ids in groups.items()}


def _split_of(identifier: str) -> str:
    remainder = int(identifier) % 5
    return {0: "test", 1: "val"}.get(remainder, "train")


def _image_files(folder: Path) -> Files:
    if not folder.is_dir():
        raise TMCIRError(f"{folder}: no such folder; it should hold the photos as {{id}}.jpg")
    suffixes = {".jpg", ".jpeg", ".png"}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    return Files({path.stem: path for path in files})
