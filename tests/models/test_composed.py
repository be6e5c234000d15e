"""A sentence-transformers model that reads image and text: it searches, and is not trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

import tmcir
from tests.commands import run
from tests.tiny import draw_catalogue
from tests.training.test_run import write_recipe
from tmcir.core.errors import TMCIRError
from tmcir.models.composed import ComposedModel
from tmcir.training import load_recipe, train

pytest.importorskip("sentence_transformers", reason='needs pip install ".[sentence-transformers]"')

TEXTS = ["in red", "for women", "striped", "blue", "https://example.org/photo.jpg"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_sentence import save_composed

    return save_composed(tmp_path_factory.mktemp("composed"))


@pytest.fixture(scope="module")
def model(folder: Path) -> ComposedModel:
    loaded: Any = tmcir.load(folder, device="cpu")
    assert isinstance(loaded, ComposedModel)
    return loaded


def test_queries_are_read_whole_and_photos_as_documents(
    model: ComposedModel, photos: list[Path]
) -> None:
    from PIL import Image

    queries = model.compose(photos, TEXTS)
    assert queries.shape == (5, 8) and queries.dtype == torch.float32
    read = [Image.open(photo).convert("RGB") for photo in photos]
    pairs = [{"image": image, "text": text} for image, text in zip(read, TEXTS, strict=True)]
    expected = model.model.encode_query(pairs, convert_to_tensor=True)
    torch.testing.assert_close(queries, functional.normalize(expected, dim=-1))
    documents = model.model.encode_document([{"image": image} for image in read])
    torch.testing.assert_close(
        model.encode_images(photos), functional.normalize(torch.tensor(documents), dim=-1)
    )
    # The prompt of queries is in it, and one query is not the other.
    assert not queries.allclose(model.encode_images(photos), atol=1e-3)
    assert len(queries.unique(dim=0)) == 5


def test_a_text_that_looks_like_an_address_stays_a_text(model: ComposedModel) -> None:
    assert model.encode_texts(TEXTS[-1:]).isfinite().all()


def test_balance_and_blank_texts(model: ComposedModel, photos: list[Path]) -> None:
    image, text = model.encode_images(photos), model.encode_texts(TEXTS)
    torch.testing.assert_close(model.compose(photos, TEXTS, balance=-1), image)
    torch.testing.assert_close(model.compose(photos, TEXTS, balance=1), text)
    torch.testing.assert_close(model.compose(photos[:1], [" "]), image[:1])
    with pytest.raises(TMCIRError, match="balance is "):
        model.compose(photos, TEXTS, balance=2)
    with pytest.raises(TMCIRError, match="5 images and 1 texts"):
        model.compose(photos, ["red"])
    assert model.compose([], []).shape == model.encode_texts([]).shape == (0, 8)


def test_an_explanation_says_how_close_the_query_is_to_both(
    model: ComposedModel, photos: list[Path]
) -> None:
    explanation = model.explain(photos[0], "in red")
    query = model.compose(photos[:1], ["in red"])[0]
    alone = model.encode_images(photos[:1])[0] @ query, model.encode_texts(["in red"])[0] @ query
    assert explanation.similarity == pytest.approx([float(one) for one in alone])
    assert (explanation.gate, explanation.merged) == (None, None)


@pytest.mark.slow
def test_a_published_class_is_read_by_its_own_processor(photos: list[Path], tmp_path: Path) -> None:
    from tests.tiny_sentence import save_llava

    folder = save_llava(tmp_path)
    model: Any = tmcir.load(folder, device="cpu")
    assert isinstance(model, ComposedModel)
    queries = model.compose(photos[:2], TEXTS[:2])
    assert queries.shape == (2, model.embedding_size) and queries.isfinite().all()
    assert not queries[0].allclose(queries[1], atol=1e-4)
    assert not queries.allclose(model.encode_images(photos[:2]), atol=1e-4)
    again: Any = tmcir.load(folder, device="cpu")
    assert again.identity == model.identity
    torch.testing.assert_close(again.compose(photos[:2], TEXTS[:2]), queries)


def test_its_identity_is_that_of_its_weights(model: ComposedModel, folder: Path) -> None:
    again: Any = tmcir.load(folder, device="cpu")
    assert again.identity == model.identity
    with torch.no_grad():
        next(again.model.parameters()).add_(1)
    assert again.identity != model.identity


@pytest.mark.slow
def test_it_is_indexed_searched_explained_and_evaluated(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = draw_catalogue(tmp_path / "catalogue")
    shop, photo = str(tmp_path / "shop"), str(root / "images" / "100.jpg")
    assert run("index", shop, str(root / "images"), "--model", str(folder)) == 0
    capsys.readouterr()
    query = ("--image", photo, "--text", "in red")
    assert run("search", shop, *query, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) > 0
    assert run("explain", str(folder), *query, "--html", str(tmp_path / "page.html")) == 0
    assert "cosine of the query with the image" in capsys.readouterr().out
    command = ("evaluate", str(folder), "--dataset", "fashion-products", "--root", str(root))
    found = {}
    for method in ("model", "image", "text", "sum"):
        assert run(*command, "--method", method, "--json") == 0
        report = json.loads(capsys.readouterr().out)
        found[report["method"]] = report["overall"]
    assert list(found) == ["composed", "image", "text", "sum"]


def test_it_is_served(model: ComposedModel, photos: list[Path], tmp_path: Path) -> None:
    testclient = pytest.importorskip("fastapi.testclient", reason='needs pip install ".[serve]"')
    from tmcir.service import ServiceSettings, create_app

    gallery = tmcir.Gallery.open(tmp_path / "shop", model=model)
    gallery.add(photos[0].parent)
    with testclient.TestClient(create_app(gallery, ServiceSettings())) as client:
        turns = {"turns": [{"item": photos[0].name, "text": "in red"}]}
        assert len(client.post("/api/v1/search", json=turns).json()["hits"]) > 1
        explained = client.post("/api/v1/explain", json=turns)
        assert explained.status_code == 200 and explained.json()["gate"] is None


@pytest.mark.slow
def test_training_says_that_it_does_not(folder: Path, tmp_path: Path) -> None:
    root = draw_catalogue(tmp_path / "catalogue")
    recipe = load_recipe(write_recipe(tmp_path / "run.yaml", root, model={"source": str(folder)}))
    with pytest.raises(TMCIRError, match="no towers that can be trained here"):
        train(recipe)


def test_a_model_that_reads_texts_only_is_rejected(tmp_path: Path) -> None:
    from tests.tiny_sentence import TextOnly, save_composed

    with pytest.raises(TMCIRError, match="does not read an image with a text; it reads text"):
        tmcir.load(save_composed(tmp_path, TextOnly), device="cpu")


def test_without_the_extra_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(TMCIRError, match=r"tmcir\[sentence-transformers\]"):
        tmcir.load(folder, device="cpu")
