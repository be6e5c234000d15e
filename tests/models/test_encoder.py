"""Tokens, preprocessing and towers against transformers' own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from tmcir.models import TMCIR
from tmcir.models.encoders.stem import ConvolutionalStem
from tmcir.models.preprocessing import ImagePreprocessor
from tmcir.models.tokenizer import train_tokenizer


@pytest.mark.parametrize("size", [(60, 40), (40, 61), (33, 33), (500, 20)])
def test_preprocessing_equals_that_of_transformers(size: tuple[int, int]) -> None:
    from transformers import CLIPImageProcessor

    preprocessor = ImagePreprocessor(size=32)
    image = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    )
    theirs = CLIPImageProcessor(**preprocessor.to_dict())(image, return_tensors="pt")
    square = torch.from_numpy(preprocessor.resize(image).copy()).permute(2, 0, 1)[None]
    torch.testing.assert_close(
        preprocessor.normalise(square), theirs["pixel_values"], atol=1e-5, rtol=0
    )


def test_padding_keeps_the_whole_image() -> None:
    image = Image.new("RGB", (40, 10), "red")
    square = ImagePreprocessor(size=20, fit="pad").resize(image)
    red = (square == [255, 0, 0]).all(axis=2)
    assert red.any(axis=1).sum() == 5 and red.any(axis=0).all()
    assert (square[0] == 255).all()


def test_content_tokens_have_no_start_end_or_padding(model: TMCIR) -> None:
    tokens = model.encoder.tokenize(["red jeans", "", "striped"])
    features = model.text_features(tokens)
    assert features.mask.sum(dim=1).tolist() == [2, 0, 1]
    assert features.tokens.shape[:2] == features.mask.shape
    assert model.encoder.tokenize([""]).ids.shape == (1, 3)
    assert model.encoder.words("red jeans") == ["red", "jeans"]


def test_control_words_are_read_as_text(model: TMCIR) -> None:
    control = str(model.encoder.tokenizer.eos_token)
    plain, with_control, after = (
        model.encoder.tokenize([text]) for text in ("red", f"{control} red", f"red {control} blue")
    )
    special = {int(plain.ids[0, 0]), int(plain.ids[0, -1])}
    for tokens in (with_control, after):
        assert not special & set(tokens.ids[0, 1:-1].tolist())
        assert tokens.lengths[0] > plain.lengths[0] + 1
    texts = ["red", f"red {control} blue", "red blue"]
    first, cut, both = model.encode_texts(texts)
    assert float(first @ cut) < 0.999 and float(both @ cut) < 1


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("", ""),
        ("red jeans", ""),
        (" ".join(["red"] * 10), ""),
        (" ".join(["red"] * 10) + "   ", ""),
        (" ".join(["red"] * 10) + " jeans in blue", "jeans in blue"),
        (" ".join(["red"] * 9) + " zqxwvk for women", "zqxwvk for women"),  # not read whole
    ],
)
def test_the_end_that_is_cut_is_named(model: TMCIR, text: str, unread: str) -> None:
    assert model.encoder.text_length == 10
    assert model.unread(text) == unread
    kept = text.removesuffix(unread) if unread else text
    assert torch.equal(
        model.encoder.tokenize([kept + "jeans" * bool(unread) * 50]).lengths,
        model.encoder.tokenize([text]).lengths,
    )


def test_reading_the_end_leaves_other_threads_their_limit(model: TMCIR) -> None:
    long = " ".join(["red jeans"] * 30)
    before = model.encoder.tokenize([long]).ids
    with ThreadPoolExecutor(4) as threads:
        ends = threads.map(lambda _: model.unread(long), range(200))
        cut = threads.map(lambda _: model.encoder.tokenize([long]).ids, range(200))
        assert all(torch.equal(ids, before) for ids in cut)
        assert set(ends) == {" ".join(["red jeans"] * 25)}


def test_padding_does_not_change_a_text(model: TMCIR) -> None:
    alone = model.text_features(["red jeans"])
    padded = model.text_features(["red jeans", "in blue instead of green for women, please"])
    torch.testing.assert_close(alone.pooled[0], padded.pooled[0])
    torch.testing.assert_close(alone.tokens[0], padded.tokens[0, : alone.tokens.shape[1]])


def test_pooled_features_are_those_of_transformers(model: TMCIR, photos: list[Path]) -> None:
    pixels, tokens = model.preprocess(photos), model.encoder.tokenize(["red jeans"] * 5)
    with torch.no_grad():
        output = model.encoder.clip(input_ids=tokens.ids, pixel_values=pixels)
    torch.testing.assert_close(model.image_features(pixels).pooled, output.image_embeds)
    torch.testing.assert_close(model.text_features(tokens).pooled, output.text_embeds)


def test_the_stem_gives_as_many_tokens_as_the_projection() -> None:
    tokens = ConvolutionalStem(width=32, patch_size=8)(torch.randn(2, 3, 24, 24))
    assert tokens.shape == (2, 32, 3, 3)


def test_the_tokenizer_reads_every_language_and_is_deterministic() -> None:
    texts = ["a red dress", "navy blue shirt", "a striped shirt, in red"] * 3
    first, second = (train_tokenizer(texts, vocabulary_size=300) for _ in range(2))
    assert first.get_vocab() == second.get_vocab()
    for text in ("größer", "赤いドレス", "платье", "👗"):
        ids = first(text)["input_ids"]
        assert first.unk_token_id is None
        assert text in first.decode(ids, skip_special_tokens=True)
    assert first("RED Dress")["input_ids"] == first("red dress")["input_ids"]
    assert first.eos_token_id != 2  # transformers would pool at the largest id instead
    assert len(first("red " * 100, truncation=True)["input_ids"]) == first.model_max_length


def test_projected_tokens_live_in_the_joint_space(model: TMCIR, photos: list[Path]) -> None:
    features = model.image_features(photos)
    assert features.tokens.shape == (5, model.encoder.image_tokens, model.embedding_size)
    tower = model.encoder.clip.vision_model
    with torch.no_grad():
        states = tower(pixel_values=model.preprocess(photos)).last_hidden_state
        pooled = model.encoder.clip.visual_projection(tower.post_layernorm(states[:, 0]))
    torch.testing.assert_close(features.pooled, functional.normalize(pooled, dim=-1))
