"""Lists in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Return the items in batches of ``size``; the last one may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]
