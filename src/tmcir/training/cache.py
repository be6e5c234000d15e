"""What a training loads or encodes once and keeps in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

# Of cached tokens. The fusion normalises them, and half the memory holds twice as many.
CACHE_DTYPE = torch.float16


def cached_states(states: Iterable[Tensor]) -> list[Tensor]:
    """Return an encoder's states as caches keep them, on the CPU: tokens in float16."""
    return [state.to("cpu", CACHE_DTYPE if state.ndim > 2 else torch.float32) for state in states]


Item = TypeVar("Item")


class Cache(Generic[Item]):
    """A cache of one item per name, up to a capacity; other items are loaded at each use.

    Args:
        load: Loads some items by their names, in that order.
        capacity: Maximum number of items in the cache.
        chunk: Items that ``fill`` loads at once.
    """

    def __init__(
        self, load: Callable[[Sequence[str]], Iterable[Item]], capacity: int, chunk: int
    ) -> None:
        self._load = load
        self._capacity = capacity
        self._chunk = chunk
        self._items: dict[str, Item] = {}

    def fill(self, names: Iterable[str]) -> None:
        """Load items before they are needed, up to the capacity."""
        room = self._capacity - len(self._items)
        missing = [name for name in dict.fromkeys(names) if name not in self._items][:room]
        for start in range(0, len(missing), self._chunk):
            chunk = missing[start : start + self._chunk]
            self._items.update(zip(chunk, self._load(chunk), strict=True))

    def get(self, names: Sequence[str]) -> list[Item]:
        """Return the item of each name, from the cache or loaded."""
        self.fill(names)
        absent = [name for name in names if name not in self._items]
        fresh = dict(zip(absent, self._load(absent), strict=True)) if absent else {}
        return [fresh[name] if name in fresh else self._items[name] for name in names]
