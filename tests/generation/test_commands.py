"""`tmcir generate` and `tmcir train-editor`, from the command line to what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.commands import Mistake, run
from tests.generation.tiny_recipes import editor_recipe, generate_recipe
from tmcir.data.pseudo_targets import read_pseudo_targets


@pytest.mark.slow
def test_generate_makes_pseudo_targets_and_says_what_came_of_it(
    catalogue: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = generate_recipe(tmp_path / "run.yaml", catalogue, trained)
    assert run("generate", str(path), "--limit", "3", "--shard", "1/2") == 0
    out, err = capsys.readouterr()
    folder = tmp_path / "run"
    assert out.startswith(f"{folder}: 3 pseudo-targets, 3 of them made now (") and err == ""
    assert f"look at them: {folder / 'pseudo-targets.html'}\n" in out
    assert run("generate", str(path), "--shard", "1/2", "--limit", "3") == 0
    assert f"{folder}: 3 pseudo-targets, 0 of them made now" in capsys.readouterr().out
    assert (
        run("generate", str(path), "--limit", "2", "--shard", "2/2", "filters.min_brightness=1.0")
        == 0
    )
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:3]] == [
        ["kept", "0"],
        ["rejected", "by", "dark", "5"],
    ]
    assert read_pseudo_targets(folder) == []


def test_generate_names_what_it_skips_on_one_line_each(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    Image.new("RGB", (20, 20), "red").save(root / "a.png")
    (root / "b.png").write_bytes(b"not an image")
    lines = [
        {"id": "a", "reference": "a.png", "text": "in blue", "target": "b.png"},
        {"id": "b\x1b[2J", "reference": "b.png", "text": "in red", "target": "a.png"},
    ]
    (root / "triplets.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = generate_recipe(
        tmp_path / "run.yaml", root, trained, dataset={"name": "jsonl"}, split="all"
    )
    assert run("generate", str(path)) == 0
    out, err = capsys.readouterr()
    assert err.startswith(f"skipped b\\x1b[2J: {root / 'b.png'}: not an image (")
    assert err.count("\n") == 1 and "1 skipped" in out


def test_generate_rejects_other_settings_in_one_line(
    catalogue: Path,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mistake: Mistake,
) -> None:
    path = generate_recipe(tmp_path / "run.yaml", catalogue, trained)
    assert run("generate", str(path), "--limit", "1") == 0
    capsys.readouterr()
    line = mistake("generate", str(path), "--limit", "1", "editor.steps=3")
    assert line.startswith(f"error: {tmp_path / 'run'} holds a run with other settings")


@pytest.mark.slow
def test_train_editor_names_the_editor(
    catalogue: Path, towers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = editor_recipe(tmp_path / "run.yaml", catalogue, towers)
    assert run("train-editor", str(path), "denoiser.steps=1") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"editor: {tmp_path / 'run' / 'editor'}"
    assert (tmp_path / "run" / "editor" / "model_index.json").is_file()
