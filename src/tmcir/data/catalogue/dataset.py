"""A folder of photos and a table of attributes as a dataset of composed queries."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.files import expand_user
from tmcir.core.hashing import stable_number
from tmcir.data.catalogue.pairs import Change, Pair, Pairs
from tmcir.data.catalogue.phrases import Phrases, read_phrases
from tmcir.data.catalogue.reading import Item, read_products
from tmcir.data.catalogue.splits import SPLITS, splits_of
from tmcir.data.catalogue.texts import TEXTS, Texts
from tmcir.data.dataset import Dataset, Judgement, Task, Triplet

QUERIES = 1000
TWO, WITHOUT = "two changes", "not that"
_TWO_SHARE, _WITHOUT_SHARE = 0.15, 0.05
_TITLES = 2000  # photos whose own texts are captions
_PHOTOS = 4  # of one product that are references in one epoch
_PATIENCE = 300  # samples in a row that give no new query


class Catalogue(Dataset):
    """A split of a shop's photos, whose attributes come from a table.

    A query changes one column, two, or asks for anything but a value. Right are all photos that
    show the change and keep as many other columns of the reference as any photo that does.

    Args:
        root: Folder of the photos.
        split: A fifth of the products is ``test``, a fifth ``val``, the rest ``train``, by a hash
            of the product; nearly equal photos are in one split.
        metadata: The CSV; a path, or the name of a file in ``root``. None takes the only CSV there.
        key: Column that names photos; None finds it.
        columns: Columns that queries change, as a list or with commas; None guesses them.
        skip_columns: Columns that queries do not change.
        group: Column that is the same for all photos of one product.
        bins: Steps by column of numbers, such as ``{price: 4}``.
        phrases: YAML file with forms of texts, see ``read_phrases``.
        skip: Photos to leave out, such as broken ones.
        queries: Maximum number of queries of ``val`` and ``test``.
        seed: Fixes pairs and texts.

    Raises:
        TMCIRError: An option is unknown or out of range, or folder or table cannot be used.
    """

    name = "catalogue"
    protocols = ("catalogue",)

    def __init__(
        self,
        root: str | Path,
        split: str = "test",
        metadata: str | Path | None = None,
        key: str | None = None,
        columns: Sequence[str] | str | None = None,
        skip_columns: Sequence[str] = (),
        group: str | None = None,
        bins: Mapping[str, int] | None = None,
        phrases: str | Path | None = None,
        skip: Sequence[str] = (),
        queries: int = QUERIES,
        seed: int = 0,
    ) -> None:
        if split not in SPLITS:
            raise unknown_choice("catalogue split", split, SPLITS)
        for option, value in (("seed", seed), ("queries", queries)):
            if not isinstance(value, int) or value < 0:
                raise TMCIRError(f"catalogue: {option} must be a whole number from 0")
        self.root, self.split, self.seed, self.queries = Path(root), split, seed, queries
        asked = columns.split(",") if isinstance(columns, str) else columns
        found = read_products(
            self.root,
            _table(self.root, metadata),
            key=key,
            columns=None if asked is None else [name.strip() for name in asked],
            group=group,
            bins=bins,
        )
        skipped = {column.name.casefold() for column in found.taken}
        for name in skip_columns:
            if name.casefold() not in skipped:
                raise unknown_choice("column to skip", name, [one.name for one in found.taken])
        left_out = {name.casefold() for name in skip_columns}
        found = found.without(
            {one.name: "skipped" for one in found.taken if one.name.casefold() in left_out}
        )
        self.products = found.without_photos(skip)
        own = Phrases() if phrases is None else read_phrases(expand_user(phrases))
        self._texts = Texts(self.products.taken, own)
        self._asked: dict[str, tuple[Change, ...]] = {}

    @cached_property
    def splits(self) -> Mapping[str, str]:
        """The split of every photo, described or not."""
        names = [*(item.name for item in self.products.items), *self.products.others]
        products = [*(item.product for item in self.products.items), *self.products.others]
        return splits_of(self.root, names, products)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The described photos of the split."""
        return tuple(item for item in self.products.items if self.splits[item.name] == self.split)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {item.name: place for place, item in enumerate(self.items)}

    @cached_property
    def _pairs(self) -> Pairs:
        return Pairs(self.items, self.products.taken)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know: what was joined, and what is wrong with the table."""
        return self.products.notes

    @cached_property
    def triplets(self) -> Sequence[Triplet]:  # type: ignore[override]
        """The queries of the split; ``train`` gives those of its first epoch."""
        if self.split == "train":
            return self.training_triplets(0)
        generator = random.Random(f"{self.seed} {self.split}")
        found: dict[str, Triplet] = {}
        repeats = 0
        # Bounded: a small catalogue may not have as many different pairs.
        while self.items and len(found) < self.queries and repeats < _PATIENCE:
            pair = self._draw(generator.randrange(len(self.items)), generator)
            identifier = None if pair is None else self._identifier(pair)
            if pair is None or identifier is None or identifier in found:
                repeats += 1
                continue
            repeats = 0
            found[identifier] = self._query(pair, identifier, generator)
        return list(found.values())

    def training_triplets(self, epoch: int, seed: int = 0) -> Sequence[Triplet]:
        """Sample the pairs of an epoch: every photo is a reference once, in random order.

        Of a product with many photos only some are, other ones in every epoch. A pair of one
        change is followed by its reverse.
        """
        generator = random.Random(f"{self.seed} {self.split} {seed} {epoch}")
        photos: dict[str, int] = defaultdict(int)
        triplets = []
        for place in generator.sample(range(len(self.items)), len(self.items)):
            product = self.items[place].product
            photos[product] += 1
            pair = self._draw(place, generator) if photos[product] <= _PHOTOS else None
            if pair is None:
                continue
            triplets.append(self._triplet(pair, generator))
            reverse = _reversed(pair)
            if reverse is not None:
                triplets.append(self._triplet(reverse, generator))
        return triplets

    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return the one task: all queries over all photos of the split, reference removed."""
        self.check_protocol(protocol)
        gallery = sorted(name for name, split in self.splits.items() if split == self.split)
        return [Task(self.name, self.triplets, gallery, remove_reference=True)]

    def find_image(self, name: str) -> Path | None:
        """Return the path of a photo."""
        return self.root / name if self.splits.get(name) == self.split else None

    def captions(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Return each described photo with its attributes in words, some with their own texts.

        Titles are all different, and a text tower reads each once: of a large catalogue 2,000
        photos, chosen by a hash, stand for all.
        """
        titled = set(sorted(self._places, key=stable_number)[:_TITLES])
        return [
            (item.name, self._texts.captions(item, with_own=item.name in titled))
            for item in self.items
        ]

    def describe(self, name: str) -> str:
        """Return the values of a photo in words; empty where no row describes it."""
        place = self._places.get(name)
        values = () if place is None else self.items[place].values
        return ", ".join(value for cell in values for value in cell)

    def cluster_of(self, triplet: Triplet) -> str:
        """Return the target's product: queries for it succeed or fail together."""
        place = self._places.get(triplet.target or "")
        return triplet.id if place is None else self.items[place].product

    def can_judge(self, name: str) -> bool:
        """Return whether a row describes the photo."""
        return name in self._places

    def judge(self, triplet: Triplet, name: str) -> Judgement:
        """Compare the columns that the query asks for, and all others.

        Raises:
            TMCIRError: No row describes the photo, or the query is none of this split.
        """
        if name not in self._places or triplet.id not in self._asked:
            return super().judge(triplet, name)
        place, reference = self._places[name], self._places[triplet.reference]
        changes = self._asked[triplet.id]
        met = [change.is_met(self.items[place].values) for change in changes]
        asked = [change.column for change in changes]
        return Judgement(sum(met) / len(met), self._pairs.kept(reference, place, asked))

    def _draw(self, place: int, generator: random.Random) -> Pair | None:
        choice = generator.random()
        pair = None
        if choice < _WITHOUT_SHARE:
            pair = self._pairs.draw_without(place, generator)
        elif choice < _WITHOUT_SHARE + _TWO_SHARE:
            pair = self._pairs.draw_two(place, generator)
        return self._pairs.draw(place, generator) if pair is None else pair

    def _identifier(self, pair: Pair) -> str:
        names = (self.items[place].name for place in (pair.reference, pair.target))
        columns = " ".join(str(change.column) for change in pair.changes)
        return f"{' '.join(names)} {columns} {self._kind(pair)}"

    def _query(self, pair: Pair, identifier: str, generator: random.Random) -> Triplet:
        """Return a query to measure with, whose answers are all photos that fit as well."""
        answers = tuple(self.items[place].name for place in self._pairs.answers(pair))
        reference, target = self.items[pair.reference], self.items[pair.target]
        (text,) = self._texts.choose(reference, pair.changes, generator, 1)
        self._asked[identifier] = pair.changes
        return Triplet(
            id=identifier,
            reference=reference.name,
            text=text,
            target=target.name,
            answers=answers,
            kind=self._kind(pair),
        )

    def _triplet(self, pair: Pair, generator: random.Random) -> Triplet:
        """Return a query to train on; photos like the target in all columns are no negatives."""
        reference, target = self.items[pair.reference], self.items[pair.target]
        texts = self._texts.choose(reference, pair.changes, generator, TEXTS)
        return Triplet(
            id=f"{reference.name} {target.name}",
            reference=reference.name,
            text=texts[0],
            target=target.name,
            answers=self._alike[bytes(self._pairs.codes[pair.target])],
            kind=self._kind(pair),
            training_texts=texts,
        )

    @cached_property
    def _alike(self) -> dict[bytes, tuple[str, ...]]:
        groups: dict[bytes, list[str]] = defaultdict(list)
        for item, codes in zip(self.items, self._pairs.codes, strict=True):
            groups[bytes(codes)].append(item.name)
        return {codes: tuple(names) for codes, names in groups.items()}

    def _kind(self, pair: Pair) -> str:
        if len(pair.changes) > 1:
            return TWO
        (change,) = pair.changes
        return WITHOUT if change.new is None else self.products.taken[change.column].said


def _reversed(pair: Pair) -> Pair | None:
    if len(pair.changes) > 1 or pair.changes[0].old is None or pair.changes[0].new is None:
        return None
    (change,) = pair.changes
    return Pair(pair.target, pair.reference, (Change(change.column, change.new, change.old),))


def _table(root: Path, metadata: str | Path | None) -> Path:
    """Return the path of the table.

    Raises:
        TMCIRError: None is given, and the folder has none or several.
    """
    if metadata is None:
        found = sorted(root.glob("*.csv"))
        if not found:
            raise TMCIRError(f"{root}/*.csv: no such file: give the table with metadata=FILE")
        if len(found) > 1:
            raise TMCIRError(f"{root}: has {len(found)} CSV files: choose with metadata=FILE")
        return found[0]
    path = expand_user(metadata)
    return path if path.is_absolute() or path.exists() else root / path
