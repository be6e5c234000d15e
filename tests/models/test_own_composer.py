"""A composer from outside the package: named by a person, never imported for a model's sake."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tmcir
from tests.tiny import build_model, draw_catalogue
from tests.training.test_run import write_recipe
from tmcir.core.errors import TMCIRError
from tmcir.data.fashion_products import FashionProducts
from tmcir.models import TMCIR, methods
from tmcir.training import load_recipe, train

NAME = "shop_composer:Scaled"
CODE = """
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional
from tmcir.models.composer import Composer, ComposerSettings, Composition

class Scaled(Composer):
    title = "the image plus a scaled text"

    class Settings(ComposerSettings):
        scale: float = Field(default=1.0, gt=0, description="Weight of the text.")

    def __init__(self, embedding_size, scale):
        super().__init__()
        self.scale = nn.Parameter(torch.full((embedding_size,), scale))

    def forward(self, image, text, encoder=None):
        query = image.pooled + self.scale * text.pooled
        return Composition(functional.normalize(query.float(), dim=-1))

class Stranger:
    pass
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder with the module, which nothing has imported or trusted yet."""
    (tmp_path / "shop_composer.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(methods, "_trusted", set())
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("shop_composer", None)
    yield tmp_path
    sys.modules.pop("shop_composer", None)


@pytest.fixture
def saved(here: Path, products: FashionProducts) -> Path:
    """A model with that composer, as somebody else saved it."""
    methods.trust_composer(NAME)
    encoder = build_model(products).encoder
    TMCIR(encoder, NAME, {"scale": 2.0}).save_pretrained(here / "model")
    methods._trusted.clear()
    sys.modules.pop("shop_composer", None)
    return here / "model"


@pytest.mark.slow
def test_a_recipe_trains_it_and_the_model_is_measured(here: Path, photos: list[Path]) -> None:
    root = draw_catalogue(here / "products")
    base = write_recipe(here / "run.yaml", root, stages={"fuse": {"epochs": 1, "batch_size": 16}})
    recipe = load_recipe(base, [f"model.method={{name: '{NAME}', scale: 0.5}}"])
    folder = train(recipe)
    model = tmcir.load(folder, device="cpu")
    assert (model.method, model.settings) == (NAME, {"scale": 0.5})
    assert "a scaled text" in (folder / "README.md").read_text()
    explanation = model.explain(photos[0], "in red")
    assert explanation.gate is None and explanation.merged is None
    assert explanation.similarity is not None and min(explanation.similarity) > 0
    with pytest.raises(TMCIRError, match=r"scale: .*greater than 0"):
        load_recipe(base, [f"model.method={{name: '{NAME}', scale: 0}}"])
    with pytest.raises(TMCIRError, match="did you mean 'scale'"):
        load_recipe(base, [f"model.method={{name: '{NAME}', scael: 1}}"])


def test_a_model_does_not_import_what_nobody_vouched_for(saved: Path) -> None:
    with pytest.raises(TMCIRError, match=f"set TMCIR_COMPOSERS={NAME}"):
        tmcir.load(saved, device="cpu")
    assert "shop_composer" not in sys.modules


def test_the_environment_vouches_for_it(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMCIR_COMPOSERS", f"other:Thing, {NAME}")
    model = tmcir.load(saved, device="cpu")
    assert torch.equal(model.composer.scale, torch.full((16,), 2.0))


def test_a_program_vouches_for_it(saved: Path) -> None:
    methods.trust_composer(NAME)
    assert tmcir.load(saved, device="cpu").method == NAME


def test_an_installed_package_registers_it_by_name(
    here: Path, products: FashionProducts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(here)
    point = importlib.metadata.EntryPoint("scaled", NAME, methods.GROUP)
    monkeypatch.setattr(methods, "_entry_points", lambda: {point.name: point.value})
    assert methods.method_names()[-1] == "scaled"
    model = TMCIR(build_model(products).encoder, "scaled", {"scale": 3.0})
    model.save_pretrained(here / "model")
    assert tmcir.load(here / "model", device="cpu").method == "scaled"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nowhere_at_all:Scaled", "cannot be imported: No module named 'nowhere_at_all'"),
        ("shop_composer:Nothing", "cannot be imported: .*Nothing"),
        ("shop_composer:Stranger", "is not a subclass of tmcir.models.composer.Composer"),
    ],
)
def test_a_name_that_is_no_composer_is_explained(here: Path, name: str, expected: str) -> None:
    with pytest.raises(TMCIRError, match=expected):
        methods.trust_composer(name)
