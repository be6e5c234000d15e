"""Confidence intervals of means over queries, by the percentile bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0

# Weights held at once: 32 MB of float64.
_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure over queries, in percent unless it says otherwise, and its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.1f}, {self.high:.1f}]"


def resampled_means(values: Tensor, resamples: int = RESAMPLES, seed: int = SEED) -> Tensor:
    """Return the means of random samples of the queries, drawn with replacement.

    Measures of one call share their samples, so differences and averages of their means keep
    the measures' correlation.

    Args:
        values: float64 [Q, M], M measures of Q queries; Q >= 1.
        resamples: B, the number of samples.
        seed: Fixes the samples.

    Returns:
        float64 [B, M].
    """
    queries = len(values)
    generator = torch.Generator().manual_seed(seed)
    means = []
    step = max(1, _CELLS // queries)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = torch.randint(queries, (rows, queries), generator=generator)
        # How often each query is in each sample; a sum over queries is then one product.
        cells = (drawn + torch.arange(rows)[:, None] * queries).flatten()  # [rows * Q]
        weights = torch.bincount(cells, minlength=rows * queries).view(rows, queries)
        means.append(weights.double() @ values.double().cpu() / queries)
    return torch.cat(means)


def interval(means: Tensor, level: float = LEVEL) -> tuple[Tensor, Tensor]:
    """Return the ends of the central interval that holds ``level`` of the resampled means.

    Args:
        means: float64 [B, M].
        level: Share in (0, 1).

    Returns:
        Low and high ends, float64 [M] each.
    """
    tail = (1 - level) / 2
    low, high = means.quantile(torch.tensor([tail, 1 - tail], dtype=means.dtype), dim=0)
    return low, high
