"""Every baseline against its paper's formula, worked out by hand or by a slow plain version."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from tests.tiny import build_model
from tmcir.core.errors import TMCIRError
from tmcir.data.fashion_products import FashionProducts
from tmcir.models import TMCIR
from tmcir.models.baselines import UNTRAINED_METHODS, image_only, normalised_sum, text_only
from tmcir.models.baselines.combiner import Combiner
from tmcir.models.baselines.pic2word import Pic2Word
from tmcir.models.baselines.tirg import TIRG
from tmcir.models.baselines.weighted_sum import WeightedSum
from tmcir.models.features import ImageFeatures, TextFeatures


def pooled_only(
    image: list[list[float]], text: list[list[float]]
) -> tuple[ImageFeatures, TextFeatures]:
    v, t = torch.tensor(image), torch.tensor(text)
    mask = torch.ones(len(t), 1, dtype=torch.bool)
    return ImageFeatures(v, v[:, None]), TextFeatures(t, t[:, None], mask)


def set_weights(layer: torch.nn.Module, weight: list[list[float]], bias: list[float]) -> None:
    layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})


def random_features(count: int, size: int) -> tuple[ImageFeatures, TextFeatures]:
    generator = torch.Generator().manual_seed(0)
    pooled = functional.normalize(torch.randn(2 * count, size, generator=generator), dim=-1)
    return pooled_only(pooled[:count].tolist(), pooled[count:].tolist())


# What has nothing to train


def test_the_untrained_ways_are_where_they_were() -> None:
    assert {"image": image_only, "text": text_only, "sum": normalised_sum} == UNTRAINED_METHODS
    image, text = pooled_only([[1.0, 0.0]], [[0.6, 0.8]])
    assert image_only(image, text) is image.pooled and text_only(image, text) is text.pooled
    # (1.6, 0.8) / sqrt(3.2)
    torch.testing.assert_close(
        normalised_sum(image, text), torch.tensor([[2.0, 1.0]]) / math.sqrt(5)
    )


# Weighted sum


def test_the_weighted_sum_by_hand() -> None:
    image, text = pooled_only([[1.0, 0.0]], [[0.6, 0.8]])
    output = WeightedSum(weight=0.25)(image, text)
    # 0.75 (1, 0) + 0.25 (0.6, 0.8) = (0.9, 0.2), of length sqrt(0.85)
    expected = torch.tensor([[0.9, 0.2]]) / math.sqrt(0.85)
    torch.testing.assert_close(output.query, expected)
    torch.testing.assert_close(output.gate, torch.tensor([[1.5, 0.5]]))


def test_the_weighted_sum_goes_from_image_to_text() -> None:
    image, text = random_features(5, 8)
    method = WeightedSum()
    torch.testing.assert_close(method(image, text).query, normalised_sum(image, text))
    for weight, end in ((0.0, image.pooled), (1.0, text.pooled)):
        method.weight.fill_(weight)
        torch.testing.assert_close(method(image, text).query, end)
    assert list(method.parameters()) == [] and list(method.state_dict()) == ["weight"]


# TIRG


def test_tirg_by_hand() -> None:
    method = TIRG(embedding_size=2)
    zeros = [0.0] * 4
    set_weights(method.gate, [[math.log(3), 0, 0, 0], zeros], [0.0, 0.0])
    set_weights(method.residual[0], [[1.0, 0, 0, 1], [-1.0, 0, 0, 0], zeros, zeros], zeros)
    set_weights(method.residual[2], [zeros, [0.1, 0, 0, 0]], [0.0, 0.0])
    image, text = pooled_only([[1.0, 0.0]], [[0.0, 1.0]])
    # x = sqrt(2) (1, 0), t = sqrt(2) (0, 1). [x; t] has mean sqrt(2) / 2 and the same deviation:
    # norm([x; t]) = (1, -1, -1, 1), h = (1, 0, 0, 1).
    # Gate: sigmoid(ln 3, 0) = (0.75, 0.5), times x: (0.75 sqrt(2), 0).
    # Residual: ReLU(2, -1, 0, 0) = (2, 0, 0, 0), then (0, 0.2).
    # q ~ 1 (0.75 sqrt(2), 0) + 10 (0, 0.2) = (0.75 sqrt(2), 2), of length sqrt(1.125 + 4).
    expected = torch.tensor([[0.75 * math.sqrt(2), 2.0]]) / math.sqrt(5.125)
    output = method(image, text)
    torch.testing.assert_close(output.query, expected, atol=1e-4, rtol=0)
    assert output.gate is None and output.merge is None


@pytest.mark.parametrize("size", [3, 16])
def test_tirg_equals_a_plain_loop(size: int) -> None:
    torch.manual_seed(1)
    method = TIRG(size, gate_weight=0.7, residual_weight=2.0)
    method.norm.weight.data.normal_()
    image, text = random_features(5, size)
    queries = method(image, text).query
    first, _, second = method.residual
    for n in range(5):
        x, t = math.sqrt(size) * image.pooled[n], math.sqrt(size) * text.pooled[n]
        both = torch.cat([x, t])
        both = (both - both.mean()) / torch.sqrt(both.var(unbiased=False) + 1e-5)
        h = (both * method.norm.weight + method.norm.bias).clamp(min=0)
        gated = torch.sigmoid(method.gate.weight @ h + method.gate.bias) * x
        inner = (first.weight @ h + first.bias).clamp(min=0)
        q = 0.7 * gated + 2.0 * (second.weight @ inner + second.bias)
        torch.testing.assert_close(queries[n], q / q.norm(), atol=1e-5, rtol=0)


# Combiner


def test_the_combiner_by_hand() -> None:
    method = Combiner(embedding_size=2, projection_size=2, hidden_size=2).eval()
    set_weights(method.text_projection[0], [[1.0, 0], [0, -1.0]], [0.0, 0.0])
    set_weights(method.image_projection[0], [[2.0, 0], [0, 1.0]], [0.0, 0.0])
    set_weights(method.hidden[0], [[1.0, 0, 0, 0], [0, 0, -1.0, 0]], [0.0, 3.0])
    set_weights(method.output, [[1.0, 0], [0, 2.0]], [0.0, 0.0])
    set_weights(method.scalar[0], [[0, 0, 1.0, 0], [0.0, 0, 0, 0]], [0.0, 0.0])
    set_weights(method.scalar[3], [[math.log(3) / 2, 0.0]], [0.0])
    image, text = pooled_only([[1.0, 0.0]], [[0.6, 0.8]])
    # Text: ReLU(0.6, -0.8) = (0.6, 0); image: (2, 0); h = (0.6, 0, 2, 0).
    # Hidden: ReLU(0.6, -2 + 3) = (0.6, 1); output (0.6, 2).
    # Scalar: ReLU(2, 0), ln 3 / 2 * 2 = ln 3, sigmoid 0.75.
    # q ~ (0.6, 2) + 0.75 (0.6, 0.8) + 0.25 (1, 0) = (1.3, 2.6), the direction of (1, 2).
    output = method(image, text)
    torch.testing.assert_close(output.query, torch.tensor([[1.0, 2.0]]) / math.sqrt(5))
    torch.testing.assert_close(output.gate, torch.tensor([[0.5, 1.5]]))


def test_the_combiner_has_the_sizes_and_the_dropout_of_the_paper() -> None:
    method = Combiner(embedding_size=6)
    assert method.text_projection[0].weight.shape == (24, 6)
    assert method.hidden[0].weight.shape == (48, 48)
    assert [layer.p for layer in method.modules() if isinstance(layer, torch.nn.Dropout)] == [
        0.5
    ] * 4
    image, text = random_features(4, 6)
    assert not torch.equal(method(image, text).query, method(image, text).query)
    method.eval()
    assert torch.equal(method(image, text).query, method(image, text).query)


# Pic2Word


@pytest.fixture(scope="module")
def inverted(products: FashionProducts) -> TMCIR:
    return build_model(products, method="pic2word", prompt="red * for {text}")


def be_word(model: TMCIR, word: str) -> None:
    """Let the mapping network return the embedding of one word, whatever the image."""
    token = model.encoder.tokenize([word])
    assert token.lengths.tolist() == [3], "not a word of one token"
    output = model.get_submodule("composer.mapping")[-1]  # type: ignore[index]
    output.weight.data.zero_()
    output.bias.data.copy_(model.encoder.word_embeddings(token.ids[0, 1]))


def test_a_pseudo_word_is_read_as_a_word_of_the_sentence(
    products: FashionProducts, inverted: TMCIR
) -> None:
    model = build_model(products, method="pic2word", prompt="red * for {text}")
    be_word(model, "jeans")
    photos = [products.image_path(item.id) for item in products.items[:4]]
    texts = ["women", "men striped", "", "blue " * 30]
    features = model.image_features(photos), model.text_features(texts)
    with torch.inference_mode():
        query = model.forward(*features).query
        described = model.composer.describe(features[0].pooled, model.encoder)
    sentences = [f"red jeans for {text}" for text in texts]
    torch.testing.assert_close(query, model.encode_texts(sentences))
    torch.testing.assert_close(described, model.encode_texts(["red jeans"] * 4))


def test_the_word_depends_on_the_image_and_on_nothing_else_in_the_batch(
    products: FashionProducts, inverted: TMCIR
) -> None:
    photos = [products.image_path(item.id) for item in products.items[:3]]
    texts = ["women", "men striped blue", "women"]
    together = inverted.compose(photos, texts)
    assert not torch.allclose(together[0], together[2], atol=1e-4)
    for n in range(3):
        alone = inverted.compose(photos[n : n + 1], texts[n : n + 1])
        torch.testing.assert_close(alone, together[n : n + 1])


def test_the_tower_reads_embeddings_as_it_reads_ids(inverted: TMCIR) -> None:
    tokens = inverted.encoder.tokenize(["red jeans", "for women striped blue", ""])
    words = inverted.encoder.word_embeddings(tokens.ids)
    for attention in ("sdpa", "eager"):
        inverted.encoder.clip.text_model.config._attn_implementation = attention
        read = inverted.encoder.read_words(words, tokens.lengths)
        torch.testing.assert_close(read, inverted.encoder.text_features(tokens).pooled)


def test_gradients_reach_the_mapping_through_frozen_towers(
    products: FashionProducts, inverted: TMCIR
) -> None:
    model = build_model(products, method="pic2word")
    model.encoder.requires_grad_(False)
    photos = [products.image_path(item.id) for item in products.items[:3]]
    image = model.image_features(photos).pooled.clone()
    model.composer.describe(image, model.encoder)[:, 0].sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in model.composer.parameters())
    assert all(weight.grad is None for weight in model.encoder.parameters())


def test_pic2word_has_the_sizes_of_the_paper() -> None:
    mapping = Pic2Word(8, 6, [1, 2], [3]).mapping
    shapes = [tuple(layer.weight.shape) for layer in mapping if isinstance(layer, torch.nn.Linear)]
    assert shapes == [(512, 8), (512, 512), (6, 512)]


def test_misuse_of_pic2word_is_explained(products: FashionProducts, inverted: TMCIR) -> None:
    with pytest.raises(TMCIRError, match="fills all 10 tokens of the text tower: choose a shorter"):
        build_model(products, method="pic2word", prompt="a photo of * , {text}")
    image, text = random_features(2, inverted.embedding_size)
    with pytest.raises(ValueError, match="needs its tokens"):
        inverted.forward(image, text)
