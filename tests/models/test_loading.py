"""Models that cannot be loaded: one line that names the file and the cause."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

import tmcir
from tmcir.core.errors import TMCIRError
from tmcir.core.shipped import MODEL_INDEX, shipped_folder

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a shipped model."""
    shipped = shipped_folder("mini", MODEL_INDEX)
    assert shipped is not None
    return Path(shutil.copytree(shipped, tmp_path / "model"))


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("model.safetensors", None, "no such file"),
        ("model.safetensors", "", "cannot load the weights"),
        ("model.safetensors", "<html>404</html>", "cannot load the weights"),
        ("model.safetensors", POINTER, "is a Git LFS pointer: `git lfs pull`"),
        ("config.json", None, "no such file"),
        ("config.json", "{", "not readable as JSON"),
        ("config.json", POINTER, "is a Git LFS pointer: `git lfs pull`"),
        ("tokenizer.json", None, "no such file"),
        ("preprocessor_config.json", None, "no such file"),
        ("preprocessor_config.json", "<html>", "not readable as JSON"),
    ],
)
def test_file_and_cause_are_named(folder: Path, name: str, content: str | None, cause: str) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(TMCIRError, match=cause) as caught:
        tmcir.load(folder)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_weights_that_were_cut_are_named(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(TMCIRError, match=r"model\.safetensors: cannot load the weights: "):
        tmcir.load(folder)


def test_a_misspelt_name_is_answered_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(TMCIRError, match="unknown model 'minni': did you mean 'mini'"):
        tmcir.load("minni")
    with pytest.raises(TMCIRError, match="runs/model: no such model directory"):
        tmcir.load("runs/model")
    assert time.monotonic() - began < 5
