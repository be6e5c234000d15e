"""Figures on held-out photos: before, after, and untrained composers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tmcir.data.catalogue import Catalogue
from tmcir.evaluation import Metric, Report, embed
from tmcir.evaluation.bootstrap import interval, resampled_differences
from tmcir.evaluation.embedding import Embeddings, Encode, recompose
from tmcir.evaluation.scoring import measure_queries, report_of
from tmcir.models.tmcir import TMCIR

BEFORE, AFTER = "before", "after"
BASELINES = {"sum": "sum of both", "image": "image alone", "text": "text alone"}
COLUMNS = ("R@1", "R@10", "mAP@10", "changed@10", "kept@10")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures on the same held-out queries.

    Attributes:
        reports: By name: ``before``, ``after``, and the baselines over the tuned towers.
        gain: After minus before of the headline metric, in points, paired by query.
        before: Embeddings of the model that tuning started from.
        after: Embeddings of the tuned model.
    """

    reports: dict[str, Report]
    gain: Metric
    before: Embeddings
    after: Embeddings

    @property
    def better(self) -> bool:
        """Whether after is better than before beyond noise."""
        return self.gain.low > 0

    @property
    def verdict(self) -> str:
        """Whether tuning helped, in words."""
        if self.better:
            return "better beyond noise"
        return "worse beyond noise" if self.gain.high < 0 else "within noise"

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table of all queries: a name, and the figures of ``COLUMNS``."""
        return [
            (name, *(str(report.overall.metrics[metric]) for metric in COLUMNS))
            for name, report in self.reports.items()
        ]

    def column_rows(self) -> list[tuple[str, ...]]:
        """Return a row for each kind of query: its number, and R@10 and mAP@10 of both models."""
        before, after = (self.reports[name] for name in (BEFORE, AFTER))
        rows = []
        for first, last in zip(before.parts, after.parts, strict=True):
            cells = [
                f"{part.metrics[metric].value:.1f}"
                for metric in ("R@10", "mAP@10")
                for part in (first, last)
            ]
            rows.append((first.name, f"{first.queries:,}", *cells))
        return rows


def compare(
    before: TMCIR,
    after: TMCIR,
    dataset: Catalogue,
    encode: tuple[Encode | None, Encode | None] = (None, None),
) -> Comparison:
    """Measure both models on one dataset.

    Args:
        before: The model that tuning started from.
        after: The tuned model.
        dataset: The held-out split.
        encode: Give the features of photos that each model encoded before; None encodes them.
    """
    tasks = dataset.tasks()
    first = embed(before, dataset, tasks, encode=encode[0])
    last = embed(after, dataset, tasks, encode=encode[1])
    named = {BEFORE: first, AFTER: last}
    named |= {title: recompose(last, tasks, name) for name, title in BASELINES.items()}
    measured = {name: measure_queries(one, dataset) for name, one in named.items()}
    reports = {name: report_of(one, dataset, method=name) for name, one in measured.items()}
    headline = reports[AFTER].headline
    (task, own), (_, others) = measured[AFTER][0], measured[BEFORE][0]
    clusters = _clusters([dataset.cluster_of(triplet) for triplet in task.triplets])
    difference = (own[headline] - others[headline])[None]
    means = resampled_differences([difference], [clusters])
    low, high = interval(means[:, None])
    gain = Metric(100 * difference.mean().item(), 100 * low.item(), 100 * high.item())
    return Comparison(reports, gain, first, last)


def _clusters(names: Sequence[str]) -> torch.Tensor:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names])
