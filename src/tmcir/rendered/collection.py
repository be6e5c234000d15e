"""The items of a split: families of a garment and its variants, one photo each."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tmcir.rendered.changes import Change, differences, is_answer
from tmcir.rendered.garment import Garment
from tmcir.rendered.nuisance import Nuisance
from tmcir.rendered.sampling import random_edit, sample_garment
from tmcir.rendered.vocabulary import ATTRIBUTES

FAMILY = 8
_FROM_BASE_SHARE = 0.7
_ONE_EDIT_SHARE = 0.7
_MAX_CHANGES = 3


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """One photo of the catalogue."""

    name: str
    garment: Garment
    nuisance: Nuisance


class Collection:
    """The items of a split, and how to find those that answer a query.

    An item depends on seed, split and its number alone: a larger collection begins with the items
    of a smaller one.

    Args:
        seed: Seed of all items.
        split: Its name is a part of the seed, so that no two splits share a photo.
        count: Number of items.
        attributes: Those in which the variants of a family differ; other ones than all of them
            make another collection, with other names.
    """

    def __init__(
        self, seed: int, split: str, count: int, attributes: Sequence[str] = ATTRIBUTES
    ) -> None:
        self.items: list[CatalogueItem] = []
        own = split if attributes == ATTRIBUTES else f"{split}-local"
        for family in range(-(-count // FAMILY)):
            garments = _family(random.Random(f"rendered {seed} {own} family {family}"), attributes)
            for garment in garments[: count - len(self.items)]:
                number = len(self.items)
                photo = random.Random(f"rendered {seed} {own} photo {number}")
                name = f"{own}-{number:06d}"
                self.items.append(CatalogueItem(name, garment, Nuisance.sample(photo)))
        self.by_name = {item.name: item for item in self.items}
        self._number = {item.name: number for number, item in enumerate(self.items)}
        self._alike: dict[Garment, list[str]] = defaultdict(list)
        self._near: dict[str, tuple[list[CatalogueItem], list[float]]] = {}
        self._by_kind: dict[object, list[CatalogueItem]] = defaultdict(list)
        for item in self.items:
            self._alike[item.garment].append(item.name)
            self._by_kind[item.garment.kind].append(item)
            self._by_kind[item.garment.kind, item.garment.colour].append(item)

    def partner(self, item: CatalogueItem, generator: random.Random) -> CatalogueItem | None:
        """Sample a different member of an item's family; None where all are equal.

        Members that need fewer changes are likelier; those that need more than three are sampled
        only where there is no nearer one.
        """
        if item.name not in self._near:
            self._near[item.name] = self._find_near(item)  # every epoch asks again
        near, weights = self._near[item.name]
        return generator.choices(near, weights)[0] if near else None

    def _find_near(self, item: CatalogueItem) -> tuple[list[CatalogueItem], list[float]]:
        """Return the members of an item's family that may be its partner, and their weights."""
        first = self._number[item.name] // FAMILY * FAMILY
        others = [
            (len(differences(item.garment, other.garment)), other)
            for other in self.items[first : first + FAMILY]
            if other.garment != item.garment
        ]
        limit = max(min((count for count, _ in others), default=0), _MAX_CHANGES)
        near = [(count, other) for count, other in others if count <= limit]
        return [other for _, other in near], [count**-2 for count, _ in near]

    def alike(self, garment: Garment) -> tuple[str, ...]:
        """Return the names of all items with this garment."""
        return tuple(self._alike[garment])

    def answers(self, reference: Garment, changes: Sequence[Change]) -> tuple[str, ...]:
        """Return the names of all items that answer a query, in the collection's order."""
        touched = {name for change in changes for name in change.touched}
        candidates = self.items
        if "kind" not in touched:
            # Only these can be answers; checking all items takes a hundred times as long.
            key = reference.kind if "colour" in touched else (reference.kind, reference.colour)
            candidates = self._by_kind.get(key, [])
        return tuple(
            item.name for item in candidates if is_answer(reference, changes, item.garment)
        )


def _family(generator: random.Random, attributes: Sequence[str]) -> list[Garment]:
    """Sample a garment, its variants, and one of them again for a second photo.

    Some variants are edited twice. The garment between the two edits is a member too: compared
    with the first, it has one of two changes that a text asks for.
    """
    base = sample_garment(generator)
    garments = [base]
    while len(garments) < FAMILY - 1:
        parent = base if generator.random() < _FROM_BASE_SHARE else generator.choice(garments)
        for _ in range(1 if generator.random() < _ONE_EDIT_SHARE else 2):
            parent = random_edit(parent, generator, attributes=attributes)
            garments.append(parent)
    return [*garments[: FAMILY - 1], generator.choice(garments[: FAMILY - 1])]
