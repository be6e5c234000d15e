from __future__ import annotations

from tests.docs.world import datasets, quickstart, small_catalogue, world

__all__ = ["datasets", "quickstart", "small_catalogue", "world"]
