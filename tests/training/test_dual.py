"""Training over a dual encoder: frozen parts are encoded once, heads have a rate of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import tmcir
from tests.tiny import FUSION, METHODS
from tests.tiny_encoders import SIDE, save_bert, save_vision
from tests.training.test_run import write_recipe
from tmcir.core.errors import TMCIRError
from tmcir.training import load_recipe, train
from tmcir.training.fitting import parameter_groups
from tmcir.training.recipe import FuseSettings

pytestmark = pytest.mark.slow

HEADS = {
    "embedding_size": 16,
    "image_hidden": 16,
    "attention_width": 16,
    "text_hidden": 16,
    "text_length": 12,
}


@pytest.fixture
def photos(catalogue: Path) -> list[Path]:
    return sorted((catalogue / "images").iterdir())[:4]


@pytest.fixture
def dual(tmp_path: Path) -> dict[str, Any]:
    image, text = save_vision(tmp_path / "image", "vit"), save_bert(tmp_path / "text")
    return {"image": str(image), "text": str(text), "image_size": SIDE, "levels": 1, **HEADS}


@pytest.mark.parametrize(
    ("stage", "trained"),
    [
        ({"tower_learning_rate": 0.0, "views": 2}, {"image_head", "text_head"}),
        ({"tower_learning_rate": 0.0, "head_learning_rate": 0.0, "views": 1}, set()),
        ({"frozen_stages": 1, "views": 2}, {"image_head", "text_head", "text"}),
        ({"lora": {"rank": 2}}, {"image_head", "text_head", "text", "image"}),
    ],
)
def test_a_run_trains_what_is_not_frozen(
    catalogue: Path,
    tmp_path: Path,
    dual: dict[str, Any],
    stage: dict[str, Any],
    trained: set[str],
) -> None:
    path = write_recipe(
        tmp_path / "run.yaml",
        catalogue,
        model={"dual": {**dual, "vocabulary_size": 1}, "method": FUSION},
        stages={"align": {"epochs": 1, "batch_size": 32}, "fuse": {"epochs": 1, "batch_size": 32}},
    )
    recipe = load_recipe(path, [f"stages.fuse={stage | {'epochs': 2, 'batch_size': 32}}"])
    folder = train(recipe)
    before = tmcir.load(folder.parent / "align" / "model", device="cpu").state_dict()
    after = tmcir.load(folder, device="cpu").state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert {key.split(".")[1] for key in changed if key.startswith("encoder.")} - {
        "scale"
    } == trained
    assert any(key.startswith("composer.") for key in changed)


def test_views_need_something_frozen(catalogue: Path, tmp_path: Path, dual: dict[str, Any]) -> None:
    path = write_recipe(tmp_path / "run.yaml", catalogue, model={"dual": dual})
    with pytest.raises(TMCIRError, match="tower_learning_rate to 0 or set frozen_stages"):
        load_recipe(path, ["stages.fuse.views=2"])


def test_a_clip_cannot_be_frozen_in_parts(catalogue: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path / "run.yaml", catalogue)
    with pytest.raises(TMCIRError, match="'clip' cannot be frozen in parts"):
        train(load_recipe(path, ["stages.align.frozen_stages=1"]))


def test_heads_have_a_rate_of_their_own(dual: dict[str, Any]) -> None:
    from tmcir.models import TMCIR
    from tmcir.models.encoders.dual import DualEncoder, DualSource

    model = TMCIR(DualEncoder.from_parts(DualSource(**dual), []), "tmcir", FUSION)
    settings = FuseSettings(
        learning_rate=0.1, tower_learning_rate=0.01, head_learning_rate=0.05, weight_decay=0.5
    )
    rates = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in parameter_groups(model, settings)
        for parameter in group["params"]
    }
    assert len(rates) == len(list(model.parameters()))
    encoder = model.encoder
    assert rates[id(encoder.text_head.tokens.weight)] == (0.05, 0.5)
    assert rates[id(encoder.text_head.tokens.bias)] == (0.05, 0.0)
    assert rates[id(encoder.text.embeddings.word_embeddings.weight)] == (0.01, 0.5)
    assert rates[id(encoder.logit_scale)] == (0.1, 0.0)
    assert rates[id(model.get_parameter("composer.output.weight"))] == (0.1, 0.5)


@pytest.mark.parametrize(
    ("method", "trains_method"), [("tmcir", True), ("tmcir", False), ("gate", True)]
)
def test_all_that_is_trained_gets_a_gradient(
    dual: dict[str, Any], photos: list[Path], method: str, trains_method: bool
) -> None:
    """Several processes would wait for one that never comes."""
    from tmcir.models import TMCIR
    from tmcir.models.encoders.dual import DualEncoder, DualSource

    model = TMCIR(DualEncoder.from_parts(DualSource(**dual), []), method, METHODS[method])
    model.composer.requires_grad_(trains_method)
    parameter_groups(model, FuseSettings())
    image = model.encoder.image_features(model.preprocess(photos))
    text = model.encoder.text_features(model.encoder.tokenize(["in red"] * len(photos)))
    query = model(image, text).query if trains_method else text.pooled
    ((query @ image.pooled.T) * model.encoder.logit_scale.exp()).diagonal().sum().backward()
    named = model.named_parameters()
    assert [name for name, one in named if one.requires_grad and one.grad is None] == []
