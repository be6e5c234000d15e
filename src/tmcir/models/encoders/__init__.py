"""The encoders: one module a family, chosen by the type that a configuration names itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.models.encoders.base import Encoder

__all__ = ["Encoder", "encoder_class", "load_encoder"]

_FAMILIES = {
    "clip": "tmcir.models.encoders.clip:ClipEncoder",
    "dual": "tmcir.models.encoders.dual:DualEncoder",
}
# The model_type of a published configuration, and the family that loads it.
_TYPES = {"clip": "clip"}


def encoder_class(family: str) -> type[Encoder]:
    """Return the class of a family, as saved models name it.

    Raises:
        TMCIRError: There is no such family.
    """
    if family not in _FAMILIES:
        raise unknown_choice("family of encoders", family, _FAMILIES)
    module, name = _FAMILIES[family].split(":")
    found: type[Encoder] = getattr(import_module(module), name)
    return found


def load_encoder(source: str, config: dict[str, Any]) -> Encoder:
    """Load the towers of a published checkpoint.

    Args:
        source: Folder or Hugging Face id.
        config: Content of its config.json.

    Raises:
        TMCIRError: It is of a type that is not supported, or incomplete.
    """
    kind = config.get("model_type") or config.get("format") or "unknown"
    if kind not in _TYPES:
        raise TMCIRError(
            f"{source}: is of type {kind!r}; supported: TMCIR models and {', '.join(_TYPES)}"
        )
    return encoder_class(_TYPES[kind]).from_pretrained(source)
