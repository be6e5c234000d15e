"""Groups of settings that every recipe is made of."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """A group of settings: unknown ones are errors, and none changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OptimiserSettings(Settings):
    """How weights are optimised, by AdamW, in the one training loop."""

    learning_rate: float = Field(default=5e-4, gt=0, description="Peak learning rate.")
    weight_decay: float = Field(default=0.05, ge=0, description="Of matrices; AdamW.")
    warmup: float = Field(default=0.05, ge=0, le=1, description="Share of the steps that warm up.")
    max_gradient_norm: float = Field(default=1.0, gt=0, description="Gradients are clipped to it.")
    average: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Decay of a running average of the weights, which is validated and kept, such"
        " as 0.999; none: the weights themselves.",
    )


class RecipeSettings(Settings):
    """What every recipe has, whatever it is a recipe for."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Names the run.")
    description: str = Field(default="", description="One line for `tmcir recipes`.")
    output: Path | None = Field(default=None, description="Folder of the run; runs/{name}.")

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.output or Path("runs") / self.name
