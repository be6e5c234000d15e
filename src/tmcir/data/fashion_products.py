"""Kaggle's Fashion Product Images as composed queries, by the Fashion200K protocol of TIRG.

Layout: ``styles.csv`` and ``images/{id}.jpg``. An item's caption is its gender, colour, pattern and
article type. A query pairs two items whose captions differ in exactly one of the four, and every
item with the target's caption is a right answer (METHOD.md section 6).
"""

from __future__ import annotations

import csv
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.data.dataset import Dataset, Judgement, Task, Triplet

KINDS = ("gender", "colour", "pattern", "type")
GENDERS = ("Men", "Women", "Unisex")
MINIMUM_ITEMS = 30
QUERIES = 2000
SPLITS = ("train", "val", "test")
_NAMED_AT_MOST = 20
_COLUMNS = ("id", "gender", "articleType", "baseColour", "productDisplayName")
# The first pattern that the title names; a title that names none is taken for a solid one.
_PATTERNS = (
    ("striped", re.compile(r"\bstrip(e|es|ed|er)\b", re.IGNORECASE)),
    ("checked", re.compile(r"\bcheck(s|ed|ered)?\b", re.IGNORECASE)),
    ("printed", re.compile(r"\bprint(s|ed)?\b", re.IGNORECASE)),
)
_SOLID = "solid"

_ANY_KIND = ("replace {old} with {new}", "change {old} to {new}", "{new} instead of {old}")
_PARAPHRASES: dict[str, tuple[str, ...]] = {
    "gender": (
        *_ANY_KIND,
        "for {new}",
        "the same for {new}",
        "not for {old} but for {new}",
        "the {new} version",
        "something similar for {new}",
        "make it for {new}",
        "I need this for {new}",
        "like this one, for {new}",
        "do you have it for {new}?",
        "meant for {new} rather than {old}",
    ),
    "colour": (
        *_ANY_KIND,
        "in {new}",
        "the same in {new}",
        "make it {new}",
        "is {new}",
        "is {new} and not {old}",
        "I would like it in {new}",
        "the {new} one",
        "in {new} rather than {old}",
        "like this, but {new}",
        "has a {new} colour",
    ),
    "pattern": (
        *_ANY_KIND,
        "make it {new}",
        "is {new}",
        "is {new} and not {old}",
        "a {new} one",
        "the same, {new}",
        "with a {new} look",
        "{new}, please",
        "like this, but {new}",
        "I would like it {new}",
        "{new} rather than {old}",
    ),
    "type": (
        *_ANY_KIND,
        "{new} in the same style",
        "show me {new} like this",
        "the same as {new}",
        "make it {new}",
        "matching {new}",
        "not {old} but {new}",
        "I am looking for {new}",
        "{new} rather than {old}",
        "is {new}",
        "similar {new}",
    ),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One product: its id, its title, and its caption (gender, colour, pattern, type) or None.

    An item without a caption is of a rare type, colour or gender: it is in the gallery, where it
    can be found by mistake, but in no query.
    """

    id: str
    title: str
    caption: tuple[str, str, str, str] | None


class FashionProducts(Dataset):
    """A split of the product photos.

    Args:
        root: Folder with ``styles.csv`` and ``images/``.
        split: ``test`` has the ids divisible by 5, ``val`` those that leave 1, ``train`` the rest.
        seed: Fixes the pairs and their texts.
        queries: Number of queries of ``val`` and ``test``.

    Raises:
        TMCIRError: The split is unknown, or ``styles.csv`` is missing or lacks a column.
    """

    name = "fashion-products"
    protocols = ("fashion200k",)

    def __init__(
        self, root: str | Path, split: str = "test", seed: int = 0, queries: int = QUERIES
    ) -> None:
        if split not in SPLITS:
            raise unknown_choice("fashion-products split", split, SPLITS)
        for option, value in (("seed", seed), ("queries", queries)):
            if not isinstance(value, int) or value < 0:
                raise TMCIRError(f"fashion-products: {option} must be a whole number from 0")
        self.root = Path(root)
        self.split = split
        self.seed = seed
        self.queries = queries
        self._files = _image_files(self.root / "images")
        rows = _read_rows(self.root / "styles.csv")
        self.without_image = sorted(row["id"] for row in rows if row["id"] not in self._files)
        if rows and len(self.without_image) == len(rows):
            raise TMCIRError(f"{self.root / 'images'}: has no photo of any row of styles.csv")
        self.items = [
            item for item in _items(rows) if item.id in self._files and _split_of(item.id) == split
        ]
        self._by_id = {item.id: item for item in self.items}
        self._captioned = [item for item in self.items if item.caption is not None]
        self._neighbours = _Neighbours(self._captioned)
        self._answers = _answers(self._captioned)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of counts and reports must know: rows that are left out, by id."""
        lost = [name for name in self.without_image if _split_of(name) == self.split]
        if not lost:
            return ()
        more = ", ..." if len(lost) > _NAMED_AT_MOST else ""
        return (
            f"{len(lost):,} rows of styles.csv have no photo and are left out:"
            f" {', '.join(lost[:_NAMED_AT_MOST])}{more}",
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
            pair = self._draw(generator.choice(self._captioned), generator)
            if pair is not None:
                triplet = self._triplet(*pair, generator)
                found.setdefault(triplet.id, triplet)
        return list(found.values())

    def training_triplets(self, epoch: int) -> Sequence[Triplet]:
        """Return a fresh draw of pairs: every item is a reference once, in random order.

        Each pair is followed by its reverse, so that a batch has twice the queries for the same
        images, and each query's reference is among its negatives.
        """
        generator = random.Random(f"{self.seed} {self.split} {epoch}")
        triplets = []
        for item in generator.sample(self._captioned, len(self._captioned)):
            pair = self._draw(item, generator)
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

    def find_image(self, name: str) -> Path | None:
        """Return the path of an item's photo."""
        return self._files.get(name)

    def captions(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Return each photo with its title and, where it has one, its caption in words."""
        return [
            (
                item.id,
                (item.title, " ".join(item.caption).lower()) if item.caption else (item.title,),
            )
            for item in self.items
        ]

    def caption_of(self, name: str) -> tuple[str, str, str, str] | None:
        """Return (gender, colour, pattern, type) of an item of this split."""
        return self._by_id[name].caption

    def can_judge(self, name: str) -> bool:
        """Return whether an item has a caption."""
        return name in self._by_id and self._by_id[name].caption is not None

    def judge(self, triplet: Triplet, name: str) -> Judgement:
        """Compare captions: the one attribute that a query changes, and the other three.

        Raises:
            TMCIRError: The item, or one of the query's, has no caption.
        """
        return self.judge_caption(triplet, self._caption(name))

    def judge_caption(self, triplet: Triplet, found: Sequence[str]) -> Judgement:
        """Judge what somebody sees in an image: (gender, colour, pattern, type).

        Raises:
            TMCIRError: An item of the query has no caption.
        """
        wanted, asked = self._caption(triplet.target or ""), KINDS.index(triplet.kind)
        old = self._caption(triplet.reference)
        stayed = [old[kind] == found[kind] for kind in range(len(KINDS)) if kind != asked]
        return Judgement(float(found[asked] == wanted[asked]), sum(stayed) / len(stayed))

    def _caption(self, name: str) -> tuple[str, str, str, str]:
        caption = self._by_id[name].caption if name in self._by_id else None
        if caption is None:
            raise TMCIRError(f"{self.name} {self.split}: item {name!r} has no caption")
        return caption

    def _draw(self, item: Item, generator: random.Random) -> tuple[Item, Item, int] | None:
        kinds = self._neighbours.kinds(item)
        if not kinds:
            return None
        kind = generator.choice(kinds)
        return item, generator.choice(self._neighbours.of(item, kind)), kind

    def _triplet(
        self, reference: Item, target: Item, kind: int, generator: random.Random
    ) -> Triplet:
        assert reference.caption is not None and target.caption is not None
        old, new = reference.caption[kind].lower(), target.caption[kind].lower()
        texts = tuple(form.format(old=old, new=new) for form in _PARAPHRASES[KINDS[kind]])
        return Triplet(
            id=f"{reference.id}-{target.id}",
            reference=reference.id,
            text=generator.choice(texts),
            target=target.id,
            answers=self._answers[target.caption],
            kind=KINDS[kind],
            training_texts=texts,
        )


class _Neighbours:
    """Items whose captions differ from a given one's in exactly one place."""

    def __init__(self, items: Sequence[Item]) -> None:
        groups: dict[tuple[int, tuple[str, ...]], dict[str, list[Item]]] = {}
        for item in items:
            for kind in range(len(KINDS)):
                value, key = _without(item, kind)
                groups.setdefault(key, defaultdict(list))[value].append(item)
        self._groups = groups

    def kinds(self, item: Item) -> list[int]:
        """Return the attributes in which some other item alone differs from ``item``."""
        return [
            kind for kind in range(len(KINDS)) if len(self._groups[_without(item, kind)[1]]) > 1
        ]

    def of(self, item: Item, kind: int) -> list[Item]:
        """Return the items that differ from ``item`` in ``kind`` alone."""
        value, key = _without(item, kind)
        others = self._groups[key].items()
        return [other for name, group in others if name != value for other in group]


def _without(item: Item, kind: int) -> tuple[str, tuple[int, tuple[str, ...]]]:
    assert item.caption is not None
    return item.caption[kind], (kind, item.caption[:kind] + item.caption[kind + 1 :])


def _answers(items: Sequence[Item]) -> dict[tuple[str, str, str, str], tuple[str, ...]]:
    groups: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for item in items:
        if item.caption is not None:
            groups[item.caption].append(item.id)
    return {caption: tuple(ids) for caption, ids in groups.items()}


def _items(rows: list[dict[str, str]]) -> list[Item]:
    types = Counter(row["articleType"] for row in rows)
    colours = Counter(row["baseColour"] for row in rows)
    items = []
    for row in rows:
        gender, colour, article = row["gender"], row["baseColour"], row["articleType"]
        common = (
            gender in GENDERS
            and colour != ""
            and types[article] >= MINIMUM_ITEMS
            and colours[colour] >= MINIMUM_ITEMS
        )
        title = row["productDisplayName"] or f"{gender} {colour} {article}".strip()
        caption = (gender, colour, pattern_of(title), article) if common else None
        items.append(Item(row["id"], title, caption))
    return items


def pattern_of(title: str) -> str:
    """Return the pattern that a product title names: striped, checked, printed, else solid."""
    for name, expression in _PATTERNS:
        if expression.search(title):
            return name
    return _SOLID


def _split_of(identifier: str) -> str:
    remainder = int(identifier) % 5
    return {0: "test", 1: "val"}.get(remainder, "train")


def _read_rows(path: Path) -> list[dict[str, str]]:
    """Read styles.csv in the order of ids; the first of two rows with one id counts."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise TMCIRError(f"{path}: lacks the column {missing[0]!r}")
            rows: dict[str, dict[str, str]] = {}
            for row in reader:
                # The file does not quote commas in titles: what spills over belongs to the title.
                spilled = row.pop(None, None)
                if spilled:
                    row["productDisplayName"] = ",".join([row["productDisplayName"], *spilled])
                cells = {name: row[name].strip() for name in _COLUMNS}
                if cells["id"].isdecimal():
                    rows.setdefault(cells["id"], cells)
    except FileNotFoundError:
        raise TMCIRError(
            f"{path}: no such file; --root is the folder of Kaggle's Fashion Product Images that"
            " has styles.csv and images/"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise TMCIRError(f"{path}: not readable as CSV: {error}") from None
    return sorted(rows.values(), key=lambda row: int(row["id"]))


def _image_files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise TMCIRError(f"{folder}: no such folder; it should hold the photos as {{id}}.jpg")
    suffixes = {".jpg", ".jpeg", ".png"}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    return {path.stem: path for path in files}
