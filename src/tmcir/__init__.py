"""tmcir: composed image retrieval. Search, train and measure with one model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tmcir.evaluation import evaluate
    from tmcir.gallery import Gallery
    from tmcir.models import TMCIR
    from tmcir.runtime import load
    from tmcir.tuning.tune import tune

__version__ = "0.1.0"
__all__ = ["TMCIR", "Gallery", "__version__", "evaluate", "load", "tune"]

_MODULES = {
    "TMCIR": "tmcir.models",
    "load": "tmcir.runtime",
    "Gallery": "tmcir.gallery",
    "evaluate": "tmcir.evaluation",
    "tune": "tmcir.tuning.tune",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import tmcir`` is quick."""
    if name not in _MODULES:
        raise AttributeError(f"module 'tmcir' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
