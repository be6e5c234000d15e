"""The composition methods by name, each imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.models.composer import Composer

if TYPE_CHECKING:
    from tmcir.models.encoder import Encoder

DEFAULT = "tmcir"

_HOMES = {
    DEFAULT: ("tmcir.models.fusion", "AdaptiveTokenFusion"),
    "weighted-sum": ("tmcir.models.baselines.weighted_sum", "WeightedSum"),
    "tirg": ("tmcir.models.baselines.tirg", "TIRG"),
    "combiner": ("tmcir.models.baselines.combiner", "Combiner"),
    "pic2word": ("tmcir.models.baselines.pic2word", "Pic2Word"),
}


def method_names() -> list[str]:
    """Return the names of all methods, our own first."""
    return list(_HOMES)


def composer_class(method: str) -> type[Composer]:
    """Return the class of a method.

    Raises:
        TMCIRError: There is no such method.
    """
    if method not in _HOMES:
        raise unknown_choice("method", method, _HOMES)
    module, name = _HOMES[method]
    found: type[Composer] = getattr(import_module(module), name)
    return found


def build_composer(method: str, encoder: Encoder, settings: dict[str, Any]) -> Composer:
    """Build a method for these towers.

    Raises:
        TMCIRError: There is no such method, or a setting is not one of its own.
    """
    try:
        return composer_class(method).for_encoder(encoder, **settings)
    except TypeError as error:
        raise TMCIRError(f"method {method}: settings {settings} do not fit: {error}") from None
