"""The model as its users call it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

import tmcir
from tests.tiny import build_model, draw_catalogue
from tmcir.core.errors import ImageError, TMCIRError
from tmcir.data.fashion_products import FashionProducts
from tmcir.models import TMCIR

TEXTS = ["red jeans", "for women", "striped", "in blue instead of green", "Größe 紺色 🙂"]


@pytest.fixture
def trained(products: FashionProducts) -> TMCIR:
    """A model whose fusion no longer is the sum."""
    model = build_model(products)
    torch.nn.init.normal_(model.get_parameter("composer.output.weight"))
    return model


def test_embeddings_are_float32_rows_of_length_one(model: TMCIR, photos: list[Path]) -> None:
    for embedded in (
        model.encode_images(photos),
        model.encode_texts(TEXTS),
        model.compose(photos, TEXTS),
    ):
        assert embedded.shape == (5, model.embedding_size)
        assert embedded.dtype == torch.float32
        assert not embedded.requires_grad
        torch.testing.assert_close(embedded.norm(dim=1), torch.ones(5))


def test_an_untrained_model_composes_the_normalised_sum(model: TMCIR, photos: list[Path]) -> None:
    total = model.encode_images(photos) + model.encode_texts(TEXTS)
    expected = functional.normalize(total, dim=-1)
    torch.testing.assert_close(model.compose(photos, TEXTS), expected, atol=1e-6, rtol=0)


def test_results_do_not_depend_on_the_batch(trained: TMCIR, photos: list[Path]) -> None:
    whole = trained.compose(photos, TEXTS)
    torch.testing.assert_close(trained.compose(photos, TEXTS, batch_size=2), whole)
    one_by_one = [
        trained.compose([photo], [text]) for photo, text in zip(photos, TEXTS, strict=True)
    ]
    torch.testing.assert_close(torch.cat(one_by_one), whole)
    torch.testing.assert_close(
        trained.encode_images(photos, batch_size=2), trained.encode_images(photos)
    )


def test_balance_goes_from_the_image_to_the_text(trained: TMCIR, photos: list[Path]) -> None:
    image, text = trained.encode_images(photos), trained.encode_texts(TEXTS)
    torch.testing.assert_close(trained.compose(photos, TEXTS, balance=-1), image)
    torch.testing.assert_close(trained.compose(photos, TEXTS, balance=1), text)
    towards_text = [
        (trained.compose(photos, TEXTS, balance=b) * text).sum(dim=1) for b in (0, 0.3, 0.6, 1)
    ]
    for less, more in pairwise(towards_text):
        assert (less <= more + 1e-6).all()


@pytest.mark.parametrize("balance", [-1.01, 2.0, float("nan")])
def test_balance_out_of_range_is_rejected(model: TMCIR, photos: list[Path], balance: float) -> None:
    with pytest.raises(TMCIRError, match="balance"):
        model.compose(photos, TEXTS, balance=balance)


def test_a_blank_text_asks_for_no_change(trained: TMCIR, photos: list[Path]) -> None:
    composed = trained.compose(photos[:3], ["", "  ", "red"])
    image = trained.encode_images(photos[:3])
    torch.testing.assert_close(composed[:2], image[:2])
    assert not torch.allclose(composed[2], image[2])


def test_a_long_text_is_cut_not_rejected(model: TMCIR) -> None:
    assert model.encode_texts(["red " * 500]).isfinite().all()


def test_nothing_in_nothing_out(model: TMCIR) -> None:
    assert model.encode_images([]).shape == (0, model.embedding_size)
    assert model.compose([], []).shape == (0, model.embedding_size)


def test_paths_and_images_are_the_same(model: TMCIR, photos: list[Path]) -> None:
    opened = [Image.open(photo) for photo in photos]
    torch.testing.assert_close(model.encode_images(opened), model.encode_images(photos))
    as_strings = [str(photo) for photo in photos]
    torch.testing.assert_close(model.encode_images(as_strings), model.encode_images(photos))


def test_misuse_of_compose_is_explained(model: TMCIR, photos: list[Path]) -> None:
    with pytest.raises(TMCIRError, match="5 images and 1 texts"):
        model.compose(photos, ["red"])
    with pytest.raises(TMCIRError, match="a list of images and a list of texts"):
        model.compose(photos, "red")
    with pytest.raises(ImageError, match=r"missing\.jpg"):
        model.compose(["missing.jpg"], ["red"])


def test_the_mode_is_left_as_it_was(model: TMCIR, photos: list[Path]) -> None:
    model.train()
    try:
        steps = model.composer.merger.statistics.steps.item()
        model.compose(photos, TEXTS)
        assert model.training
        model.composer.update_statistics()
        assert model.composer.merger.statistics.steps.item() == steps
    finally:
        model.eval()


def test_explain_accounts_for_every_patch(trained: TMCIR, photos: list[Path]) -> None:
    merger = trained.composer.merger
    merger.settings = merger.settings.model_copy(update={"kappa": -100.0})  # all patches match
    explanation = trained.explain(photos[0], "red striped jeans")
    assert explanation.words == ["red", "striped", "jeans"]
    rows, columns = explanation.grid
    patches = [(row, column) for merged in explanation.merged for row, column, _ in merged]
    assert sorted(patches) == [(row, column) for row in range(rows) for column in range(columns)]
    assert explanation.matched_share == 1.0
    assert explanation.gate is not None
    assert sum(explanation.gate) == pytest.approx(2)
    for merged in explanation.merged:
        assert not merged or sum(weight for _, _, weight in merged) == pytest.approx(1)
    with pytest.raises(TMCIRError, match="without a text"):
        trained.explain(photos[0], " ")


def test_an_explanation_says_what_tokens_do(
    model: TMCIR, trained: TMCIR, photos: list[Path]
) -> None:
    assert model.explain(photos[0], "red jeans").token_effect == pytest.approx(0, abs=1e-6)
    explanation = trained.explain(photos[0], "red jeans")
    query = trained.compose(photos[:1], ["red jeans"])[0]
    torch.nn.init.zeros_(trained.get_parameter("composer.output.weight"))
    without = trained.compose(photos[:1], ["red jeans"])[0]
    assert explanation.token_effect == pytest.approx(1 - float(query @ without), abs=1e-5)


def test_saving_and_loading_give_the_same_model(
    trained: TMCIR, photos: list[Path], tmp_path: Path
) -> None:
    trained.composer.merger.statistics.steps += 1
    trained.save_pretrained(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    loaded = tmcir.load(tmp_path / "model", device="cpu")
    assert loaded.identity == trained.identity
    assert torch.equal(loaded.compose(photos, TEXTS), trained.compose(photos, TEXTS))
    trained.composer.merger.alpha_offset.data += 1
    assert loaded.identity != trained.identity


def test_files_of_half_the_size_load_as_float32(
    model: TMCIR, photos: list[Path], tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path / "whole")
    model.half_precision_files = True
    try:
        model.save_pretrained(tmp_path / "half")
    finally:
        model.half_precision_files = False
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    loaded = TMCIR.from_pretrained(tmp_path / "half")
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    assert loaded.encoder.logit_scale.equal(model.encoder.logit_scale)
    texts = ["in red"] * len(photos)
    torch.testing.assert_close(
        loaded.compose(photos, texts), model.compose(photos, texts), atol=2e-3, rtol=0
    )
    # What is saved again is the same model: rounding once is enough.
    loaded.half_precision_files = True
    loaded.save_pretrained(tmp_path / "again")
    assert TMCIR.from_pretrained(tmp_path / "again").identity == loaded.identity


def test_the_model_card_survives_saving(model: TMCIR, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "first")
    (tmp_path / "first" / "README.md").write_text("# Measured\n")
    again = tmcir.load(tmp_path / "first", device="cpu")
    again.save_pretrained(tmp_path / "second")
    assert (tmp_path / "second" / "README.md").read_text() == "# Measured\n"


def test_a_plain_clip_checkpoint_works_at_once(
    model: TMCIR, photos: list[Path], tmp_path: Path
) -> None:
    config = CLIPConfig(**model.encoder.clip.config.to_dict())
    config.vision_config.stem = "patch"
    clip = CLIPModel(config)
    clip.save_pretrained(tmp_path)
    model.encoder.tokenizer.save_pretrained(tmp_path)
    loaded = tmcir.load(tmp_path, device="cpu")
    pixels = loaded.preprocess(photos)
    expected = clip.eval().get_image_features(pixel_values=pixels)
    expected = getattr(expected, "pooler_output", expected).detach()
    torch.testing.assert_close(loaded.encode_images(photos), functional.normalize(expected, dim=-1))
    total = loaded.encode_images(photos) + loaded.encode_texts(TEXTS)
    torch.testing.assert_close(
        loaded.compose(photos, TEXTS), functional.normalize(total, dim=-1), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"x"),
            "cannot load the weights",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "no such file"),
        (lambda folder: (folder / "config.json").write_text("{"), "not readable as JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "not an object"),
        (lambda folder: (folder / "config.json").write_text("{}"), "is of type 'unknown'"),
        (lambda folder: (folder / "config.json").unlink(), "no such file"),
    ],
)
def test_a_damaged_model_directory_is_explained(
    model: TMCIR, tmp_path: Path, damage: object, expected: str
) -> None:
    model.save_pretrained(tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(TMCIRError, match=expected):
        tmcir.load(tmp_path / "model")


def test_weights_of_another_architecture_are_rejected(model: TMCIR, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["method"]["layers"] = 2
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(TMCIRError, match="cannot load the weights"):
        tmcir.load(tmp_path / "model")


def test_a_model_that_is_nowhere_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TMCIRError, match="no such model directory"):
        tmcir.load("./nowhere")


def test_no_pickle_is_ever_read(model: TMCIR, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    torch.save(model.state_dict(), tmp_path / "model" / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(TMCIRError, match=r"model\.safetensors"):
        tmcir.load(tmp_path / "model")


def test_draw_catalogue_is_deterministic(tmp_path: Path) -> None:
    first, second = (draw_catalogue(tmp_path / name, items=5) for name in "ab")
    assert (first / "styles.csv").read_bytes() == (second / "styles.csv").read_bytes()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("config.json", '"encoder"', '"encoder_"'),
        ("config.json", '"hidden_size": 16', '"hidden_size": "x"'),
        ("preprocessor_config.json", "{", "["),
        ("tokenizer.json", "{", ""),
    ],
)
def test_a_damaged_directory_is_named_in_one_line(
    model: TMCIR, tmp_path: Path, file: str, old: str, new: str
) -> None:
    model.save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(TMCIRError, match="model") as caught:
        TMCIR.from_pretrained(tmp_path / "model")
    assert "\n" not in str(caught.value)
