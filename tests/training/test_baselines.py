"""A tiny run of every method: it learns by the one loop, and its model is measured as any other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tmcir
from tests.commands import run
from tests.tiny import METHODS
from tests.training.test_run import losses, write_recipe
from tmcir.core.errors import TMCIRError
from tmcir.evaluation import Report, score_weights, validation_score
from tmcir.models.methods import method_names
from tmcir.training import load_recipe, train

pytestmark = pytest.mark.slow

FUSE = {"epochs": 10, "batch_size": 32, "learning_rate": 3.0e-3, "evaluate_every": 0}


def model_settings(method: str, source: str | None = None) -> dict[str, Any]:
    from tests.tiny import TOWERS

    towers = {"build": {**TOWERS, "vocabulary_size": 300, "text_length": 12}}
    base = towers if source is None else {"source": source}
    return {**base, "method": {"name": method, **METHODS[method]}}


@pytest.mark.parametrize("method", method_names())
def test_a_method_learns_and_is_measured_on_the_command_line(
    catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    path = write_recipe(
        tmp_path / "run.yaml", catalogue, model=model_settings(method), stages={"fuse": FUSE}
    )
    assert run("train", str(path)) == 0
    curve = losses(tmp_path / "run", "fuse")
    assert sum(curve[-5:]) < 0.95 * sum(curve[:5])
    model = tmp_path / "run" / "model"
    products = ("--dataset", "fashion-products", "--root", str(catalogue), "--split", "val")
    capsys.readouterr()
    assert run("evaluate", str(model), *products, "--json") == 0
    report = Report.from_dict(json.loads(capsys.readouterr().out))
    assert report.method == method
    card = (model / "README.md").read_text()
    assert f'"name": "{method}"' in card and "the method is" in card


def test_a_killed_run_with_dropout_draws_the_same(catalogue: Path, tmp_path: Path) -> None:
    """A run of two parts has the losses of one, because dropout is a function of the step."""
    curves = []
    for name in ("whole", "resumed"):
        stage = {**FUSE, "epochs": 2}
        path = write_recipe(
            tmp_path / f"{name}.yaml",
            catalogue,
            model=model_settings("combiner"),
            stages={"fuse": stage},
        )
        if name == "resumed":
            stop_after(load_recipe(path), steps=2)
        train(load_recipe(path))
        curves.append(losses(tmp_path / name, "fuse"))
    assert curves[0] == curves[1] and len(curves[0]) > 4


def stop_after(recipe: Any, steps: int) -> None:
    """Run a recipe until some steps are done and saved, then fail as a full disk would."""
    from tmcir.training import fitting

    taken = 0
    backward: Callable[..., torch.Tensor] = vars(fitting)["backward"]

    def counted(*arguments: Any) -> torch.Tensor:
        nonlocal taken
        if taken == steps:
            raise KeyboardInterrupt
        taken += 1
        torch.rand(3)  # whatever else draws from torch's own source changes nothing
        return backward(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fitting, "backward", counted)
        train(recipe)


def test_the_paper_s_pic2word_learns_from_images_alone(catalogue: Path, tmp_path: Path) -> None:
    align = {"epochs": 3, "batch_size": 32, "learning_rate": 3.0e-3, "evaluate_every": 0}
    first = write_recipe(
        tmp_path / "towers.yaml", catalogue, model=model_settings("tmcir"), stages={"align": align}
    )
    towers = train(load_recipe(first))
    stage = {"epochs": 12, "batch_size": 32, "learning_rate": 3.0e-3, "evaluate_every": 6}
    path = write_recipe(
        tmp_path / "run.yaml",
        catalogue,
        model=model_settings("pic2word", str(towers)),
        stages={"invert": stage},
    )
    folder = train(load_recipe(path), validation_score)
    curve = losses(tmp_path / "run", "invert")
    assert sum(curve[-5:]) < 0.9 * sum(curve[:5])
    before, after = (tmcir.load(source, device="cpu").state_dict() for source in (towers, folder))
    frozen = [key for key in before if key.startswith("encoder.") and "logit_scale" not in key]
    assert all(torch.equal(before[key], after[key]) for key in frozen)


def test_the_weighted_sum_is_tuned_on_validation(catalogue: Path, tmp_path: Path) -> None:
    path = write_recipe(
        tmp_path / "run.yaml",
        catalogue,
        model=model_settings("weighted-sum"),
        stages={"fuse": {**FUSE, "epochs": 1}, "tune": {"values": 5}},
    )
    recipe = load_recipe(path)
    with pytest.raises(TMCIRError, match="give train a score_weights"):
        train(recipe)
    assert not (tmp_path / "run").exists()
    folder = train(recipe, validation_score, score_weights)
    content = json.loads((tmp_path / "run" / "tune" / "scores.json").read_text())
    best = max(score for _, score in content["scores"])
    model = tmcir.load(folder, device="cpu")
    assert [model.composer.weight.item(), best] in content["scores"]
    tried = [weight for weight, _ in content["scores"]].index(model.composer.weight.item()) + 1
    row = f"| tune | 5 | those of step {tried} | - | {content['metric']} {best:.2f} | - |"
    assert row in (folder / "README.md").read_text()

    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert train(recipe, validation_score, score_weights) == folder
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
