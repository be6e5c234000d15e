"""Intent accuracy: does a result show what the text asks for, and keep the rest of the reference?

Recall counts every wrong image alike. Where attributes are known, errors have a direction: an image
that keeps everything and changes nothing follows the reference too much; an image that shows the
change and loses the rest follows the text too much (METHOD.md, equation 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tmcir.core.errors import TMCIRError
from tmcir.data.dataset import Dataset, Judgement, Task, Triplet
from tmcir.evaluation.metrics import score_chunks, top
from tmcir.evaluation.protocols import GalleryIndex, Values

LENGTH = 10


def measure_intent(dataset: Dataset, task: Task, queries: Tensor, gallery: Tensor) -> Values:
    """Return changed@10 and kept@10: the means over a query's first ten results.

    Images that cannot be judged leave the ranking, so that each query has ten results (fewer only
    in a smaller gallery). Only these are judged, not the whole gallery.

    Args:
        dataset: Judges the results.
        task: The task.
        queries: float [Q, D].
        gallery: float [G, D].

    Returns:
        Two measures, float64 [Q] each, in [0, 1]; none where no image of the gallery can be
        judged.

    Raises:
        TMCIRError: A query has no result that can be judged, or an embedding is not finite.
    """
    judged = judge_results(dataset, task, queries, gallery, LENGTH)
    if judged is None:
        return {}
    means = [
        (_mean([one.changed for one in found]), _mean([one.kept for one in found]))
        for found in judged
    ]
    changed, kept = torch.tensor(means, dtype=torch.float64).view(-1, 2).unbind(dim=1)
    return {f"changed@{LENGTH}": changed, f"kept@{LENGTH}": kept}


def judge_results(
    dataset: Dataset, task: Task, queries: Tensor, gallery: Tensor, length: int
) -> list[list[Judgement]] | None:
    """Judge the first images of each ranking, the best first.

    Images that cannot be judged leave the ranking.

    Args:
        dataset: Judges the results.
        task: The task.
        queries: float [Q, D].
        gallery: float [G, D].
        length: Results per query; fewer only in a smaller gallery.

    Returns:
        Judgements per query, at least one; None where no image of the gallery can be judged.

    Raises:
        TMCIRError: A query has no result that can be judged, or an embedding is not finite.
    """
    unknown = torch.tensor([not dataset.can_judge(name) for name in task.gallery])
    if bool(unknown.all()):
        return None
    rows: list[list[int]] = []
    for _, scores in score_chunks(queries, gallery, GalleryIndex(task).removed()):
        rows += top(scores.masked_fill_(unknown, -torch.inf), length).tolist()
    results = [[task.gallery[place] for place in row if place >= 0] for row in rows]
    return [_judge(dataset, *pair) for pair in zip(task.triplets, results, strict=True)]


def _judge(dataset: Dataset, triplet: Triplet, results: Sequence[str]) -> list[Judgement]:
    if not results:
        raise TMCIRError(f"query {triplet.id} of {dataset.name} has no result that can be judged")
    return [dataset.judge(triplet, name) for name in results]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
