"""The settings of adaptive token fusion."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tmcir.models.composer import ComposerSettings

GateKind = Literal["channel", "scalar", "none"]
"""How finely the gate weighs the pooled embeddings."""


class FusionSettings(ComposerSettings):
    """Adaptive token fusion, METHOD.md section 4.

    The settings from ``merge`` on remove single parts of the method, for ablations.
    """

    hidden_size: int = Field(default=256, ge=8, description="Width of the fusion layers.")
    layers: int = Field(default=2, ge=1, description="Number of fusion layers.")
    heads: int = Field(default=4, ge=1, description="Attention heads; must divide hidden_size.")
    kappa: float = Field(default=1.0, description="theta = mean + kappa * std of similarities.")
    merge_temperature: float = Field(default=0.1, gt=0, description="tau_m of equation (3).")
    merge: bool = Field(default=True, description="False keeps every token.")
    threshold: float | None = Field(
        default=None, ge=-1, le=1, description="A fixed theta; none: by kappa."
    )
    match_temperature: float | None = Field(
        default=None, gt=0, description="tau_s of soft matching, such as 0.05; none: hard matching."
    )
    positions: bool = Field(default=True, description="False: no position vectors.")
    types: bool = Field(default=True, description="False: no type vectors.")
    sizes: bool = Field(default=True, description="False: no proportional attention.")
    gate: GateKind = Field(
        default="channel",
        description="One pair of weights a channel, one for all (scalar), or none: both are 1.",
    )
    gate_residual: bool = Field(
        default=False,
        description="True adds a linear map of the gate's hidden layer to the query.",
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Share of dropped activations in the gate."
    )
    pooled_norm: bool = Field(
        default=True, description="False: no layer norm before gate and query token."
    )

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError("heads must divide hidden_size")
        if self.gate == "none" and self.gate_residual:
            raise ValueError(
                "gate_residual needs a gate: remove one of gate_residual and gate: none"
            )
        return self
