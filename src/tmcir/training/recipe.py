"""Recipes: what to train on what, as YAML, checked whole before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tmcir.errors import TMCIRError, unknown_choice


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DatasetSettings(_Settings):
    """Which dataset, and where it lies."""

    name: str = Field(description="As on the command line, such as fashion-iq.")
    root: Path = Field(description="Folder of the dataset.")
    options: dict[str, Any] = Field(
        default={}, description="Further options of the dataset, such as categories or seed."
    )
    skip_broken: bool = Field(
        default=False,
        description="Leave out what has a missing or broken image, instead of stopping.",
    )

    @field_validator("options")
    @classmethod
    def _own_settings(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in ("root", "split"):
            if name in options:
                raise ValueError(
                    f"{name!r} is no option: the root has its own setting, and the"
                    " stages choose the split"
                )
        return options


class TowerSettings(_Settings):
    """A small CLIP that is trained from nothing, with its own tokenizer."""

    image_size: int = Field(default=128, ge=16, description="Side of the input, in pixels.")
    patch_size: int = Field(default=16, ge=4, description="Side of a patch, in pixels.")
    fit: Literal["crop", "pad"] = Field(
        default="crop", description="Cut the centre square, or pad with white to a square."
    )
    stem: Literal["patch", "convolution"] = Field(
        default="convolution", description="How pixels become patch tokens; patch is CLIP's own."
    )
    embedding_size: int = Field(default=256, ge=8, description="Size of the joint space.")
    vision_width: int = Field(default=256, ge=8, description="Width of the image tower.")
    vision_layers: int = Field(default=6, ge=1, description="Layers of the image tower.")
    text_width: int = Field(default=256, ge=8, description="Width of the text tower.")
    text_layers: int = Field(default=4, ge=1, description="Layers of the text tower.")
    heads: int = Field(default=4, ge=1, description="Attention heads of both towers.")
    vocabulary_size: int = Field(default=4096, ge=260, description="Tokens of the tokenizer.")
    text_length: int = Field(default=32, ge=4, description="Longest text, in tokens.")

    @model_validator(mode="after")
    def _divides(self) -> TowerSettings:
        if self.image_size % self.patch_size:
            raise ValueError("patch_size must divide image_size")
        if self.stem == "convolution" and self.patch_size.bit_count() != 1:
            raise ValueError("patch_size must be a power of two for a convolutional stem")
        for name in ("vision_width", "text_width"):
            if getattr(self, name) % self.heads:
                raise ValueError(f"heads must divide {name}")
        return self


class FusionSettings(_Settings):
    """Adaptive token fusion, METHOD.md section 4."""

    hidden_size: int = Field(default=256, ge=8, description="Width of the fusion layers.")
    layers: int = Field(default=2, ge=1, description="Number of fusion layers.")
    heads: int = Field(default=4, ge=1, description="Attention heads.")
    kappa: float = Field(default=1.0, description="theta = mean + kappa * std of similarities.")
    merge_temperature: float = Field(default=0.1, gt=0, description="tau_m of equation (3).")
    merge: bool = Field(default=True, description="False keeps every token.")

    @model_validator(mode="after")
    def _divides(self) -> FusionSettings:
        if self.hidden_size % self.heads:
            raise ValueError("heads must divide hidden_size")
        return self


class ModelSettings(_Settings):
    """Where the towers come from, and the fusion on them."""

    source: str | None = Field(
        default=None, description="Model directory, or folder or hub id of a CLIP, to start from."
    )
    build: TowerSettings | None = Field(default=None, description="Towers built from nothing.")
    fusion: FusionSettings = Field(default=FusionSettings(), description="The fusion.")

    @model_validator(mode="after")
    def _one_of(self) -> ModelSettings:
        if (self.source is None) == (self.build is None):
            raise ValueError("give either source or build")
        return self


class LoraSettings(_Settings):
    """Low-rank adapters on the towers' attention instead of full fine-tuning."""

    rank: int = Field(default=16, ge=1, description="Rank of the adapters.")
    alpha: int = Field(default=16, ge=1, description="Scale of the adapters.")


class StageSettings(_Settings):
    """How a stage is trained."""

    epochs: int = Field(default=10, ge=1, description="Passes over the samples.")
    batch_size: int = Field(default=128, ge=2, description="Pairs a step, over all processes.")
    micro_batch_size: int | None = Field(
        default=None,
        ge=1,
        description="Most pairs in memory at once in a process; the result stays the same.",
    )
    learning_rate: float = Field(default=5e-4, gt=0, description="Peak rate of the fusion.")
    tower_learning_rate: float | None = Field(
        default=None,
        ge=0,
        description="Peak rate of the towers; none: as learning_rate, 0: frozen.",
    )
    weight_decay: float = Field(default=0.05, ge=0, description="Of matrices; AdamW.")
    warmup: float = Field(default=0.05, ge=0, le=1, description="Share of the steps.")
    max_gradient_norm: float = Field(default=1.0, gt=0, description="Gradients are clipped to it.")
    smallest_crop: float = Field(
        default=0.8, gt=0, le=1, description="Smallest random crop, as a share of the side."
    )
    symmetric: bool = Field(description="Both directions of InfoNCE, or from left to right.")
    lora: LoraSettings | None = Field(default=None, description="Adapters on the towers.")
    evaluate_every: int = Field(
        default=1, ge=0, description="Epochs between validations; 0 keeps the last weights."
    )


class AlignSettings(StageSettings):
    """Stage 1, METHOD.md section 3."""

    symmetric: bool = Field(default=False, description="False is equation (1), as in the paper.")


class FuseSettings(StageSettings):
    """Stage 2, METHOD.md section 4."""

    symmetric: bool = Field(default=True, description="True is equation (4).")
    reference_as_negative: bool = Field(
        default=True, description="The reference is one more negative of its own query."
    )


class Stages(_Settings):
    """The stages to train, in this order; one left out is skipped."""

    align: AlignSettings | None = Field(default=None, description="Stage 1.")
    fuse: FuseSettings | None = Field(default=None, description="Stage 2.")

    @model_validator(mode="after")
    def _any(self) -> Stages:
        if self.align is None and self.fuse is None:
            raise ValueError("give align, fuse or both")
        return self


class Recipe(_Settings):
    """A whole training run."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Names the run.")
    description: str = Field(description="One line for `tmcir recipes`.")
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Fixes weights, pairs, texts, order and crops."
    )
    dataset: DatasetSettings = Field(description="The data.")
    model: ModelSettings = Field(description="The model.")
    stages: Stages = Field(description="The stages.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Of the matrix products; weights stay float32."
    )
    checkpoint_minutes: float = Field(default=5.0, gt=0, description="Between checkpoints.")
    image_memory: int = Field(
        default=4 * 1024**3, ge=0, description="Most bytes of decoded images kept in memory."
    )
    output: Path | None = Field(default=None, description="Folder of the run; runs/{name}.")

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.output or Path("runs") / self.name


def recipe_names() -> list[str]:
    """Return the names of the recipes that the package ships."""
    files = resources.files("tmcir.recipes").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and check all of it.

    Args:
        source: Name of a shipped recipe, or path of a YAML file.
        overrides: ``dotted.key=value`` strings; values are read as YAML.

    Raises:
        TMCIRError: The recipe is unknown or has errors; the message names every one of them.
    """
    content = _read(str(source))
    for override in overrides:
        _apply(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise TMCIRError(f"recipe {source}: {problems}") from None


def _read(source: str) -> dict[str, Any]:
    if source in recipe_names():
        text = (resources.files("tmcir.recipes") / f"{source}.yaml").read_text(encoding="utf-8")
    else:
        path = Path(source)
        if path.suffix not in (".yaml", ".yml"):
            raise unknown_choice("recipe", source, recipe_names())
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TMCIRError(f"recipe {source}: {error}") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TMCIRError(f"recipe {source}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise TMCIRError(f"recipe {source}: not a mapping of settings")
    return content


def _apply(content: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise TMCIRError(f"override {override!r}: write key=value, such as stages.fuse.epochs=3")
    *parents, last = key.split(".")
    place = content
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise TMCIRError(f"override {override!r}: {parent!r} is not a group of settings")
        place = inner
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise TMCIRError(f"override {override!r}: the value is not YAML") from None


def _describe(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        valid = _fields_at(problem["loc"][:-1])
        near = get_close_matches(str(problem["loc"][-1]), valid, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(sorted(valid))}"
        return f"{place}: unknown setting, {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    """Return the settings that are valid at a place of the recipe."""
    model: type[BaseModel] = Recipe
    for part in location:
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(
            kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)
        )
    return list(model.model_fields)
