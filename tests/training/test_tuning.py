from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tiny import build_model
from tmcir.data.fashion_products import FashionProducts
from tmcir.models import TMCIR
from tmcir.runs.checkpoint import TrainingState
from tmcir.training.tuning import Scores, tune


@pytest.fixture
def model(catalogue: Path) -> TMCIR:
    return build_model(FashionProducts(catalogue, "train"), method="weighted-sum")


@pytest.mark.parametrize(
    ("scores", "weight", "number"),
    [
        ([(0.0, 10.0), (0.5, 20.0), (1.0, 15.0)], 0.5, 2),
        ([(0.0, 30.0), (0.5, 20.0), (1.0, 15.0)], 0.0, 1),
        # Of equally good ones the one nearest to the plain sum.
        ([(0.0, 20.0), (0.4, 20.0), (0.7, 20.0), (1.0, 20.0)], 0.4, 2),
    ],
)
def test_the_best_weight_is_taken(
    model: TMCIR, tmp_path: Path, scores: list[tuple[float, float]], weight: float, number: int
) -> None:
    progress = tune(model, lambda: ("R@10", scores), tmp_path / "tune")
    assert model.composer.weight.item() == pytest.approx(weight)
    best = max(score for _, score in scores)
    assert progress == TrainingState(
        step=len(scores), metric="R@10", best_score=best, best_step=number
    )
    content = json.loads((tmp_path / "tune" / "scores.json").read_text())
    assert content == {"metric": "R@10", "scores": [list(pair) for pair in scores]}


def test_scores_that_are_there_are_not_taken_again(model: TMCIR, tmp_path: Path) -> None:
    def fail() -> Scores:
        raise AssertionError("scored again")

    first = tune(model, lambda: ("R@10", [(0.0, 1.0), (0.25, 2.0)]), tmp_path)
    model.composer.weight.fill_(0.9)
    assert tune(model, fail, tmp_path) == first
    assert model.composer.weight.item() == 0.25
