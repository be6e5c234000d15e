"""The command line as a whole, and the commands that belong to no one room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from tests.commands import run
from tests.tiny import draw_catalogue
from tmcir import __version__
from tmcir.cli import app
from tmcir.settings import recipe_names


def command_paths() -> list[tuple[str, ...]]:
    paths = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
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


def test_doctor_names_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor") == 0
    report = capsys.readouterr().out
    for word in ("tmcir", "Python", "torch", "lancedb", "device"):
        assert word in report


def test_train_check_looks_at_the_data_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = draw_catalogue(tmp_path / "products", items=30)
    recipe = ("train", "fashion-products-short", "--check")
    assert run(*recipe, f"dataset.root={root}") == 0
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
    ],
)
def test_a_mistake_in_a_recipe_is_one_line_and_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1
    assert problem in err and out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["serach"], "No such command 'serach'"),
        (["search"], "Missing argument"),
        (["search", "shop", "-k", "many"], "Invalid value for '-k'"),
        (["search", "shop", "--bogus"], "No such option"),
    ],
)
def test_a_mistake_in_the_arguments_is_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {problem}") and err.count("\n") == 1 and out == ""
    assert "--help`" in err


def test_no_argument_at_all_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    output = capsys.readouterr()
    assert "Usage" in output.out + output.err and "error" not in output.err


def test_searching_and_measuring_work_without_the_extra_for_training() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('accelerate', 'peft', 'diffusers',"
        " 'tensorboard', 'torchvision', 'pandas')));"
        "import tmcir.cli, tmcir.models, tmcir.gallery.page, tmcir.evaluation.scoring;"
        "print([name for name in sys.modules if name.startswith('tmcir.training')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


def test_importing_the_package_loads_no_model_library() -> None:
    script = "import sys, tmcir; print('torch' in sys.modules, 'transformers' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout == "False False\n"
