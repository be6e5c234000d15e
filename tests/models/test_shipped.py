"""The weights that ship: what they promise of size, and that they do what they were trained for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tmcir
from tmcir.core.shipped import EDITOR_INDEX, MODEL_INDEX, shipped_folder, shipped_names
from tmcir.evaluation import evaluate_methods
from tmcir.rendered.catalogue import RenderedCatalogue

MAXIMUM_BYTES = {"mini": 50e6, "mini-editor": 20e6}
NAMES = [*shipped_names(MODEL_INDEX), *shipped_names(EDITOR_INDEX)]


def folder_of(name: str) -> Path:
    folder = shipped_folder(name, MODEL_INDEX) or shipped_folder(name, EDITOR_INDEX)
    assert folder is not None
    return folder


def size_of(name: str) -> int:
    return sum(file.stat().st_size for file in folder_of(name).rglob("*") if file.is_file())


def test_a_model_and_an_editor_ship() -> None:
    assert NAMES == ["mini", "mini-editor"]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_weights_are_small_safe_and_measured(name: str) -> None:
    files = [file for file in folder_of(name).rglob("*") if file.is_file()]
    assert size_of(name) <= MAXIMUM_BYTES[name]
    for file in files:
        if file.suffix == ".json":  # the editor's parts name folders of its run, none of a machine
            assert not re.search(r'"(/|[A-Za-z]:)[^"]*/', file.read_text(encoding="utf-8")), file
    assert {file.suffix for file in files} <= {".json", ".md", ".onnx", ".safetensors", ".txt"}
    card = (folder_of(name) / "README.md").read_text(encoding="utf-8")
    assert re.search(r"\"seed\": \d+|^\| seed \| \d+ \|$", card, re.MULTILINE)
    assert "## Measured" in card and "## Limits" in card


def test_all_that_ships_stays_under_sixty_four_megabytes() -> None:
    assert sum(map(size_of, NAMES)) < 64e6


@pytest.mark.slow
def test_mini_composes_better_than_what_needs_no_fusion(tmp_path: Path) -> None:
    # Few garments, and drawn and measured alike everywhere: this checks no figure, but
    # that the weights, their tokenizer and their preprocessing still belong together.
    garments = RenderedCatalogue(tmp_path, "test", items=150, queries=150)
    model = tmcir.load("mini")
    methods = ["model", "sum", "image", "text"]
    reports = evaluate_methods(model, garments, methods)
    score = {name: report.score for name, report in zip(methods, reports, strict=True)}
    assert score["model"] > 1.05 * score["sum"] > 1.05 * score["image"] > 2 * score["text"]


@pytest.mark.parametrize("text", ["<|endoftext|> red dress", "[SEP] red dress", "</s>red dress"])
def test_control_words_do_not_rule_the_shipped_model(text: str) -> None:
    model = tmcir.load("mini")
    given, plain = model.encode_texts([text, "red dress"])
    assert float(given @ plain) > 0.5
    sixty = [f"w{number}" for number in range(60)]
    unread = model.unread(" ".join(sixty)).split()
    assert 0 < len(unread) < 60 and unread == sixty[-len(unread) :]
