"""Settings of `tmcir tune`, and the training recipe made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tmcir.core.cache_folder import cache_folder
from tmcir.core.errors import TMCIRError
from tmcir.training.recipe import Recipe

WORK = "tuning"
"""Folder of the run in the output folder."""

_BATCH = 512
_RATE = 1e-3
_STEPS = 260
_VALIDATIONS = 13
_PATIENCE = 5  # validations
_VALIDATION_QUERIES = 500
_METHOD = {"name": "gate", "hidden_size": 512, "dropout": 0.3}


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """What to tune on what.

    Attributes:
        photos: Folder of the photos.
        metadata: The table.
        output: Folder that gets the model, a page and the run.
        model: Model directory, name or id to start from.
        key: Column that names the photos; None finds it.
        columns: Columns that queries change; None takes those that photos show.
        group: Column that is the same for all photos of one product.
        bins: Steps by column of numbers.
        phrases: YAML file of texts.
        seed: Fixes all that is random.
        epochs: Passes over the photos; None: as many as about 260 steps are.
        full: Train the towers, too.
        cache: Folder of encoded photos.
    """

    photos: Path
    metadata: Path
    output: Path
    model: str = "mini"
    key: str | None = None
    columns: tuple[str, ...] | None = None
    group: str | None = None
    bins: Mapping[str, int] = field(default_factory=dict)
    phrases: Path | None = None
    seed: int = 0
    epochs: int | None = None
    full: bool = False
    cache: Path = field(default_factory=cache_folder)

    def __post_init__(self) -> None:
        """Check what can be checked without reading anything."""
        if self.epochs is not None and self.epochs < 1:
            raise TMCIRError(f"epochs must be at least 1, not {self.epochs}")
        if self.output.exists() and not self.output.is_dir():
            raise TMCIRError(f"{self.output}: is a file; --output is the folder of the new model")

    @property
    def model_name(self) -> str:
        """What cards and pages call the start model: of a folder its name alone."""
        return Path(self.model).name if Path(self.model).is_dir() else self.model

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.output / WORK

    def options(
        self, columns: Sequence[str] | None = None, skip: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the options of the dataset ``catalogue``, with these columns, without photos."""
        own = self.columns if columns is None else columns
        options: dict[str, Any] = {
            "metadata": str(self.metadata.absolute()),
            "key": self.key,
            "columns": None if own is None else list(own),
            "group": self.group,
            "bins": dict(self.bins) or None,
            "phrases": None if self.phrases is None else str(self.phrases.absolute()),
            "skip": list(skip) or None,
            "seed": self.seed,
        }
        return {name: value for name, value in options.items() if value is not None}

    def recipe(self, options: dict[str, Any], samples: int, has_method: bool) -> Recipe:
        """Return the recipe of the training.

        Args:
            options: Of the dataset.
            samples: Training triplets of an epoch.
            has_method: Whether the model composes by a trained method of its own.
        """
        batch = min(_BATCH, max(2, samples // 2))
        steps = samples // batch
        epochs = self.epochs or max(2, round(_STEPS / steps))
        every = max(1, math.ceil(epochs / _VALIDATIONS))
        frozen = {"tower_learning_rate": 0, "views": 1, "frozen_tokens": True}
        towers = {"tower_learning_rate": 1e-5, "mirror": True} if self.full else frozen
        return Recipe.model_validate(
            {
                "name": "tune",
                "output": self.folder,
                "seed": self.seed,
                "dataset": {
                    "name": "catalogue",
                    "root": self.photos.absolute(),
                    "options": {**options, "queries": _VALIDATION_QUERIES},
                },
                "model": {"source": self.model, **({} if has_method else {"method": _METHOD})},
                "stages": {
                    "fuse": {
                        "epochs": epochs,
                        "batch_size": batch,
                        "learning_rate": _RATE,
                        **towers,
                        "weight_decay": 0.05,
                        "warmup": 0.1,
                        "average": 0.97,
                        "caption_weight": 1.0,
                        "evaluate_every": every,
                        "patience": _PATIENCE,
                    }
                },
                "checkpoint_minutes": 1,
            }
        )
