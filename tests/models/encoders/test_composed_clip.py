"""CLIPs that were trained on the sum of raw embeddings, known by their ``auto_map``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import CLIPModel

import tmcir
from tmcir.models import TMCIR
from tmcir.models.encoders.clip import ClipEncoder

TEXTS = ["red jeans", "for men", "blue", "shirt", "a"]


@pytest.fixture(scope="module")
def composed(folders: dict[str, Path]) -> TMCIR:
    return tmcir.load(folders["composed clip"], device="cpu")


def raw(folder: Path, model: TMCIR, photos: list[Path]) -> tuple[torch.Tensor, torch.Tensor]:
    clip = CLIPModel.from_pretrained(folder).eval()
    encoder = model.encoder
    with torch.no_grad():
        image = clip.get_image_features(pixel_values=model.preprocess(photos))
        text = clip.get_text_features(input_ids=encoder.tokenize(TEXTS).ids)
    return image.pooler_output, text.pooler_output


def test_queries_are_sums_before_normalising(
    composed: TMCIR, folders: dict[str, Path], photos: list[Path]
) -> None:
    assert isinstance(composed.encoder, ClipEncoder) and composed.encoder.raw_sum
    image, text = raw(folders["composed clip"], composed, photos)
    expected = functional.normalize(image + text, dim=-1)
    queries = composed.compose(photos, TEXTS)
    torch.testing.assert_close(queries, expected, atol=1e-6, rtol=0)
    apart = functional.normalize(image, dim=-1) + functional.normalize(text, dim=-1)
    assert not queries.allclose(functional.normalize(apart, dim=-1), atol=1e-4)
    torch.testing.assert_close(
        composed.encode_images(photos), functional.normalize(image, dim=-1), atol=1e-6, rtol=0
    )


def test_a_plain_clip_sums_normalised_embeddings(folders: dict[str, Path]) -> None:
    encoder = tmcir.load(folders["clip"], device="cpu").encoder
    assert isinstance(encoder, ClipEncoder) and not encoder.raw_sum


def test_the_gate_says_what_the_lengths_weigh(
    composed: TMCIR, folders: dict[str, Path], photos: list[Path]
) -> None:
    image, text = raw(folders["composed clip"], composed, photos)
    lengths = image[0].norm(), text[0].norm()
    gate = composed.explain(photos[0], TEXTS[0]).gate
    assert gate == pytest.approx([float(2 * one / sum(lengths)) for one in lengths], abs=1e-5)


def test_a_weighted_sum_at_one_half_is_the_same_sum(composed: TMCIR, photos: list[Path]) -> None:
    weighted = TMCIR(composed.encoder, "weighted-sum").eval()
    torch.testing.assert_close(weighted.compose(photos, TEXTS), composed.compose(photos, TEXTS))
    weighted.composer.weight.fill_(0.0)
    torch.testing.assert_close(weighted.compose(photos, TEXTS), composed.encode_images(photos))


def test_a_saved_model_still_sums_raw_embeddings(
    composed: TMCIR, photos: list[Path], tmp_path: Path
) -> None:
    composed.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors", ".md"}
    loaded = tmcir.load(tmp_path, device="cpu")
    assert torch.equal(loaded.compose(photos, TEXTS), composed.compose(photos, TEXTS))
    assert isinstance(loaded.encoder, ClipEncoder)
    plain = ClipEncoder(loaded.encoder.clip, loaded.encoder.tokenizer, loaded.encoder.preprocessor)
    same = TMCIR(plain, settings=loaded.settings)
    same.load_state_dict(loaded.state_dict())
    assert same.identity != loaded.identity
