from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tmcir.core.errors import TMCIRError
from tmcir.runs.recipes import recipe_names
from tmcir.training.recipe import load_recipe


def write(path: Path, **changes: object) -> Path:
    content = {
        "name": "trial",
        "description": "a trial",
        "dataset": {"name": "jsonl", "root": "."},
        "model": {"source": "somewhere"},
        "stages": {"fuse": {"epochs": 1}},
        **changes,
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("name", recipe_names("train"))
def test_every_shipped_recipe_is_valid(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description


def test_the_recipes_of_the_contract_are_shipped() -> None:
    assert {
        "fashion-products",
        "fashion-products-short",
        "fashion-iq-vit-l-14",
        "cirr-vit-l-14",
        "fashion-iq-paper",
        "fashion-iq-paper-blip-2",
        "cirr-paper",
        "cirr-paper-blip-2",
    } <= set(recipe_names())


def test_overrides_are_dotted_and_typed(tmp_path: Path) -> None:
    path = write(tmp_path / "trial.yaml")
    recipe = load_recipe(
        path, ["stages.fuse.epochs=3", "stages.fuse.warmup=0.2", "stages.align={epochs: 2}"]
    )
    assert recipe.stages.fuse is not None and recipe.stages.align is not None
    assert (recipe.stages.fuse.epochs, recipe.stages.fuse.warmup) == (3, 0.2)
    assert recipe.stages.align.epochs == 2
    assert recipe.folder == Path("runs/trial")


def test_all_errors_are_named_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "trial.yaml",
        name="Not A Name",
        model={},
        stages={"fuse": {"epoch": 3, "batch_size": "many"}},
    )
    with pytest.raises(TMCIRError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert "stages.fuse.epoch: unknown setting, did you mean 'epochs'?" in message
    assert "stages.fuse.batch_size" in message
    assert "model: give one of source, build and dual" in message
    assert "name: " in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["stages.fuse.epochs"], "write key=value"),
        (["=3"], "write key=value"),
        (["name.inner=3"], "'name' is not a group"),
        (["seed={"], "not YAML"),
        (["seed=-1"], "greater than or equal to 0"),
        (["stages.fuse.learning_rate=.inf"], "finite"),
        (["dataset.options.root=x"], "is no option"),
    ],
)
def test_a_bad_override_is_explained(tmp_path: Path, overrides: list[str], expected: str) -> None:
    with pytest.raises(TMCIRError, match=expected):
        load_recipe(write(tmp_path / "trial.yaml"), overrides)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.yaml", None, "No such file"),
        ("a.yaml", "a: [", "not YAML"),
        ("a.yaml", "- a", "not a mapping"),
        ("a.yaml", "", "not a mapping"),
        ("fashion-product", None, "did you mean 'fashion-products'"),
    ],
)
def test_a_recipe_that_cannot_be_read_is_explained(
    tmp_path: Path, name: str, text: str | None, expected: str
) -> None:
    source = tmp_path / name if name.endswith("yaml") else Path(name)
    if text is not None:
        source.write_text(text)
    with pytest.raises(TMCIRError, match=expected):
        load_recipe(str(source))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ({"image_size": 100, "patch_size": 16}, "patch_size must divide image_size"),
        ({"vision_width": 250, "heads": 4}, "heads must divide vision_width"),
    ],
)
def test_sizes_that_do_not_fit_are_explained(
    tmp_path: Path, build: dict[str, int], expected: str
) -> None:
    with pytest.raises(TMCIRError, match=expected):
        load_recipe(write(tmp_path / "trial.yaml", model={"build": build}))


def test_an_override_changes_one_of_the_places_that_share_yaml(tmp_path: Path) -> None:
    stage = {"epochs": 1}
    path = write(tmp_path / "trial.yaml", stages={"align": stage, "fuse": stage})
    assert "*" in path.read_text()  # an alias: to YAML's reader both are one object
    recipe = load_recipe(path, ["stages.fuse.epochs=3"])
    assert recipe.stages.fuse is not None and recipe.stages.align is not None
    assert (recipe.stages.align.epochs, recipe.stages.fuse.epochs) == (1, 3)
