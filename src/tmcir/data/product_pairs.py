"""Pairs of products that differ in one attribute, and the right answers to each."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Hashable, Sequence

from tmcir.data.products import KINDS, Product

#: Values of ``usage`` that a photo can show and a person can ask for.
USAGES = ("Casual", "Formal", "Sports", "Ethnic")
USAGE = "usage"


class Pairs:
    """Pairs of captioned products.

    A pair differs in exactly one place of the caption. A pair of kind ``usage`` has the same
    gender, colour and type, and another usage.

    Args:
        items: Products with captions.
    """

    def __init__(self, items: Sequence[Product]) -> None:
        self._groups: dict[Hashable, dict[str, list[Product]]] = {}
        for item in items:
            for kind in (*KINDS, USAGE):
                if kind != USAGE or item.usage in USAGES:
                    key = _rest(item, kind)
                    values = self._groups.setdefault(key, defaultdict(list))
                    values[value_of(item, kind)].append(item)

    def draw(
        self, item: Product, generator: random.Random, usage_share: float = 0.0
    ) -> tuple[Product, Product, str] | None:
        """Return a reference, a target and the kind of change; None where nothing differs.

        Args:
            item: The reference.
            generator: Chooses the kind, then the target.
            usage_share: Share of references with another usage that change it; where nothing else
                can change, all do.
        """
        kinds = [kind for kind in KINDS if self._varies(item, kind)]
        usage_varies = usage_share > 0 and item.usage in USAGES and self._varies(item, USAGE)
        if usage_varies and (not kinds or generator.random() < usage_share):
            kinds = [USAGE]
        if not kinds:
            return None
        kind = generator.choice(kinds)
        return item, generator.choice(self._others(item, kind)), kind

    def draw_usage(
        self, item: Product, generator: random.Random
    ) -> tuple[Product, Product, str] | None:
        """Return a pair of kind ``usage``; None where the item has no such partner."""
        if item.usage not in USAGES or not self._varies(item, USAGE):
            return None
        return item, generator.choice(self._others(item, USAGE)), USAGE

    def same_usage(self, reference: Product, target: Product) -> tuple[str, ...]:
        """Return the ids of all answers to a change of usage: the target's usage, the rest kept."""
        group = self._groups[_rest(target, USAGE)][target.usage]
        return tuple(item.id for item in group if item.id != reference.id)

    def _varies(self, item: Product, kind: str) -> bool:
        return len(self._groups[_rest(item, kind)]) > 1

    def _others(self, item: Product, kind: str) -> list[Product]:
        groups, own = self._groups[_rest(item, kind)], value_of(item, kind)
        return [other for value, group in groups.items() if value != own for other in group]


def value_of(item: Product, kind: str) -> str:
    """Return the value of an attribute of a captioned product, ``usage`` among them."""
    assert item.caption is not None
    return item.usage if kind == USAGE else item.caption[KINDS.index(kind)]


def _rest(item: Product, kind: str) -> Hashable:
    """Return what a pair of this kind has in common."""
    assert item.caption is not None
    if kind == USAGE:
        return USAGE, (item.caption.gender, item.caption.colour, item.caption.type)
    return kind, item.caption.without(KINDS.index(kind))
