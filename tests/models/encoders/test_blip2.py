"""BLIP-2 against transformers' own: query tokens, texts, and the one vector of an image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import AutoTokenizer, Blip2ForImageTextRetrieval

import tmcir
from tmcir.models.encoders.blip2 import Blip2Encoder

TEXTS = ["red jeans for men", "blue"]


@pytest.fixture(scope="module")
def encoder(folders: dict[str, Path]) -> Blip2Encoder:
    found = tmcir.load(folders["blip-2"], device="cpu").encoder
    assert isinstance(found, Blip2Encoder)
    return found


def test_embeddings_are_those_of_transformers(
    encoder: Blip2Encoder, folders: dict[str, Path]
) -> None:
    original = Blip2ForImageTextRetrieval.from_pretrained(folders["blip-2"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(folders["blip-2"])
    pixels = torch.randn(2, 3, 16, 16)
    encoded = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        image = encoder.image_features(pixels)
        text = encoder.text_features(encoder.tokenize(TEXTS))
        output = original(
            pixel_values=pixels,
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
        )
    tokens = functional.normalize(image.tokens, dim=-1)
    torch.testing.assert_close(tokens, output.image_embeds)
    torch.testing.assert_close(text.pooled, output.text_embeds)
    similarity = torch.einsum("npd,md->nmp", tokens, text.pooled).amax(dim=-1)
    torch.testing.assert_close(similarity, output.logits_per_image)


def test_an_image_is_the_normalised_mean_of_its_query_tokens(encoder: Blip2Encoder) -> None:
    features = encoder.image_features(torch.randn(2, 3, 16, 16))
    mean = functional.normalize(features.tokens, dim=-1).mean(dim=1)
    torch.testing.assert_close(features.pooled, functional.normalize(mean, dim=-1))
    torch.testing.assert_close(encoder.pool_image(features.tokens), features.pooled)
    assert features.tokens.shape == (2, 3, 16) and encoder.grid is None


def test_query_tokens_are_explained_without_places(
    folders: dict[str, Path], photos: list[Path]
) -> None:
    explanation = tmcir.load(folders["blip-2"], device="cpu").explain(photos[0], "in red")
    assert (explanation.grid, explanation.merged) == ((1, 1), None)
    assert explanation.gate == pytest.approx((1.0, 1.0))
