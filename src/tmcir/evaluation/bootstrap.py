"""Confidence intervals of means over queries, by the percentile bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
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
    """A figure over queries and its 95% interval, in percent unless stated otherwise."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.1f}, {self.high:.1f}]"


def resampled_means(values: Tensor, resamples: int = RESAMPLES, seed: int = SEED) -> Tensor:
    """Return the means of bootstrap samples of the queries.

    All measures of a call share their samples, so that differences and averages of their means keep
    the measures' correlation.

    Args:
        values: float64 [Q, M], M measures of Q queries; Q >= 1.
        resamples: B, the number of samples.
        seed: Seed of the samples.

    Returns:
        float64 [B, M].
    """
    queries = len(values)
    generator = torch.Generator().manual_seed(seed)
    means = []
    step = max(1, _CELLS // queries)
    for start in range(0, resamples, step):
        # A sum over the queries of each sample is one product.
        weights = _draw(queries, queries, min(step, resamples - start), generator)
        means.append(weights @ values.double().cpu() / queries)
    return torch.cat(means)


def resampled_differences(
    differences: Sequence[Tensor],
    clusters: Sequence[Tensor] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Tensor:
    """Return means of paired differences over random samples of seeds and of queries.

    Every seed answered the same queries, so both are drawn, each with replacement. Of S seeds S - 1
    are drawn, which makes the variance that they bring unbiased (Rao and Wu, 1988): with S draws
    of 2 or 3 seeds, as the plain bootstrap has it, intervals would be too short by 1 - 1/S. One
    seed alone is drawn always, and the samples then say nothing of other seeds.

    Args:
        differences: For each task float64 [S, Q], of S seeds and the task's Q queries. Tasks count
            alike, independent of their numbers of queries; their samples have the same seeds.
        clusters: For each task long [Q], the cluster of each query, such as its target's caption:
            queries of one cluster succeed or fail together, so clusters are drawn, not queries.
            None: each query is a cluster of its own.
        resamples: B, the number of samples.
        seed: Seed of the samples.

    Returns:
        float64 [B].
    """
    seeds = len(differences[0])
    generator = torch.Generator().manual_seed(seed)
    drawn = max(1, seeds - 1)
    of_seeds = _draw(seeds, drawn, resamples, generator) / drawn  # [B, S]
    total = torch.zeros(resamples, dtype=torch.float64)
    for place, task in enumerate(differences):
        values = task.double().cpu()
        own = torch.arange(task.shape[1]) if clusters is None else clusters[place]
        _, index, sizes = own.unique(return_inverse=True, return_counts=True)
        count = len(sizes)
        sums = torch.zeros(seeds, count, dtype=torch.float64).index_add_(1, index, values)  # [S, C]
        step = max(1, _CELLS // count)
        for start in range(0, resamples, step):
            rows = slice(start, min(start + step, resamples))
            drawn_clusters = _draw(count, count, rows.stop - start, generator)  # [B, C]
            weighted = ((of_seeds[rows] @ sums) * drawn_clusters).sum(dim=1)
            total[rows] += weighted / (drawn_clusters @ sizes.double())
    return total / len(differences)


def _draw(count: int, size: int, samples: int, generator: torch.Generator) -> Tensor:
    """Return how often each of ``count`` is in each sample, float64 [samples, count]."""
    drawn = torch.randint(count, (samples, size), generator=generator)
    cells = (drawn + torch.arange(samples)[:, None] * count).flatten()  # [samples * size]
    return torch.bincount(cells, minlength=samples * count).view(samples, count).double()


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
