"""A method's settings in a recipe are those that its class declares; errors name the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.test_recipe import write
from tmcir.core.errors import TMCIRError
from tmcir.models.fusion import FusionSettings
from tmcir.training.recipe import Recipe, load_recipe


def test_a_recipe_says_which_method_and_its_settings(tmp_path: Path) -> None:
    path = write(tmp_path / "trial.yaml")
    assert load_recipe(path).model.method is None  # the source keeps its own
    method = load_recipe(path, ["model.method=tmcir"]).model.method
    assert (method.name, method.settings) == ("tmcir", FusionSettings().model_dump())
    assert load_recipe(path, ["model.method.kappa=2"]).model.method.settings["kappa"] == 2
    for overrides in (
        ["model.method.name=combiner", "model.method.dropout=0.2"],
        ["model.method={name: combiner, dropout: 0.2}"],
    ):
        method = load_recipe(path, overrides).model.method
        expected = {"projection_size": None, "hidden_size": None, "dropout": 0.2}
        assert (method.name, method.settings) == ("combiner", expected)
        assert method.model_dump() == {"name": "combiner", **expected}
    assert load_recipe(path, ["model.method=tirg"]).model.method.name == "tirg"


def test_settings_are_read_as_the_types_that_they_are(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path / "trial.yaml"), ["model.method={kappa: 1, threshold: 0}"])
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert isinstance(recipe.model.method.settings["threshold"], float)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.method=combine"], "model.method: unknown method 'combine': did you mean 'comb"),
        (["model.method={gate_weight: 0.5}"], "model.method.gate_weight: unknown setting"),
        (
            ["model.method={name: combiner, dropot: 1}"],
            "model.method.dropot: unknown setting, did you mean 'dropout'?",
        ),
        (["model.method={name: tirg, hidden_size: 3}"], "valid: gate_weight, residual_w"),
        (["model.method={name: combiner, dropout: 1.0}"], "model.method.dropout: .*less than 1"),
        (["model.method={name: weighted-sum, weight: 1.1}"], "less than or equal to 1"),
        (["model.method={name: pic2word, prompt: a photo}"], "model.method.prompt: .*match"),
        (["model.method.position=false"], "did you mean 'positions'?"),
        (["model.method.match_temperature=0"], "greater than 0"),
        (["model.method.threshold=2"], "less than or equal to 1"),
        (["stages.tune={}"], "stages.tune is for method weighted-sum: set model.method"),
        (["stages.tune={}", "model.method=tmcir"], "is for method weighted-sum, not tmcir"),
        (["stages.invert={}", "model.method=tirg"], "stages.invert is for method pic2word"),
        (["stages=null"], "stages"),
        (["stages={}"], "give at least one of align, invert, fuse and tune"),
    ],
)
def test_what_is_wrong_with_a_method_is_named(
    tmp_path: Path, overrides: list[str], expected: str
) -> None:
    with pytest.raises(TMCIRError, match=expected) as caught:
        load_recipe(write(tmp_path / "trial.yaml"), overrides)
    assert "\n" not in str(caught.value)


def test_errors_of_methods_are_named_together_with_others(tmp_path: Path) -> None:
    overrides = ["model.method={name: combiner, dropot: 1, hidden_size: 0}", "seed=-1"]
    with pytest.raises(TMCIRError) as caught:
        load_recipe(write(tmp_path / "trial.yaml"), [*overrides, "stages.fuse.epoch=1"])
    for part in ("method.dropot", "method.hidden_size", "seed", "stages.fuse.epoch"):
        assert part in str(caught.value)


def test_inversion_has_the_settings_of_the_paper(tmp_path: Path) -> None:
    recipe = load_recipe(
        write(tmp_path / "trial.yaml", stages={"invert": {}}), ["model.method=pic2word"]
    )
    stage = recipe.stages.invert
    assert stage is not None and recipe.stages.fuse is None
    assert (stage.learning_rate, stage.weight_decay, stage.symmetric) == (1e-4, 0.1, True)
    assert stage.tower_learning_rate == 0
