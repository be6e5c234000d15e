"""Scoring the weights of a weighted sum on a dataset whose labels are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from tmcir.data.dataset import Dataset
from tmcir.evaluation.embedding import embed, recompose
from tmcir.evaluation.scoring import score

if TYPE_CHECKING:
    from tmcir.models.tmcir import TMCIR


def score_weights(
    model: TMCIR, dataset: Dataset, values: int = 21
) -> tuple[str, list[tuple[float, float]]]:
    """Score q = normalise((1 - w) v_0 + w t_0) for weights w from 0 to 1.

    Images and texts are encoded once for all weights.

    Args:
        model: Its towers are used; its own method is not.
        dataset: A split whose labels are known.
        values: Number of weights, evenly spaced, both ends in.

    Returns:
        The name of the dataset's headline metric, and each weight with its value in percent.

    Raises:
        TMCIRError: The labels are hidden, or embeddings are not finite.
        ImageError: Images are missing or broken.
    """
    tasks = dataset.tasks()
    images = embed(model, dataset, tasks, "image")
    texts = recompose(images, tasks, "text")
    # As in `TMCIR.compose`, a blank text asks for no change.
    triplets = {triplet.id: triplet for task in tasks for triplet in task.triplets}
    blank = torch.tensor([not triplets[name].text.strip() for name in texts.query_rows])
    read = images.queries.where(blank[:, None], texts.queries)
    metric, scores = "", []
    for weight in torch.linspace(0, 1, values).tolist():
        queries = functional.normalize((1 - weight) * images.queries + weight * read, dim=-1)
        report = score(replace(images, queries=queries), dataset)
        metric = report.headline
        scores.append((weight, report.score))
    return metric, scores
