"""Scores of weights are those that an evaluation of each weighted sum gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.tiny import build_model, draw_catalogue
from tmcir.data.dataset import Task
from tmcir.data.fashion_products import FashionProducts
from tmcir.evaluation import evaluate, score_weights, validation_score
from tmcir.models import TMCIR


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FashionProducts:
    root = draw_catalogue(tmp_path_factory.mktemp("catalogue") / "products")
    return FashionProducts(root, "val", queries=40)


@pytest.fixture(scope="module")
def model(dataset: FashionProducts) -> TMCIR:
    model = build_model(dataset, method="weighted-sum")
    # Towers that differ in how much they know, so that weights differ in what they bring.
    torch.manual_seed(5)
    torch.nn.init.normal_(model.get_parameter("encoder.clip.text_projection.weight"))
    return model


def test_scores_are_those_of_the_model_with_each_weight(
    dataset: FashionProducts, model: TMCIR
) -> None:
    metric, scores = score_weights(model, dataset, values=5)
    assert [weight for weight, _ in scores] == [0.0, 0.25, 0.5, 0.75, 1.0]
    for weight, value in scores:
        model.composer.weight.fill_(weight)
        assert validation_score(model, dataset) == (metric, value)
    assert len({value for _, value in scores}) > 1


@pytest.mark.slow
def test_the_ends_and_the_middle_are_the_known_baselines(
    dataset: FashionProducts, model: TMCIR
) -> None:
    _, scores = score_weights(model, dataset, values=3)
    for (_, value), method in zip(scores, ("image", "sum", "text"), strict=True):
        report = evaluate(model, dataset, method=method)
        assert (report.score, report.method) == (value, method)


def test_a_report_names_the_method_that_was_used(dataset: FashionProducts, model: TMCIR) -> None:
    for asked in ("model", "weighted-sum"):
        assert evaluate(model, dataset, method=asked).method == "weighted-sum"


class Blank(FashionProducts):
    """Every second text asks for nothing."""

    def tasks(self, protocol: str | None = None) -> list[Task]:
        (task,) = super().tasks(protocol)
        changed = [
            replace(triplet, text=" ") if number % 2 else triplet
            for number, triplet in enumerate(task.triplets)
        ]
        return [replace(task, triplets=changed)]


def test_a_blank_text_asks_for_no_change(dataset: FashionProducts, model: TMCIR) -> None:
    blank = Blank(dataset.root, "val", queries=40)
    metric, scores = score_weights(model, blank, values=3)
    for weight, value in scores:
        model.composer.weight.fill_(weight)
        assert validation_score(model, blank) == (metric, value)
