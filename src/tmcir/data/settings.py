"""The settings of a recipe that runs on one dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from tmcir.data.dataset import Dataset
from tmcir.data.datasets import open_dataset
from tmcir.runs.settings import RecipeSettings, Settings


class DatasetSettings(Settings):
    """A dataset and its folder."""

    name: str = Field(description="As on the command line, such as fashion-iq.")
    root: Path = Field(description="Folder of the dataset.")
    options: dict[str, Any] = Field(
        default={}, description="Further options of the dataset, such as categories or seed."
    )
    skip_broken: bool = Field(
        default=False,
        description="Skip whatever has a missing or broken image, instead of stopping.",
    )

    def open(self, split: str) -> Dataset:
        """Open a split of it.

        Raises:
            TMCIRError: The dataset, the split or an option is unknown, or the folder lacks a file.
        """
        return open_dataset(self.name, self.root, split, **self.options)

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


class RunSettings(RecipeSettings):
    """The settings of every recipe that runs on one dataset."""

    seed: int = Field(default=0, ge=0, lt=2**32, description="Fixes everything that is random.")
    dataset: DatasetSettings = Field(description="The data.")
