"""The composition before and after the quickstart's training, and other ways beside it."""

from __future__ import annotations

from dataclasses import dataclass

from tmcir.core.progress import Progress
from tmcir.data.dataset import Dataset
from tmcir.evaluation import Metric, Report, embed, score
from tmcir.evaluation.bootstrap import interval, resampled_differences
from tmcir.evaluation.embedding import Embeddings, recompose
from tmcir.evaluation.scoring import measure_queries
from tmcir.models.tmcir import TMCIR

BEFORE, AFTER, SHIPPED = "before", "after", "shipped"
UNTRAINED = "sum"  # of a new method, see ``Composer``
BASELINES = ("image", "text")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures before and after training, on the same queries.

    Attributes:
        reports: Of ``after``, ``before``, ``shipped``, and the baselines over the trained towers.
        gain: After minus before of the headline metric, in points, paired by query.
    """

    reports: tuple[Report, ...]
    gain: Metric

    @property
    def verdict(self) -> str:
        """Whether the training helped, in words."""
        if self.gain.low > 0:
            return "better beyond noise"
        return "worse beyond noise" if self.gain.high < 0 else "within noise"


def compare(
    shipped: TMCIR, after: TMCIR, dataset: Dataset, progress: Progress | None = None
) -> Comparison:
    """Evaluate both models on one dataset, each image encoded once a model.

    Before the training, the new composition over the towers of ``shipped`` was their plain sum.

    Args:
        shipped: The model whose towers the training started from, with a composition of its own.
        after: The trained model.
        dataset: A split that neither was trained on.
        progress: Called after every batch of images.
    """
    tasks = dataset.tasks()
    own = embed(shipped, dataset, tasks, progress=progress)
    first = recompose(own, tasks, UNTRAINED)
    last = embed(after, dataset, tasks, progress=progress)
    reports = [
        score(last, dataset, model=after.name, method=AFTER),
        score(first, dataset, model=shipped.name, method=BEFORE),
        score(own, dataset, model=shipped.name, method=SHIPPED),
    ]
    for method in BASELINES:
        composed = recompose(last, tasks, method)
        reports.append(score(composed, dataset, model=after.name, method=method))
    return Comparison(tuple(reports), _gain(first, last, dataset, reports[0].headline))


def _gain(first: Embeddings, last: Embeddings, dataset: Dataset, headline: str) -> Metric:
    pairs = zip(measure_queries(first, dataset), measure_queries(last, dataset), strict=True)
    differences = [
        100 * (new[headline] - old[headline]).double()[None] for (_, old), (_, new) in pairs
    ]  # [1, Q] a task
    low, high = interval(resampled_differences(differences)[:, None])
    mean = sum(float(one.mean()) for one in differences) / len(differences)
    return Metric(mean, float(low), float(high))
