"""Which diffusers pipelines can edit, and what each calls its settings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
from transformers import Qwen2VLProcessor

from tmcir.core.errors import TMCIRError

SETTINGS = ("steps", "guidance", "image_guidance", "strength")
_STEPS = "num_inference_steps"
_IMAGE_TO_IMAGE = {"steps": _STEPS, "guidance": "guidance_scale", "strength": "strength"}


class _ImageTextProcessor(Qwen2VLProcessor):
    """Qwen's processor without its part for videos, which needs torchvision."""

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None
    ) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)


def _load_processor(folder: Path) -> Any:
    return _ImageTextProcessor.from_pretrained(folder)


@dataclass(frozen=True, slots=True)
class PipelineKind:
    """A pipeline class of diffusers, as an editor.

    Attributes:
        pipeline: The class that edits.
        checkpoints: Classes that a checkpoint may name, because the same weights edit, too.
        arguments: For each setting that it has, the argument of a call.
        defaults: Values of those settings where the recipe gives none.
        size: Side of the pictures that it was made for, in pixels; None: the checkpoint says it.
        takes_size: Whether a call takes height and width.
        area_argument: The argument of a call that takes the number of pixels; None: there is none.
        batches: Whether a call takes several images with a text each.
        negative: Whether guidance can lead away from a text.
        extra: Further arguments of every call.
        parts: Loads a part of the pipeline from its folder, by name, where diffusers cannot.
    """

    pipeline: str
    checkpoints: tuple[str, ...]
    arguments: Mapping[str, str]
    defaults: Mapping[str, float]
    size: int | None
    takes_size: bool = False
    area_argument: str | None = None
    batches: bool = True
    negative: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Callable[[Path], Any]] = field(default_factory=dict)


KINDS = (
    PipelineKind(
        "StableDiffusionInstructPix2PixPipeline",
        ("StableDiffusionInstructPix2PixPipeline",),
        {"steps": _STEPS, "guidance": "guidance_scale", "image_guidance": "image_guidance_scale"},
        {"steps": 50, "guidance": 7.5, "image_guidance": 1.5},
        size=None,
    ),
    PipelineKind(
        "StableDiffusionXLImg2ImgPipeline",
        ("StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLPipeline"),
        _IMAGE_TO_IMAGE,
        {"steps": 40, "guidance": 7.0, "strength": 0.7},
        size=1024,
    ),
    PipelineKind(
        "StableDiffusion3Img2ImgPipeline",
        ("StableDiffusion3Img2ImgPipeline", "StableDiffusion3Pipeline"),
        _IMAGE_TO_IMAGE,
        {"steps": 40, "guidance": 7.0, "strength": 0.8},
        size=1024,
        takes_size=True,
    ),
    PipelineKind(
        "FluxKontextPipeline",
        ("FluxKontextPipeline",),
        {"steps": _STEPS, "guidance": "guidance_scale"},
        {"steps": 28, "guidance": 2.5},
        size=1024,
        takes_size=True,
        area_argument="max_area",
        negative=False,
        # References already have the size of the picture.
        extra={"_auto_resize": False},
    ),
    PipelineKind(
        "QwenImageEditPipeline",
        ("QwenImageEditPipeline",),
        {"steps": _STEPS, "guidance": "true_cfg_scale"},
        {"steps": 50, "guidance": 4.0},
        size=1024,
        takes_size=True,
        batches=False,
        # Without a negative prompt there is no guidance.
        extra={"negative_prompt": ""},
        parts={"processor": _load_processor},
    ),
)


def kind_of(checkpoint: str, source: str) -> PipelineKind:
    """Return the pipeline with which a checkpoint edits.

    Args:
        checkpoint: The class that its model_index.json names.
        source: Name of the checkpoint, for the error.

    Raises:
        TMCIRError: No supported pipeline can use it.
    """
    for kind in KINDS:
        if checkpoint in kind.checkpoints:
            return kind
    supported = ", ".join(name for kind in KINDS for name in kind.checkpoints)
    raise TMCIRError(
        f"editor {source}: {checkpoint} is not a pipeline that edits; supported: {supported}"
    )


def call_settings(kind: PipelineKind, asked: Mapping[str, float | None]) -> dict[str, float]:
    """Return the value of each setting that the pipeline has.

    Args:
        kind: The pipeline.
        asked: Values that the recipe gives; None takes the default.

    Raises:
        TMCIRError: A value is given for a setting that the pipeline does not have, or the values
            leave it no step to take.
    """
    foreign = [
        name for name in SETTINGS if asked.get(name) is not None and name not in kind.arguments
    ]
    if foreign:
        raise TMCIRError(
            f"editor.{foreign[0]}: {kind.pipeline} has no such setting; it has"
            f" {', '.join(kind.arguments)}"
        )
    values = {
        name: kind.defaults[name] if (value := asked.get(name)) is None else value
        for name in kind.arguments
    }
    steps, strength = values["steps"], values.get("strength", 1.0)
    if steps * strength < 1:
        raise TMCIRError(f"editor.strength: {strength} of {steps} steps is less than one step")
    return values


def import_pipeline(name: str) -> Any:
    """Return a pipeline class of diffusers."""
    # On import transformers advises to install torchvision, which is not needed.
    with without_warnings("transformers"):
        return getattr(diffusers, name)


@contextmanager
def without_warnings(*names: str) -> Iterator[None]:
    """Keep the warnings of libraries' loggers off the terminal."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
