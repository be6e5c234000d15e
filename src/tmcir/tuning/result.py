"""The result of a tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmcir.models.loading import load
from tmcir.models.tmcir import TMCIR


@dataclass(frozen=True, slots=True)
class Tuned:
    """The result of `tune`.

    Attributes:
        output: The model directory: the tuned model, or the start model where tuning did not help.
        page: A page of queries before and after.
        better: Whether the tuned model is better than the start model beyond noise.
        gain: After minus before, mAP@10 in points: value, low and high end of its 95% interval.
        columns: Columns that queries change.
        left_out: Why each of the other columns is not taken.
        reports: Figures on held-out photos: before, after, sum, image alone, text alone.
        products: Products by split.
        seconds: Wall-clock time.
    """

    output: Path
    page: Path
    better: bool
    gain: tuple[float, float, float]
    columns: tuple[str, ...]
    left_out: dict[str, str]
    reports: dict[str, Any]
    products: dict[str, int]
    seconds: float

    @property
    def model(self) -> TMCIR:
        """The model of ``output``, loaded."""
        return load(self.output)


def as_json(tuned: Tuned) -> dict[str, Any]:
    """Return the content as JSON has it."""
    content = {name: getattr(tuned, name) for name in Tuned.__dataclass_fields__}
    return {**content, "output": str(tuned.output), "page": str(tuned.page)}
