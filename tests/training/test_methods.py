"""A method's settings in a recipe are the arguments of its class, and what is wrong is named."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.training.test_recipe import write
from tmcir.core.errors import TMCIRError
from tmcir.models.methods import composer_class, method_names
from tmcir.runs.settings import Settings
from tmcir.training.methods import FusionSettings, MethodSettings, method_arguments
from tmcir.training.recipe import load_recipe

KINDS: dict[str, type[Settings]] = {
    get_args(kind.model_fields["name"].annotation)[0]: kind
    for kind in get_args(get_args(MethodSettings)[0])
}
# Arguments that come from the encoder, and one that nobody has had a reason to change.
NOT_SETTINGS = {
    *("embedding_size", "patches", "text_length", "text_width", "before", "between"),
    "statistics_momentum",
}


def arguments(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {
        one.name: one.default
        for one in parameters
        if one.kind is not one.VAR_KEYWORD and one.name not in (*NOT_SETTINGS, "encoder")
    }


def test_every_method_can_be_named_in_a_recipe() -> None:
    assert list(KINDS) == method_names()


@pytest.mark.parametrize("name", method_names())
def test_settings_are_the_arguments_of_the_class_with_the_same_defaults(name: str) -> None:
    kind = FusionSettings if name == "tmcir" else KINDS[name]
    defaults = {key: field.default for key, field in kind.model_fields.items() if key != "name"}
    method = composer_class(name)
    assert defaults == {**arguments(method), **arguments(method.for_encoder)}


def test_a_recipe_says_which_method_and_its_settings(tmp_path: Path) -> None:
    path = write(tmp_path / "trial.yaml")
    recipe = load_recipe(path)
    found = method_arguments(recipe.model.method, recipe.model.fusion)
    assert found == ("tmcir", FusionSettings().model_dump())
    for overrides in (
        ["model.method.name=combiner", "model.method.dropout=0.2"],
        ["model.method={name: combiner, dropout: 0.2}"],
    ):
        recipe = load_recipe(path, [*overrides, "model.fusion.kappa=2"])
        expected = {"projection_size": None, "hidden_size": None, "dropout": 0.2}
        found = method_arguments(recipe.model.method, recipe.model.fusion)
        assert found == ("combiner", expected)
    assert load_recipe(path, ["model.method=tirg"]).model.method.name == "tirg"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.method=combine"], "model.method: unknown method 'combine': did you mean 'comb"),
        (["model.method={}"], "model.method: say which method with model.method.name"),
        (["model.method={dropout: 0.5}"], "say which method with model.method.name"),
        (
            ["model.method={name: combiner, dropot: 1}"],
            "model.method.dropot: unknown setting, did you mean 'dropout'?",
        ),
        (["model.method={name: tirg, hidden_size: 3}"], "valid: gate_weight, name, residual_w"),
        (["model.method={name: combiner, dropout: 1.0}"], "model.method.dropout: .*less than 1"),
        (["model.method={name: weighted-sum, weight: 1.1}"], "less than or equal to 1"),
        (["model.method={name: pic2word, prompt: a photo}"], "model.method.prompt: .*match"),
        (["model.fusion.position=false"], "did you mean 'positions'?"),
        (["model.fusion.match_temperature=0"], "greater than 0"),
        (["model.fusion.threshold=2"], "less than or equal to 1"),
        (["stages.tune={}"], "stages.tune is for method weighted-sum, not tmcir"),
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
