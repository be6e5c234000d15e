"""Means over few seeds, and differences between two cells, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Literal

from scipy.stats import t as student
from torch import Tensor

from tmcir.evaluation.bootstrap import LEVEL, interval, resampled_differences

Verdict = Literal["better", "worse", "within noise"]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds.

    Attributes:
        value: The mean.
        low: Low end of its 95% interval by Student's t; None with one seed.
        high: High end.
        values: The value of each seed.
    """

    value: float
    low: float | None
    high: float | None
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference of two cells in one figure, in percent.

    Attributes:
        difference: Mean difference over the seeds that both have.
        low: Low end of its 95% interval, by the bootstrap over seeds and clusters of queries.
        high: High end.
        verdict: ``better`` or ``worse`` where the interval excludes zero, else ``within noise``;
            None from one seed, whose interval lacks the variance of training.
    """

    difference: float
    low: float
    high: float
    verdict: Verdict | None


def mean_over_seeds(values: Sequence[float], level: float = LEVEL) -> Mean:
    """Return the mean and its interval by Student's t."""
    middle = mean(values)
    if len(values) < 2:
        return Mean(middle, None, None, tuple(values))
    half = student.ppf((1 + level) / 2, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return Mean(middle, float(middle - half), float(middle + half), tuple(values))


def compare(differences: Sequence[Tensor], clusters: Sequence[Tensor] | None = None) -> Comparison:
    """Compare two cells by their paired differences.

    Args:
        differences: For each task float64 [S, Q], a measure of the cell minus that of the other,
            of the same seeds and the same queries.
        clusters: For each task long [Q], the cluster of each query; see ``resampled_differences``.
    """
    total = [task.mean().item() for task in differences]
    samples = resampled_differences(differences, clusters)
    low, high = (end.item() for end in interval(samples[:, None]))
    verdict: Verdict | None = "better" if low > 0 else "worse" if high < 0 else "within noise"
    if len(differences[0]) < 2:
        verdict = None
    return Comparison(100 * mean(total), 100 * low, 100 * high, verdict)
