"""SigLIP against transformers' own: both embeddings, and what a patch token is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import AutoTokenizer, SiglipModel

import tmcir
from tmcir.core.errors import TMCIRError
from tmcir.models.encoders.siglip import SiglipEncoder

TEXTS = ["red jeans", "a", ""]


@pytest.fixture(scope="module")
def encoder(folders: dict[str, Path]) -> SiglipEncoder:
    found = tmcir.load(folders["siglip"], device="cpu").encoder
    assert isinstance(found, SiglipEncoder)
    return found


@pytest.fixture(scope="module")
def original(folders: dict[str, Path]) -> SiglipModel:
    return SiglipModel.from_pretrained(folders["siglip"]).eval()


def test_images_are_stretched_and_pooled_as_transformers_does_it(
    encoder: SiglipEncoder, original: SiglipModel
) -> None:
    assert (encoder.preprocessor.fit, encoder.preprocessor.mean) == ("stretch", (0.5, 0.5, 0.5))
    pixels = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        features = encoder.image_features(pixels)
        expected = original.get_image_features(pixel_values=pixels).pooler_output
    torch.testing.assert_close(features.pooled, functional.normalize(expected, dim=-1))


def test_texts_are_padded_to_the_length_of_training(
    encoder: SiglipEncoder, original: SiglipModel, folders: dict[str, Path]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folders["siglip"])
    ids = tokenizer(TEXTS, padding="max_length", max_length=24, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        features = encoder.text_features(encoder.tokenize(TEXTS))
        expected = original.get_text_features(input_ids=ids).pooler_output
    torch.testing.assert_close(features.pooled, functional.normalize(expected, dim=-1))
    assert features.mask.sum(dim=1).tolist() == [9, 1, 0]
    # Padding is read: one more or fewer would be another embedding.
    shorter = original.get_text_features(input_ids=ids[:, :23]).pooler_output
    assert not functional.normalize(shorter, dim=-1).allclose(features.pooled, atol=1e-3)


def test_texts_are_read_in_lower_case(encoder: SiglipEncoder) -> None:
    assert encoder.tokenize(["RED Jeans"]).ids.equal(encoder.tokenize(["red jeans"]).ids)


def test_a_long_text_keeps_its_end_token(encoder: SiglipEncoder) -> None:
    tokens = encoder.tokenize(["red " * 30])
    assert tokens.ids.shape == (1, 24) and tokens.ids[0, -1] == 1
    assert encoder.text_features(tokens).mask.sum() == encoder.text_length == 23


def test_a_patch_token_is_the_pooling_of_that_patch_alone(
    encoder: SiglipEncoder, original: SiglipModel
) -> None:
    pixels = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        tokens = encoder.image_features(pixels).tokens
        states = original.vision_model(pixel_values=pixels).last_hidden_state
        for patch in range(4):
            alone = original.vision_model.head(states[:, patch : patch + 1])
            torch.testing.assert_close(tokens[:, patch], alone)


def test_a_tower_without_pooling_is_rejected(folders: dict[str, Path]) -> None:
    config = SiglipModel.from_pretrained(folders["siglip"]).config
    config.vision_config.vision_use_head = False
    loaded = tmcir.load(folders["siglip"], device="cpu").encoder
    with pytest.raises(TMCIRError, match="no attention pooling"):
        SiglipEncoder(SiglipModel(config), loaded.tokenizer, loaded.preprocessor)
