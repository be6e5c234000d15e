"""Models: CLIP's towers, adaptive token fusion and its baselines, and the two together."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tmcir.models.explained import Explanation
    from tmcir.models.loading import load
    from tmcir.models.tmcir import TMCIR

__all__ = ["TMCIR", "Explanation", "load"]

_MODULES = {
    "TMCIR": "tmcir.models.tmcir",
    "Explanation": "tmcir.models.explained",
    "load": "tmcir.models.loading",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: some modules of this room need no torch."""
    if name not in _MODULES:
        raise AttributeError(f"module 'tmcir.models' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
