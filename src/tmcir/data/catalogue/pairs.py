"""Pairs of photos that differ as a text asks, and all right answers to the text.

Letters used in shapes: N photos, C taken columns.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tmcir.data.catalogue.columns import Column
from tmcir.data.catalogue.reading import Item

_POOL = 400  # photos among which the nearest is looked for
_TRIES = 8
_MINIMUM_KEPT = 0.5  # share of the other columns in which reference and target are alike


@dataclass(frozen=True, slots=True)
class Change:
    """What a text asks of one column.

    Attributes:
        column: Place of the column among the taken ones.
        old: A value of the reference that the target does not have; None if there is none.
        new: A value of the target that the reference does not have; None: anything but ``old``.
    """

    column: int
    old: str | None
    new: str | None

    def is_met(self, values: Sequence[Sequence[str]]) -> bool:
        """Return whether a photo with these values shows the change."""
        own = values[self.column]
        if self.new is None:
            return bool(own) and self.old not in own
        return self.new in own


@dataclass(frozen=True, slots=True)
class Pair:
    """Places of a reference and a target among the items, and what changes."""

    reference: int
    target: int
    changes: tuple[Change, ...]


class Pairs:
    """Samples pairs among some items.

    A pair differs in the asked columns and is alike in all others where there is such a pair, and
    in as many as possible elsewhere, at least half.

    Args:
        items: The photos.
        columns: The taken columns.
    """

    def __init__(self, items: Sequence[Item], columns: Sequence[Column]) -> None:
        self._items = items
        self._count = len(columns)
        self._values = [frozenset(column.values) for column in columns]
        self.codes = _codes(items, self._count)  # [N, C], 0 where a cell is empty
        self._askable = self._find_askable()  # [N, C]
        self._having: dict[tuple[int, str | None], NDArray[np.bool_]] = {}
        self._groups: list[dict[bytes, NDArray[np.int64]]] = []
        self._varies = np.zeros(self.codes.shape, bool)
        for column in range(self._count):
            self._group(column)

    def draw(self, item: int, generator: random.Random) -> Pair | None:
        """Return a pair with this reference that changes one column; None if there is none."""
        exact = np.flatnonzero(self._varies[item]).tolist()
        if exact:
            column = generator.choice(exact)
            found = self._partner(item, column, generator)
            if found is not None:
                return found
        columns = [column for column in range(self._count) if self.codes[item, column]]
        return self._nearest(item, generator.sample(columns, 1), generator) if columns else None

    def draw_two(self, item: int, generator: random.Random) -> Pair | None:
        """Return a pair with this reference that changes two columns; None if there is none."""
        columns = [column for column in range(self._count) if self.codes[item, column]]
        if len(columns) < 2:
            return None
        return self._nearest(item, generator.sample(columns, 2), generator)

    def draw_without(self, item: int, generator: random.Random) -> Pair | None:
        """Return a pair that asks for anything but a value of the reference."""
        pair = self.draw(item, generator)
        if pair is None or pair.changes[0].old is None:
            return None
        (change,) = pair.changes
        return Pair(pair.reference, pair.target, (Change(change.column, change.old, None),))

    def answers(self, pair: Pair) -> list[int]:
        """Return all items that show the changes and keep as much as any that does.

        What is kept is the number of the other columns in which an item is like the reference. The
        reference is no answer.
        """
        met = np.ones(len(self._items), bool)
        for change in pair.changes:
            met &= self._met(change)
        places = np.flatnonzero(met)
        places = places[places != pair.reference]
        kept = self._kept(pair.reference, places, [change.column for change in pair.changes])
        return [int(place) for place in places[kept == kept.max(initial=-1)]]

    def kept(self, reference: int, found: int, asked: Sequence[int]) -> float:
        """Return the share of the columns that no text asks for in which two photos are alike."""
        others = self._count - len(asked)
        if not others:
            return 1.0
        return float(self._kept(reference, np.array([found]), asked)[0]) / others

    def _kept(
        self, reference: int, places: NDArray[np.int64], asked: Sequence[int]
    ) -> NDArray[np.int64]:
        same = self.codes[places] == self.codes[reference]
        same[:, list(asked)] = False
        counted: NDArray[np.int64] = same.sum(axis=1)
        return counted

    def _met(self, change: Change) -> NDArray[np.bool_]:
        """Return whether each item shows a change, bool [N]."""
        if change.new is None:
            filled = self.codes[:, change.column] > 0
            return filled & ~self._holders(change.column, change.old)
        return self._holders(change.column, change.new)

    def _holders(self, column: int, value: str | None) -> NDArray[np.bool_]:
        """Return whether each item has a value, bool [N]."""
        key = (column, value)
        if key not in self._having:
            self._having[key] = np.array([value in item.values[column] for item in self._items])
        return self._having[key]

    def _find_askable(self) -> NDArray[np.bool_]:
        rows = [
            [bool(own & set(values)) for own, values in zip(self._values, item.values, strict=True)]
            for item in self._items
        ]
        return np.array(rows, bool).reshape(len(self._items), self._count)

    def _group(self, column: int) -> None:
        """Group items that are alike in all other columns, where one of them can be asked for."""
        rest = self.codes.copy()
        rest[:, column] = 0
        groups: dict[bytes, list[int]] = defaultdict(list)
        for place, key in enumerate(map(bytes, rest)):
            if self.codes[place, column]:
                groups[key].append(place)
        kept = {}
        for key, members in groups.items():
            array = np.array(members)
            own = self.codes[array, column]
            if (own != own[0]).any():
                kept[key] = array
                self._varies[array, column] = True
        self._groups.append(kept)

    def _partner(self, item: int, column: int, generator: random.Random) -> Pair | None:
        rest = self.codes[item].copy()
        rest[column] = 0
        group = self._groups[column][bytes(rest)]
        differs = self.codes[group, column] != self.codes[item, column]
        others = group[differs & self._askable[group, column]]
        return self._among(item, others, [column], generator)

    def _nearest(self, item: int, columns: Sequence[int], generator: random.Random) -> Pair | None:
        """Look for the target that keeps most among a sample of all that change these columns."""
        differs = np.ones(len(self._items), bool)
        for column in columns:
            own = self.codes[:, column]
            differs &= (own > 0) & (own != self.codes[item, column]) & self._askable[:, column]
        places = np.flatnonzero(differs)
        if len(places) > _POOL:
            places = places[generator.sample(range(len(places)), _POOL)]
        kept = self._kept(item, places, columns)
        best = kept.max(initial=-1)
        if best < _MINIMUM_KEPT * (self._count - len(columns)):
            return None
        return self._among(item, places[kept == best], columns, generator)

    def _among(
        self,
        item: int,
        others: NDArray[np.int64],
        columns: Sequence[int],
        generator: random.Random,
    ) -> Pair | None:
        """Choose a target that has something new in each column, among photos of other products."""
        for _ in range(_TRIES if len(others) else 0):
            target = int(others[generator.randrange(len(others))])
            if self._items[target].product == self._items[item].product:
                continue
            changes = [self._change(item, target, column, generator) for column in columns]
            found = [change for change in changes if change is not None]
            if len(found) == len(columns):
                return Pair(item, target, tuple(found))
        return None

    def _change(
        self, reference: int, target: int, column: int, generator: random.Random
    ) -> Change | None:
        own, other = (self._items[place].values[column] for place in (reference, target))
        new = [value for value in other if value not in own and value in self._values[column]]
        old = [value for value in own if value not in other]
        if not new:
            return None
        return Change(column, generator.choice(old) if old else None, generator.choice(new))


def _codes(items: Sequence[Item], count: int) -> NDArray[np.int32]:
    """Return a number for each cell, equal for cells with the same values in any order."""
    known: list[dict[tuple[str, ...], int]] = [{(): 0} for _ in range(count)]
    rows = [
        [
            known[c].setdefault(tuple(sorted(cell)), len(known[c]))
            for c, cell in enumerate(item.values)
        ]
        for item in items
    ]
    return np.array(rows, np.int32).reshape(len(items), count)
