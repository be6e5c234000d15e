"""The encoders: one module a family, chosen by the type that a configuration names itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.models.encoders.base import Encoder

__all__ = ["Encoder", "encoder_class", "is_encoder", "load_encoder"]

_FAMILIES = {
    "clip": "tmcir.models.encoders.clip:ClipEncoder",
    "siglip": "tmcir.models.encoders.siglip:SiglipEncoder",
    "blip-2": "tmcir.models.encoders.blip2:Blip2Encoder",
    "dual": "tmcir.models.encoders.dual:DualEncoder",
}
# What a published config.json calls a family; SigLIP 2 of fixed resolution calls itself SigLIP.
_MODEL_TYPES = {"clip": "clip", "siglip": "siglip", "blip-2": "blip-2"}
# The class of a published checkpoint, where the type alone does not say what it can do.
_ARCHITECTURES = {"blip-2": "Blip2ForImageTextRetrieval"}


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


def is_encoder(config: dict[str, Any]) -> bool:
    """Return whether a published config.json names a type that a family loads."""
    return config.get("model_type") in _MODEL_TYPES


def load_encoder(source: str, config: dict[str, Any]) -> Encoder:
    """Load the towers of a published checkpoint.

    Args:
        source: Folder or Hugging Face id.
        config: Content of its config.json.

    Raises:
        TMCIRError: It is of a type that is not supported, or incomplete.
    """
    kind = config.get("model_type") or config.get("format") or "unknown"
    if kind not in _MODEL_TYPES:
        raise TMCIRError(
            f"{source}: is of type {kind!r}; supported: TMCIR models and {', '.join(_MODEL_TYPES)}"
        )
    needed, found = _ARCHITECTURES.get(kind), config.get("architectures") or ["no class"]
    if needed is not None and needed not in found:
        raise TMCIRError(f"{source}: is a {found[0]}, but of {kind} only {needed} can search")
    return encoder_class(_MODEL_TYPES[kind]).from_pretrained(source, config)
