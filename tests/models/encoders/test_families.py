"""What holds for every family: loaded, composed, indexed, served, evaluated, saved, reloaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional

import tmcir
from tests.commands import run
from tests.tiny import draw_catalogue
from tests.tiny_encoders import FAMILIES
from tmcir.core.errors import TMCIRError
from tmcir.models import TMCIR
from tmcir.models.encoders import load_encoder

TEXTS = ["red jeans", "for women", "striped", "blue shirt", "in green"]


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


@pytest.fixture
def model(folder: Path) -> TMCIR:
    return tmcir.load(folder, device="cpu")


def test_a_published_encoder_composes_the_sum_at_once(model: TMCIR, photos: list[Path]) -> None:
    image, text = model.image_features(photos), model.text_features(TEXTS)
    weights = torch.ones(5, 2)
    if image.norms is not None and text.norms is not None:
        weights = torch.stack([image.norms, text.norms], dim=1)
    total = weights[:, :1] * image.pooled + weights[:, 1:] * text.pooled
    queries = model.compose(photos, TEXTS)
    torch.testing.assert_close(queries, functional.normalize(total, dim=-1), atol=1e-6, rtol=0)
    assert len(queries.unique(dim=0)) == 5


@pytest.mark.slow
def test_features_have_the_shapes_that_the_encoder_says(model: TMCIR, photos: list[Path]) -> None:
    encoder, size = model.encoder, model.embedding_size
    image, text = model.image_features(photos), model.text_features(TEXTS)
    assert image.tokens.shape == (5, encoder.image_tokens, size)
    assert encoder.grid is None or encoder.grid[0] * encoder.grid[1] == encoder.image_tokens
    assert text.tokens.shape == (5, text.mask.shape[1], size)
    for pooled in (image.pooled, text.pooled):
        torch.testing.assert_close(pooled.norm(dim=1), torch.ones(5))
    words = [encoder.words(one) for one in TEXTS]
    assert [len(pieces) for pieces in words] == text.mask.sum(dim=1).tolist()
    assert "".join(words[0]).endswith("jeans")


def test_embeddings_do_not_depend_on_the_batch(model: TMCIR, photos: list[Path]) -> None:
    whole = model.encode_texts([*TEXTS, "", "a longer text " * 20])
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(model.encode_texts([text])[0], whole[row], atol=1e-5, rtol=0)
    images = model.encode_images(photos)
    torch.testing.assert_close(model.encode_images(photos[1:2])[0], images[1], atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("halved", [False, True])
def test_what_is_saved_loads_as_the_same_model(
    model: TMCIR, photos: list[Path], tmp_path: Path, halved: bool
) -> None:
    torch.nn.init.normal_(model.composer.output.weight)
    model.half_precision_files = halved
    model.save_pretrained(tmp_path / "first")
    loaded = tmcir.load(tmp_path / "first", device="cpu")
    if halved:  # rounding once is enough
        model = loaded
        model.half_precision_files = True
        model.save_pretrained(tmp_path / "second")
        loaded = tmcir.load(tmp_path / "second", device="cpu")
    assert loaded.identity == model.identity
    assert torch.equal(loaded.compose(photos, TEXTS), model.compose(photos, TEXTS))
    assert loaded.encoder.config() == model.encoder.config()
    assert loaded.encoder.preprocessor == model.encoder.preprocessor


def test_a_gallery_finds_its_published_encoder_again(
    folder: Path, photos: list[Path], tmp_path: Path
) -> None:
    first, second = (tmcir.load(folder, device="cpu") for _ in range(2))
    assert first.identity == second.identity


@pytest.mark.slow
def test_gradients_reach_both_towers(model: TMCIR, photos: list[Path]) -> None:
    torch.nn.init.normal_(model.composer.output.weight)
    image = model.encoder.image_features(model.preprocess(photos))
    text = model.encoder.text_features(model.encoder.tokenize(TEXTS))
    query = model(image, text).query
    ((query * image.pooled.detach().roll(1, 0)).sum() * model.encoder.logit_scale.exp()).backward()
    lacking = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert lacking == []


@pytest.mark.slow
def test_states_give_the_features_of_pixels(model: TMCIR, photos: list[Path]) -> None:
    pixels = model.preprocess(photos)
    whole = model.encoder.image_features(pixels)
    features = model.encoder.features_of(model.encoder.image_states(pixels))
    torch.testing.assert_close(features.pooled, whole.pooled)
    torch.testing.assert_close(features.tokens, whole.tokens)
    assert (features.norms is None) == (whole.norms is None)


@pytest.mark.slow
def test_parts_are_pooled_as_images_are(model: TMCIR, photos: list[Path]) -> None:
    encoder, features = model.encoder, model.image_features(photos)
    if encoder.image_parts is None:
        assert features.parts is None
        with pytest.raises(TMCIRError, match="'clip' has no pooling over image parts"):
            encoder.pool_image(features.tokens)
        return
    assert features.parts is not None and features.parts.shape == (5, *encoder.image_parts)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.pool_image(features.parts), features.pooled)
        edited = encoder.pool_image(features.parts.roll(1, 0))
    torch.testing.assert_close(edited, features.pooled.roll(1, 0))


@pytest.mark.slow
def test_every_command_works_with_every_family(
    folder: Path, photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop, root = str(tmp_path / "shop"), draw_catalogue(tmp_path / "catalogue")
    assert run("index", shop, str(photos[0].parent), "--model", str(folder)) == 0
    capsys.readouterr()
    query = ("--image", str(photos[0]), "--text", "in red")
    assert run("search", shop, *query, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) > 0
    assert run("explain", str(folder), *query) == 0
    assert "gate: image" in capsys.readouterr().out
    command = ("evaluate", str(folder), "--dataset", "fashion-products", "--root", str(root))
    assert run(*command, "--split", "val", "--json") == 0
    assert json.loads(capsys.readouterr().out)["method"] == "tmcir"


def test_every_family_is_served(folder: Path, photos: list[Path], tmp_path: Path) -> None:
    testclient = pytest.importorskip("fastapi.testclient", reason='needs pip install ".[serve]"')
    from tmcir.service import ServiceSettings, create_app

    gallery = tmcir.Gallery.open(tmp_path / "shop", model=tmcir.load(folder, device="cpu"))
    gallery.add(photos[0].parent)
    with testclient.TestClient(create_app(gallery, ServiceSettings())) as client:
        turns = {"turns": [{"item": photos[0].name, "text": "in red"}]}
        hits = client.post("/api/v1/search", json=turns).json()["hits"]
        assert len(hits) > 1
        explained = client.post("/api/v1/explain", json=turns).json()
        assert explained["gate"]["image"] + explained["gate"]["text"] == pytest.approx(2)


def test_images_of_another_size_are_read(folders: dict[str, Path], photos: list[Path]) -> None:
    for name in ("clip", "siglip", "blip-2"):
        encoder = tmcir.load(folders[name], device="cpu").encoder
        tokens = encoder.image_tokens
        encoder.set_images(size=32, fit="targetpad")
        model = TMCIR(encoder).eval()
        assert model.image_size == 32 and model.encoder.preprocessor.fit == "targetpad"
        assert encoder.image_tokens == (tokens if name == "blip-2" else 4 * tokens)
        assert model.compose(photos, TEXTS).isfinite().all()
        with pytest.raises(TMCIRError, match="30 is not a multiple of 8"):
            encoder.set_images(size=30)
    dual = tmcir.load(folders["dual"], device="cpu").encoder
    dual.set_images(fit="crop")
    assert dual.preprocessor.fit == "crop"
    with pytest.raises(TMCIRError, match="'dual' reads images of 64 pixels only"):
        dual.set_images(size=32)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "siglip2"}, "of type 'siglip2'; supported: .*siglip"),
        ({"model_type": "blip-2"}, "is a no class, but of blip-2 only Blip2ForImageTextRetrieval"),
        (
            {"model_type": "blip-2", "architectures": ["Blip2ForConditionalGeneration"]},
            "is a Blip2ForConditionalGeneration, but of blip-2 only",
        ),
    ],
)
def test_what_cannot_search_is_named(config: dict[str, object], expected: str) -> None:
    with pytest.raises(TMCIRError, match=expected):
        load_encoder("some/model", config)
