"""The recipes of `tmcir train-editor` and `tmcir generate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from tmcir.data.settings import RunSettings
from tmcir.runs.recipes import load_settings
from tmcir.runs.settings import OptimiserSettings, Settings


class EditorSettings(Settings):
    """An editor and how it edits; every setting defaults to that of the pipeline."""

    source: str = Field(
        description="Name of a shipped editor, or folder or hub id of a diffusers pipeline."
    )
    size: int | None = Field(default=None, ge=16, description="Side of the pictures, in pixels.")
    fit: Literal["crop", "pad"] = Field(
        default="crop", description="Crop a reference to its centre square, or pad it with white."
    )
    prompt: str = Field(
        default="{text}", description="The editor's prompt; {text} is the modification text."
    )
    negative_prompt: str = Field(default="", description="Guidance leads away from this text.")
    steps: int | None = Field(default=None, ge=1, description="Denoising steps.")
    guidance: float | None = Field(default=None, ge=0, description="Guidance towards the text.")
    image_guidance: float | None = Field(
        default=None, ge=0, description="Guidance towards the reference (InstructPix2Pix)."
    )
    strength: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the denoising steps that are redone (image-to-image).",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="dtype of the weights and of all computation."
    )
    offload: Literal["none", "model", "sequential"] = Field(
        default="none",
        description="Keep only the current part (model) or layer (sequential) in GPU memory.",
    )
    vae_tiling: bool = Field(default=False, description="Decode large pictures tile by tile.")

    @field_validator("prompt")
    @classmethod
    def _has_text(cls, prompt: str) -> str:
        if "{text}" not in prompt:
            raise ValueError("must contain {text}")
        return prompt


class FilterSettings(Settings):
    """Which pseudo-targets are kept. New thresholds judge existing pictures again."""

    scorer: str | None = Field(
        default=None,
        description="Model that measures similarities; none: none is measured.",
    )
    min_directional: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="Minimum cosine between the change of the image and the text.",
    )
    min_reference: float = Field(
        default=0.2, ge=-1, le=1, description="Minimum cosine to the reference."
    )
    min_brightness: float = Field(
        default=0.05, ge=0, le=1, description="Minimum mean brightness: 0 is black, 1 white."
    )
    max_saturated: float = Field(
        default=0.9, ge=0, le=1, description="Maximum share of pixels of one flat, vivid colour."
    )


class GenerateRecipe(RunSettings):
    """Pseudo-targets for a dataset's triplets, METHOD.md section 2."""

    command: Literal["generate"] = Field(default="generate", description="The command it is for.")
    split: str = Field(default="train", description="The split whose triplets are edited.")
    draws: int = Field(
        default=1,
        ge=1,
        description="Epochs of training triplets; some datasets sample other triplets in each.",
    )
    editor: EditorSettings = Field(description="The editor.")
    filters: FilterSettings = Field(default=FilterSettings(), description="What is kept.")
    batch_size: int = Field(default=8, ge=1, description="Pictures edited at once.")
    image_format: Literal["png", "jpeg"] = Field(
        default="png", description="png keeps every pixel; jpeg is several times smaller."
    )


class AutoencoderSettings(Settings):
    """From pixels to latents and back by principal components of patches."""

    patch_size: int = Field(default=4, ge=2, description="Side of a patch, a power of two.")
    latent_channels: int = Field(default=16, ge=1, description="Components that are kept.")
    whitening: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="How far the components get equal weight; 0: not at all, 1: fully.",
    )

    @model_validator(mode="after")
    def _fits(self) -> AutoencoderSettings:
        if self.patch_size.bit_count() != 1:
            raise ValueError("patch_size must be a power of two")
        if self.latent_channels > 3 * self.patch_size**2:
            raise ValueError("latent_channels must not exceed 3 * patch_size ** 2")
        return self


class DenoiserSettings(OptimiserSettings):
    """The conditional UNet (diffusers' ``UNet2DConditionModel``)."""

    channels: tuple[int, ...] = Field(
        default=(64, 128, 160), min_length=1, description="Width at each resolution."
    )
    attention: tuple[bool, ...] = Field(
        default=(False, True, False), description="Which resolutions attend to the text."
    )
    layers: int = Field(default=1, ge=1, description="Blocks at each resolution.")
    heads: int = Field(default=8, ge=1, description="Attention heads.")
    norm_groups: int = Field(default=16, ge=1, description="Groups of the group norms.")
    steps: int = Field(default=4000, ge=1, description="Optimiser steps.")
    batch_size: int = Field(default=64, ge=1, description="Edits a step, over all processes.")
    weight_decay: float = Field(
        default=0.01, ge=0, description="Peak learning rate of all weights, by AdamW."
    )
    warmup: float = Field(default=0.03, ge=0, le=1, description="Share of the steps that warm up.")
    average: float | None = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="Decay of the running average of the weights that is kept; none: the last.",
    )
    text_dropout: float = Field(
        default=0.05, ge=0, le=1, description="Share of edits trained without the text."
    )
    image_dropout: float = Field(
        default=0.05, ge=0, le=1, description="Share of edits trained without the reference."
    )
    both_dropout: float = Field(
        default=0.05, ge=0, le=1, description="Share of edits trained without both."
    )

    @model_validator(mode="after")
    def _fits(self) -> DenoiserSettings:
        if len(self.attention) != len(self.channels):
            raise ValueError("attention needs one value for each of channels")
        for width in self.channels:
            if width % self.norm_groups or width % self.heads:
                raise ValueError(f"norm_groups and heads must divide every width, such as {width}")
        if self.text_dropout + self.image_dropout + self.both_dropout > 1:
            raise ValueError("the three dropouts must not exceed 1 together")
        return self


class EditorRecipe(RunSettings):
    """Training an editor of our own: an InstructPix2Pix on triplets."""

    command: Literal["train-editor"] = Field(
        default="train-editor", description="The command it is for."
    )
    text_tower: str = Field(
        description="Model whose text tower reads the texts, and whose image tower chooses targets."
    )
    start: str | None = Field(
        default=None,
        description="Editor of our own kind to start from, by name or folder: its latents are kept,"
        " and its denoiser must have the sizes of this recipe. None: random weights.",
    )
    image_size: int = Field(default=64, ge=16, description="Side of the pictures, in pixels.")
    mirror: bool = Field(
        default=True,
        description="Mirror half of the edits. False where texts name left and right.",
    )
    nearest_targets: int = Field(
        default=3,
        ge=0,
        description="Sample the target from this many right answers, the most similar to the"
        " reference; 0 takes the triplet's own target.",
    )
    autoencoder: AutoencoderSettings = Field(
        default=AutoencoderSettings(), description="Pixels to latents and back."
    )
    denoiser: DenoiserSettings = Field(default=DenoiserSettings(), description="The diffusion.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="dtype of matrix products; weights stay float32."
    )
    checkpoint_minutes: float = Field(default=5.0, gt=0, description="Between checkpoints.")

    @model_validator(mode="after")
    def _divides(self) -> EditorRecipe:
        step = self.autoencoder.patch_size * 2 ** (len(self.denoiser.channels) - 1)
        if self.image_size % step:
            raise ValueError(f"image_size must be a multiple of {step} for these resolutions")
        return self


def load_editor_recipe(source: str | Path, overrides: Sequence[str] = ()) -> EditorRecipe:
    """Read a recipe for an editor and check all of it; see ``load_settings``.

    Raises:
        TMCIRError: The recipe is unknown, for another command, or has errors; all are named.
    """
    return load_settings(EditorRecipe, source, overrides)


def load_generate_recipe(source: str | Path, overrides: Sequence[str] = ()) -> GenerateRecipe:
    """Read a recipe for pseudo-targets and check all of it; see ``load_settings``.

    Raises:
        TMCIRError: The recipe is unknown, for another command, or has errors; all are named.
    """
    return load_settings(GenerateRecipe, source, overrides)
