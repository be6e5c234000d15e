from __future__ import annotations

from pathlib import Path

import pytest

from tests.generation.tiny_recipes import editor_recipe
from tests.tiny import build_model, draw_catalogue
from tmcir.data.fashion_products import FashionProducts
from tmcir.generation import load_editor_recipe, train_editor


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_catalogue(tmp_path_factory.mktemp("catalogue") / "products", items=90)


@pytest.fixture(scope="session")
def towers(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory; random weights, good enough to measure and to read texts with."""
    folder = tmp_path_factory.mktemp("towers") / "model"
    build_model(FashionProducts(catalogue, "train"), text_length=32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def trained(catalogue: Path, towers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an editor that was trained for two steps."""
    path = tmp_path_factory.mktemp("editor") / "run.yaml"
    return train_editor(load_editor_recipe(editor_recipe(path, catalogue, towers)))
