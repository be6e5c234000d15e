"""Frozen towers encode every text once: the same features and losses, a fraction of the work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tmcir
from tests.tiny import FUSION, build_model
from tests.tiny_encoders import FAMILIES
from tmcir.data.fashion_products import FashionProducts
from tmcir.models import TMCIR
from tmcir.models.features import TextStates, TextTokens
from tmcir.training.batches import Batch, make_batch
from tmcir.training.fitting import parameter_groups
from tmcir.training.images import Augmentation, Crops, ImageStore
from tmcir.training.recipe import FuseSettings
from tmcir.training.stages import Stage, fuse
from tmcir.training.texts import EncodedTexts

PLENTY = 1 << 30
TEXTS = ["red jeans", "in", "", "red jeans", "for women in blue", "striped"]
ROUNDING = 2e-3  # of float16, at values of about one


@pytest.mark.parametrize("family", FAMILIES)
def test_cached_features_are_those_of_the_tower(family: str, folders: dict[str, Path]) -> None:
    encoder = tmcir.load(folders[family], device="cpu").encoder
    texts = EncodedTexts(encoder, PLENTY)
    texts.draw(["a text of another batch", "in"])
    with torch.no_grad():
        cached = encoder.text_features_of(texts.draw(TEXTS))
        fresh = encoder.text_features(encoder.tokenize(TEXTS))
    torch.testing.assert_close(cached.pooled, fresh.pooled, atol=1e-5, rtol=0)
    rows = fresh.mask.nonzero(as_tuple=True)
    assert cached.mask[:, : fresh.mask.shape[1]].equal(fresh.mask)
    assert cached.mask.sum() == fresh.mask.sum() > 0
    torch.testing.assert_close(
        cached.tokens[rows], fresh.tokens[rows], atol=ROUNDING, rtol=ROUNDING
    )
    assert (cached.norms is None) == (fresh.norms is None)
    if cached.norms is not None and fresh.norms is not None:
        torch.testing.assert_close(cached.norms, fresh.norms)
    assert cached.source is not None and fresh.source is not None
    assert cached.source.ids.equal(fresh.source.ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_left_out_where_none_is_read(family: str, folders: dict[str, Path]) -> None:
    encoder = tmcir.load(folders[family], device="cpu").encoder
    states = EncodedTexts(encoder, PLENTY, reads_tokens=False).draw(TEXTS)
    assert [one.shape[1] for one in states.values if one.ndim == 3] == [0]
    with torch.no_grad():
        fresh = encoder.text_features(encoder.tokenize(TEXTS)).pooled
        torch.testing.assert_close(
            encoder.text_features_of(states).pooled, fresh, atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(("limit", "again"), [(PLENTY, 0), (0, 5)])
def test_a_text_is_encoded_once_unless_memory_is_short(
    limit: int, again: int, products: FashionProducts, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(products)
    texts = EncodedTexts(model.encoder, limit)
    encode, encoded = model.encoder.text_states, 0

    def counting(tokens: TextTokens) -> tuple[torch.Tensor, ...]:
        nonlocal encoded
        encoded += len(tokens.ids)
        return encode(tokens)

    monkeypatch.setattr(model.encoder, "text_states", counting)
    first = texts.draw(TEXTS)
    assert encoded == len(set(TEXTS)) == 5
    second = texts.draw(TEXTS)
    assert encoded == 5 + again
    for one, other in zip(first.values, second.values, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def batch_of(
    model: TMCIR, products: FashionProducts, stage: Stage, cached: bool, count: int = 24
) -> Batch:
    crops = Crops(ImageStore(model, products.image_path, PLENTY), Augmentation())
    texts = EncodedTexts(model.encoder, PLENTY, model.composer.reads_tokens) if cached else None
    samples = stage.samples(0)[:count]
    return make_batch(samples, model.encoder, crops, "step", encoded=texts)


@pytest.mark.parametrize("method", ["tmcir", "gate", "pic2word"])
def test_a_stage_has_the_same_loss(method: str, products: FashionProducts) -> None:
    model = build_model(products, method=method)
    stage = fuse(products, 0, True, True, caption_weight=1.0)
    losses = []
    for cached in (False, True):
        batch = batch_of(model, products, stage, cached)
        assert isinstance(batch.text, TextStates) == cached
        losses.append(stage.loss(stage.embed(model, batch)))
    torch.testing.assert_close(losses[0], losses[1], atol=ROUNDING, rtol=0)
    assert losses[0] > 0


def test_micro_batches_have_the_features_of_their_texts(products: FashionProducts) -> None:
    model = build_model(products)
    stage = fuse(products, 0, True, True, caption_weight=1.0)
    batch = batch_of(model, products, stage, cached=True, count=9)
    whole, captions = batch.text_features(model.encoder), batch.caption_features(model.encoder)
    start = 0
    for part in batch.split(4):
        rows = slice(start, start := start + len(part.target))
        assert part.text_features(model.encoder).pooled.equal(whole.pooled[rows])
        own = part.caption_features(model.encoder)
        assert own is not None and captions is not None
        assert own[0].equal(captions[0][rows]) and own[1].equal(captions[1][rows])
    assert start == 9


def test_frozen_towers_have_no_dropout(folders: dict[str, Path]) -> None:
    encoder = tmcir.load(folders["dual"], device="cpu").encoder
    model = TMCIR(encoder, "tmcir", FUSION)
    parameter_groups(model, FuseSettings(tower_learning_rate=0.0))
    model.train()
    assert model.training and encoder.get_submodule("text_head").training
    towers = [encoder.get_submodule(name) for name in ("text", "image")]
    assert not any(module.training for tower in towers for module in tower.modules())
    parameter_groups(model, FuseSettings(tower_learning_rate=1e-5))
    model.train()
    assert all(module.training for tower in towers for module in tower.modules())
