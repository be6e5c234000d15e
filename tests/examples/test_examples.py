"""The example scripts run as they are, on a small world."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

EXAMPLES = ROOT / "examples"
pytestmark = pytest.mark.slow


def example(name: str, *arguments: str) -> str:
    """Run a script in the current folder and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_search_your_photos(world: Path) -> None:
    query = ("--image", "photos/test-000247.jpg", "--text", "in red", "--where", "price < 95")
    options = ("--metadata", "garments.csv", "--gallery", "mine")
    first = example("search_your_photos.py", "photos", *options, *query)
    again = example("search_your_photos.py", "photos", *options, *query)
    photos = len(list((world / "photos").iterdir()))
    assert f"{photos} photos, {photos} of them new" in first
    assert f"{photos} photos, 0 of them new" in again
    assert first.count(".jpg") == 5
    assert (world / "hits.html").read_text("utf-8").count("data:image/") > 5


def test_train_on_your_data(world: Path) -> None:
    few = ("--epochs", "1", "--batch", "8")
    columns = ("--same", "sleeve", "--changes", "colour")
    printed = example("train_on_your_data.py", "photos", "garments.csv", *columns, *few)
    assert printed.count("jsonl test, protocol fashion200k") == 2
    assert (world / "runs" / "my-model" / "model" / "model.safetensors").is_file()


def test_own_composer(world: Path) -> None:
    printed = example("own_composer.py", "--garments", "48", "--epochs", "1")
    assert "method own_composer:Product" in printed
    assert "method sum" in printed
