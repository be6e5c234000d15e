"""The settings of a training run: what to train on what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tmcir.data.settings import RunSettings
from tmcir.models.encoders.dual import DualSource
from tmcir.models.preprocessing import Fit
from tmcir.runs.recipes import load_settings
from tmcir.runs.settings import OptimiserSettings, Settings
from tmcir.training.methods import MethodSettings


class TowerSettings(Settings):
    """A small CLIP that is trained from scratch, with its own tokenizer."""

    image_size: int = Field(default=128, ge=16, description="Side of the input, in pixels.")
    patch_size: int = Field(default=16, ge=4, description="Side of a patch, in pixels.")
    fit: Fit = Field(
        default="crop",
        description="How images are made square: crop, pad (white), targetpad, or stretch.",
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


class ModelSettings(Settings):
    """Where the towers come from, and how queries are composed over them."""

    source: str | None = Field(
        default=None, description="Model directory, or folder or hub id of a CLIP, to start from."
    )
    build: TowerSettings | None = Field(default=None, description="Towers built from scratch.")
    dual: DualSource | None = Field(
        default=None, description="A pretrained image backbone and text model with new heads."
    )
    image_size: int | None = Field(
        default=None,
        ge=16,
        description="Side of the images that a source reads, in pixels, where it is not the"
        " source's own: position embeddings are interpolated.",
    )
    fit: Fit | None = Field(
        default=None,
        description="How a source's images are made square, where it is not the source's own:"
        " crop, pad (white), targetpad (CLIP4Cir's, ratio 1.25), or stretch.",
    )
    method: MethodSettings | None = Field(
        default=None,
        description="A new method over the towers: a name, or a name with settings. None: keep the"
        " source's own method with its weights, or tmcir over new towers.",
    )
    files: Literal["float32", "float16"] = Field(
        default="float32",
        description="Of the matrices in the run's model directory; float16 halves it, and loads as"
        " float32.",
    )

    @field_validator("method", mode="before")
    @classmethod
    def _by_name(cls, method: Any) -> Any:
        return {"name": method} if isinstance(method, str) else method

    @model_validator(mode="after")
    def _one_of(self) -> ModelSettings:
        if [self.source, self.build, self.dual].count(None) != 2:
            raise ValueError("give one of source, build and dual")
        if self.source is None and (self.image_size, self.fit) != (None, None):
            raise ValueError("image_size and fit are for a source; build and dual have their own")
        if self.image_size is not None and self.method is None:
            raise ValueError(
                "image_size changes the number of image tokens, which the source's own method"
                " counts: set model.method, such as tmcir"
            )
        return self


class LoraSettings(Settings):
    """Low-rank adapters on the towers' attention instead of full fine-tuning."""

    rank: int = Field(default=16, ge=1, description="Rank of the adapters.")
    alpha: int = Field(default=16, ge=1, description="Scale of the adapters.")


class StageSettings(OptimiserSettings):
    """How a stage is trained."""

    epochs: int = Field(default=10, ge=1, description="Passes over the samples.")
    batch_size: int = Field(default=128, ge=2, description="Pairs a step, over all processes.")
    micro_batch_images: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of images whose activations a process keeps at once; the result"
        " stays the same. None: those of the whole batch.",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Keep only the inputs of the towers' layers, and compute the rest again for the"
        " gradients: a fraction of the memory for about a third more time.",
    )
    learning_rate: float = Field(
        default=5e-4, gt=0, description="Peak learning rate of the method."
    )
    tower_learning_rate: float | None = Field(
        default=None,
        ge=0,
        description="Peak learning rate of the towers; none: as learning_rate, 0: frozen.",
    )
    head_learning_rate: float | None = Field(
        default=None,
        ge=0,
        description="Peak learning rate of dual-encoder heads; none: as learning_rate, 0: frozen.",
    )
    frozen_stages: int = Field(
        default=0,
        ge=0,
        description="First stages of a dual encoder's image backbone that stay frozen while the"
        " rest of the towers is trained: of an EfficientNet-Lite up to 7, of others 1 for all.",
    )
    frozen_depthwise: bool = Field(
        default=False,
        description="Freeze the depthwise kernels of an EfficientNet-Lite, whose gradients are"
        " most of a step's time on a CPU.",
    )
    frozen_text_layers: int = Field(
        default=0,
        ge=0,
        description="First layers of a dual encoder's text model that stay frozen, with its word"
        " embeddings.",
    )
    frozen_tokens: bool = Field(
        default=False,
        description="For frozen towers and methods that read no tokens: freeze what makes image"
        " tokens, and keep of an encoded view only what its pooled embedding needs, which is a"
        " fraction of the memory and of the time of a step.",
    )
    min_crop: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Minimum side of a random crop, as a share of the image's; 1: no crops.",
    )
    mirror: bool = Field(
        default=True,
        description="Mirror half of the images. False where texts name left and right.",
    )
    views: int | None = Field(
        default=None,
        ge=1,
        description="Frozen towers or frozen_stages only. Encode each image once as `views` views"
        " (the whole image plus views - 1 random crops) and sample one per step; none: encode new"
        " crops in every step.",
    )
    symmetric: bool = Field(description="Both directions of InfoNCE; False: from left to right.")
    lora: LoraSettings | None = Field(default=None, description="Adapters on the towers.")
    evaluate_every: int = Field(
        default=1, ge=0, description="Epochs between validations; 0 keeps the last weights."
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="Stop after this many validations without a better score; none: never.",
    )

    @model_validator(mode="after")
    def _views_of_frozen_towers(self) -> StageSettings:
        frozen = self.tower_learning_rate == 0 or self.frozen_stages > 0
        if self.views is not None and (not frozen or self.lora is not None):
            raise ValueError(
                "views need a frozen image tower: set tower_learning_rate to 0 or set"
                " frozen_stages, and set lora to none; or remove views"
            )
        if self.frozen_tokens and (self.views is None or self.tower_learning_rate != 0):
            raise ValueError("frozen_tokens needs tower_learning_rate: 0 and views")
        return self


class AlignSettings(StageSettings):
    """Stage 1, METHOD.md section 3."""

    symmetric: bool = Field(default=False, description="False is equation (1), as in the paper.")
    pairs: Literal["captions", "pseudo-targets", "targets", "references"] = Field(
        default="captions",
        description="What the texts are paired with: photos and their captions; or modification"
        " texts with what `tmcir generate` drew (the paper), with the real targets, or with the"
        " unedited references (both for comparison).",
    )
    pseudo_targets: Path | None = Field(
        default=None,
        description="Folder that `tmcir generate` wrote; the comparisons need it, too, for the"
        " same texts.",
    )
    caption_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of photos with captions that are mixed in.",
    )

    @model_validator(mode="after")
    def _has_pairs(self) -> AlignSettings:
        if (self.pairs == "captions") != (self.pseudo_targets is None):
            raise ValueError(
                "pseudo_targets is needed for every kind of pairs but captions, and only for those"
            )
        if self.pairs == "captions" and self.caption_share:
            raise ValueError("caption_share mixes captions with other pairs: leave it at 0")
        return self


class InvertSettings(StageSettings):
    """Textual inversion on images alone, with the settings of Pic2Word."""

    learning_rate: float = Field(
        default=1e-4, gt=0, description="Peak learning rate of the mapping."
    )
    tower_learning_rate: float | None = Field(
        default=0.0, ge=0, description="Peak learning rate of the towers; Pic2Word freezes them."
    )
    weight_decay: float = Field(default=0.1, ge=0, description="Of matrices; AdamW.")
    symmetric: bool = Field(default=True, description="Both directions of InfoNCE, as in Pic2Word.")


class FuseSettings(StageSettings):
    """Stage 2, METHOD.md section 4."""

    symmetric: bool = Field(default=True, description="True is equation (4).")
    reference_as_negative: bool = Field(
        default=True, description="The reference is one more negative of its own query."
    )
    subset_negatives: int = Field(
        default=0,
        ge=0,
        description="Members of a query's image set (CIRR) that are further negatives of it,"
        " sampled per step; each is one more image to encode.",
    )
    caption_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of an InfoNCE between targets and their captions beside equation (4),"
        " so that a text alone keeps finding what it describes.",
    )


class TuneSettings(Settings):
    """Choosing the weight of a weighted sum, without gradients."""

    values: int = Field(default=21, ge=2, description="Weights tried, evenly from 0 to 1.")


class Stages(Settings):
    """The stages to train, in this order; those that a recipe does not name are skipped."""

    align: AlignSettings | None = Field(default=None, description="Stage 1.")
    invert: InvertSettings | None = Field(
        default=None, description="Images as words of a sentence; for method pic2word."
    )
    fuse: FuseSettings | None = Field(default=None, description="Stage 2.")
    tune: TuneSettings | None = Field(
        default=None,
        description="The weight with the best validation score; for method weighted-sum.",
    )

    @model_validator(mode="after")
    def _any(self) -> Stages:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("give at least one of align, invert, fuse and tune")
        return self


class Recipe(RunSettings):
    """A whole training run."""

    command: Literal["train"] = Field(default="train", description="The command it is for.")
    model: ModelSettings = Field(description="The model.")
    stages: Stages = Field(description="The stages.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="dtype of matrix products; weights stay float32."
    )
    checkpoint_minutes: float = Field(default=5.0, gt=0, description="Between checkpoints.")
    image_memory: int = Field(
        default=4 * 1024**3,
        ge=0,
        description="Maximum bytes in memory of decoded images, of encoded ones, and of texts.",
    )

    @model_validator(mode="after")
    def _stages_of_the_method(self) -> Recipe:
        for stage, method in (("invert", "pic2word"), ("tune", "weighted-sum")):
            if getattr(self.stages, stage) is None:
                continue
            chosen = self.model.method
            if chosen is None or chosen.name != method:
                own = "" if chosen is None else f", not {chosen.name}"
                raise ValueError(
                    f"stages.{stage} is for method {method}{own}: set model.method to {method}"
                )
        return self


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a training recipe and check all of it; see ``load_settings``.

    Raises:
        TMCIRError: The recipe is unknown, for another command, or has errors; all are named.
    """
    return load_settings(Recipe, source, overrides)
