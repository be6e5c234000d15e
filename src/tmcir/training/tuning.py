"""Stage tune: the weight of a weighted sum, chosen on the validation split without gradients."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tmcir.core.files import write_text
from tmcir.core.json_files import read_json
from tmcir.data.dataset import Dataset
from tmcir.models.baselines.weighted_sum import WeightedSum
from tmcir.models.tmcir import TMCIR
from tmcir.runs.checkpoint import TrainingState

TUNE = "tune"
SCORES = "scores.json"

Scores = tuple[str, list[tuple[float, float]]]
"""The name of a score, and its value for each weight tried; higher is better."""

ScoreWeights = Callable[[TMCIR, Dataset, int], Scores]
"""Scores evenly spaced weights of a weighted sum, as many as asked for, on a dataset."""


def tune(model: TMCIR, score: Callable[[], Scores], folder: Path) -> TrainingState:
    """Set the model's weight to the one with the best score; return a line about it.

    Ties go to the weight nearest to 0.5, the plain sum. A grid search suits a single number, and it
    optimises the validation score itself; a gradient would optimise the training loss.

    Args:
        model: Its method is a weighted sum; its weight is changed in place.
        score: Scores the weights; not called where ``folder`` has the scores of a run before.
        folder: Gets the scores.
    """
    assert isinstance(model.composer, WeightedSum)
    file = folder / SCORES
    if not file.exists():
        metric, scores = score()
        write_text(file, json.dumps({"metric": metric, "scores": scores}, indent=2) + "\n")
    content = read_json(file)
    ranked = [(value, -abs(weight - 0.5), weight) for weight, value in content["scores"]]
    value, _, weight = best = max(ranked)
    model.composer.weight.fill_(weight)
    return TrainingState(
        step=len(ranked),
        metric=content["metric"],
        best_score=value,
        best_step=ranked.index(best) + 1,
    )
