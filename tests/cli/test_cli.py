"""The command line as a whole, and the commands that belong to no one room."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import pytest
from huggingface_hub import constants
from typer.main import get_command

from tests.commands import Mistake, run
from tests.tiny import draw_catalogue
from tmcir import __version__
from tmcir.cli import app
from tmcir.runs.recipes import recipe_command, recipe_names

PSEUDO, EDITOR = "fashion-products-pseudo-targets", "fashion-products-editor"


def command_paths() -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        paths += [(name,)] if inner is None else [(name, part) for part in inner]
    return paths


@pytest.mark.parametrize("path", command_paths(), ids=" ".join)
def test_every_command_has_help_with_an_example(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*path, "--help") == 0
    help_text = capsys.readouterr().out
    assert "Example:" in help_text and f"tmcir {' '.join(path)}" in help_text


@pytest.mark.parametrize("path", command_paths(), ids=" ".join)
def test_json_is_a_switch_of_every_command_that_ends(path: tuple[str, ...]) -> None:
    command = get_command(app)
    for name in path:
        command = command.commands[name]
    switches = [getattr(one, "is_flag", False) for one in command.params if "--json" in one.opts]
    assert switches == ([] if path == ("serve",) else [True])


def test_the_list_of_commands_is_not_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run("--help") == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"tmcir {__version__}\n"


def test_recipes_lists_every_shipped_recipe_with_its_description(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("recipes") == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == recipe_names()
    assert all(len(row.split()) > 3 for row in rows)
    commands = {row.split()[0]: row.split()[1] for row in rows}
    assert commands == {name: recipe_command(name) for name in recipe_names()}
    assert set(commands.values()) == {"train", "generate", "train-editor", "benchmark"}
    assert commands["fashion-iq-pseudo-targets"] == "generate"
    assert commands["fashion-products-editor"] == "train-editor"


def test_a_recipe_is_printed_as_it_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    file = resources.files("tmcir.recipes") / "quickstart.yaml"
    assert run("recipes", "quickstart") == 0
    assert capsys.readouterr().out == file.read_text(encoding="utf-8")
    assert run("recipes", "quickstart", "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "quickstart"
    assert run("recipes", "quickstar") == 2
    assert "did you mean 'quickstart'?" in capsys.readouterr().err
    assert run("recipes", "../__init__") == 2


def test_recipes_and_models_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recipes", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == recipe_names()
    assert run("models", "--json") == 0
    kinds = {row["name"]: row["kind"] for row in json.loads(capsys.readouterr().out)}
    assert kinds == {"mini": "model", "mini-editor": "editor"}


def test_doctor_as_json_lists_the_packages_of_every_extra(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("doctor", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    extras = {"train", "generate", "benchmark", "serve", "milvus"}
    assert {"search", *extras} <= set(report["packages"])
    assert report["packages"]["search"]["onnxruntime"] == version("onnxruntime")


def test_doctor_names_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor") == 0
    report = capsys.readouterr().out
    for word in ("tmcir", "Python", "torch", "lancedb", "device"):
        assert word in report


@pytest.mark.slow
def test_train_check_looks_at_the_data_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = draw_catalogue(tmp_path / "products")
    recipe = ("train", "fashion-products-short", "--check")
    few = ("stages.align.batch_size=8", "stages.fuse.batch_size=8")
    assert run(*recipe, f"dataset.root={root}", *few) == 0
    assert capsys.readouterr().out == "fashion-products-short: nothing wrong\n"
    assert run(*recipe, f"dataset.root={tmp_path / 'none'}") == 2
    assert "none: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["train", "fashion-product"], "did you mean 'fashion-products'?"),
        (["train", "none.yaml"], "none.yaml"),
        (["train", "fashion-products", "stages.fuse.epoch=3"], "did you mean 'epochs'?"),
        (["train", "fashion-products", "epochs"], "write key=value"),
        (["train", "fashion-products", "dataset.root=none"], "none: no such folder"),
        (["train", "fashion-products", "dataset.name=fashion"], "unknown dataset 'fashion'"),
        (["train", PSEUDO], "is for `tmcir generate`, not for `tmcir train`; for this command: "),
        (["generate", "fashion-products-pseudo-target"], f"did you mean '{PSEUDO}'?"),
        (["generate", "none.yaml"], "none.yaml"),
        (["generate", EDITOR], "is for `tmcir train-editor`, not for `tmcir generate`"),
        (["generate", PSEUDO, "editor.step=3"], "editor.step: unknown setting, did you mean"),
        (["generate", PSEUDO, "editor.prompt=red"], "editor.prompt: must contain {text}"),
        (["generate", PSEUDO, "dataset.root=none"], "none: no such folder"),
        (["generate", PSEUDO, "--shard", "0/2"], "--shard 0/2: write i/n with i from 1 to n"),
        (["generate", PSEUDO, "--shard", "3/2"], "--shard 3/2: write i/n with i from 1 to n"),
        (["generate", PSEUDO, "--shard", "1/0"], "--shard 1/0: write i/n with i from 1 to n"),
        (["generate", PSEUDO, "--shard", "x"], "--shard x: write i/n, such as 1/4"),
        (["generate", PSEUDO, "--shard", "1/"], "--shard 1/: write i/n, such as 1/4"),
        (["generate", PSEUDO, "--shard=-1/2"], "--shard -1/2: write i/n, such as 1/4"),
        (["train-editor", "fashion-products-edito"], f"did you mean '{EDITOR}'?"),
        (
            ["train-editor", "fashion-products"],
            "is for `tmcir train`, not for `tmcir train-editor`",
        ),
        (["train-editor", EDITOR, "denoiser.step=3"], "denoiser.step: unknown setting"),
        (["train-editor", EDITOR, "dataset.root=none"], "none: no such folder"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_line_and_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mistake: Mistake,
    arguments: list[str],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert problem in mistake(*arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["serach"], "No such command 'serach'"),
        (["search"], "Missing argument"),
        (["search", "shop", "-k", "many"], "Invalid value for '-k'"),
        (["search", "shop", "--bogus"], "No such option"),
        (["generate"], "Missing argument"),
        (["generate", PSEUDO, "--limit", "0"], "Invalid value for '--limit'"),
        (["train-editor"], "Missing argument"),
    ],
)
def test_a_mistake_in_the_arguments_is_one_line_and_code_2(
    mistake: Mistake, arguments: list[str], problem: str
) -> None:
    line = mistake(*arguments)
    assert line.startswith(f"error: {problem}") and "--help`" in line


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["generate", PSEUDO, "editor.source=nobody/nothing"], "neither a shipped editor"),
        (["generate", PSEUDO, "filters.scorer=./nothing"], "./nothing: no such model directory"),
        (["generate", PSEUDO, "split=trian"], "did you mean 'train'?"),
        (["train-editor", EDITOR, "text_tower=./nothing"], "./nothing: no such model directory"),
        (["train-editor", EDITOR, "text_tower=nobody/nothing"], "no model 'nobody/nothing'"),
    ],
)
def test_a_part_that_is_not_there_is_one_line_and_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mistake: Mistake,
    arguments: list[str],
    problem: str,
) -> None:
    root = draw_catalogue(tmp_path / "products", items=90)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert problem in mistake(*arguments, f"dataset.root={root}")
    # The folder is not left to the mistaken recipe.
    assert not list(tmp_path.rglob("recipe.json"))


def test_no_argument_at_all_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    output = capsys.readouterr()
    assert "Usage" in output.out + output.err and "error" not in output.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("accelerate", ["train", "mini"], "train"),
        ("diffusers", ["quickstart"], "generate"),
        ("fastapi", ["serve", "shop"], "serve"),
    ],
)
def test_a_command_names_the_extra_that_it_needs(
    package: str, arguments: list[str], extra: str, tmp_path: Path
) -> None:
    script = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv[1:] = {arguments!r};"
        "from tmcir.cli import main; main()"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert found.returncode == 2 and found.stderr.count("\n") == 1
    assert found.stderr.startswith(f"error: {package} is not installed: `")
    assert f'[{extra}]"` installs it' in found.stderr
    assert list(tmp_path.iterdir()) == []
