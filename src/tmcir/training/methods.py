"""The settings of each composition method in a recipe, ``model.method`` and ``model.fusion``.

A class here names the keyword arguments of the method's own class, with bounds and meanings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tmcir.models.fusion import Gate
from tmcir.models.methods import DEFAULT
from tmcir.runs.settings import Settings


class FusionSettings(Settings):
    """Adaptive token fusion, METHOD.md section 4."""

    hidden_size: int = Field(default=256, ge=8, description="Width of the fusion layers.")
    layers: int = Field(default=2, ge=1, description="Number of fusion layers.")
    heads: int = Field(default=4, ge=1, description="Attention heads.")
    kappa: float = Field(default=1.0, description="theta = mean + kappa * std of similarities.")
    merge_temperature: float = Field(default=0.1, gt=0, description="tau_m of equation (3).")
    merge: bool = Field(default=True, description="False keeps every token.")
    threshold: float | None = Field(
        default=None, ge=-1, le=1, description="A fixed theta; none: by kappa."
    )
    match_temperature: float | None = Field(
        default=None, gt=0, description="tau_s of soft matching, such as 0.05; none: hard."
    )
    positions: bool = Field(default=True, description="False: no position vectors.")
    types: bool = Field(default=True, description="False: no type vectors.")
    sizes: bool = Field(default=True, description="False: no proportional attention.")
    gate: Gate = Field(
        default="channel",
        description="One pair of weights a channel, one for all (scalar), or none: both are 1.",
    )
    pooled_norm: bool = Field(
        default=True, description="False: no layer norm before gate and query token."
    )

    @model_validator(mode="after")
    def _divides(self) -> FusionSettings:
        if self.hidden_size % self.heads:
            raise ValueError("heads must divide hidden_size")
        return self


class TmcirSettings(Settings):
    """The method of this package; its settings are those of ``model.fusion``."""

    name: Literal["tmcir"] = Field(
        default="tmcir", description="Adaptive token fusion; its settings are model.fusion."
    )


class WeightedSumSettings(Settings):
    """A weighted sum of the pooled embeddings."""

    name: Literal["weighted-sum"] = Field(description="A weighted sum; stage tune weighs.")
    weight: float = Field(default=0.5, ge=0, le=1, description="Of the text.")


class TirgSettings(Settings):
    """TIRG, arXiv 1812.07119."""

    name: Literal["tirg"] = Field(description="TIRG, gating and residual.")
    gate_weight: float = Field(default=1.0, description="Where w_g starts.")
    residual_weight: float = Field(default=10.0, description="Where w_r starts.")


class CombinerSettings(Settings):
    """The Combiner of CLIP4Cir, arXiv 2308.11485."""

    name: Literal["combiner"] = Field(description="The Combiner of CLIP4Cir.")
    projection_size: int | None = Field(
        default=None, ge=1, description="Size of both projections; none: 4 D, as in the paper."
    )
    hidden_size: int | None = Field(
        default=None, ge=1, description="Size of the hidden layers; none: 8 D, as in the paper."
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Share of dropped activations.")


class Pic2WordSettings(Settings):
    """Pic2Word, arXiv 2302.03084."""

    name: Literal["pic2word"] = Field(description="Pic2Word, textual inversion.")
    prompt: str = Field(
        default="a photo of * , {text}",
        pattern=r"^[^*{}]*\*[^*{}]*\{text\}$",
        description="The sentence: * is the image's word, {text} the modification at its end."
        " Towers that never read such words do better with `* , {text}`.",
    )
    hidden_size: int = Field(default=512, ge=1, description="Width of the mapping network.")
    layers: int = Field(default=2, ge=1, description="Hidden layers of the mapping network.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Share of dropped activations.")


MethodSettings = Annotated[
    TmcirSettings | WeightedSumSettings | TirgSettings | CombinerSettings | Pic2WordSettings,
    Field(discriminator="name"),
]
"""One method by its name, with its own settings."""


def method_arguments(method: Settings, fusion: FusionSettings) -> tuple[str, dict[str, Any]]:
    """Return a method's name and the keyword arguments of its class."""
    arguments = method.model_dump()
    name = str(arguments.pop("name"))
    return name, fusion.model_dump() if name == DEFAULT else arguments
