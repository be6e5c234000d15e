"""Interventions on tokens: what changes, and what is as before afterwards."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import build_model, draw_catalogue
from tmcir.data.fashion_products import FashionProducts
from tmcir.evaluation import evaluate
from tmcir.evaluation.interventions import SWAPPED, WITHOUT, measure_interventions, swap_patches
from tmcir.models.features import ImageFeatures


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> FashionProducts:
    return FashionProducts(draw_catalogue(tmp_path_factory.mktemp("products") / "p"), "val")


def test_every_row_gets_the_patches_of_another_image() -> None:
    pooled = torch.tensor([[0.0], [1.0], [1.0], [2.0], [3.0]])
    tokens = pooled[:, None] * 10
    swapped = swap_patches(ImageFeatures(pooled, tokens))
    assert swapped.pooled.equal(pooled)
    # The longest run has two rows, so that all move by two.
    assert swapped.tokens[:, 0, 0].tolist() == [20.0, 30.0, 0.0, 10.0, 10.0]
    assert not (swapped.tokens[:, 0] == tokens[:, 0]).any()


@pytest.mark.slow
def test_a_fusion_whose_output_is_zero_does_not_depend_on_tokens(products: FashionProducts) -> None:
    model = build_model(products)  # W starts at zero
    report = {name: one.value for name, one in evaluate(model, products).overall.metrics.items()}
    assert measure_interventions(model, products) == {SWAPPED: report, WITHOUT: report}


@pytest.mark.slow
def test_the_weights_are_as_before_afterwards(products: FashionProducts) -> None:
    model = build_model(products)
    untrained = evaluate(model, products).overall.metrics
    torch.nn.init.normal_(model.get_parameter("composer.output.weight"))
    before = model.identity
    found = measure_interventions(model, products)
    assert model.identity == before
    assert found[WITHOUT] == {name: one.value for name, one in untrained.items()}
    assert found[SWAPPED] != found[WITHOUT]


def test_a_method_without_tokens_has_none(products: FashionProducts) -> None:
    assert measure_interventions(build_model(products, method="tirg"), products) == {}
