"""Frozen towers encode every image once: the same features, drawn from few views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import build_model
from tests.training.colours import Colours
from tmcir.core.errors import ImageError
from tmcir.data.fashion_products import FashionProducts
from tmcir.models import TMCIR
from tmcir.models.features import ImageFeatures
from tmcir.training import images as images_module
from tmcir.training.batches import make_batch
from tmcir.training.images import Augmentation, EncodedViews, ImageStore
from tmcir.training.recipe import FuseSettings
from tmcir.training.stages import fuse

PLENTY = 1 << 30
AUGMENTATION = Augmentation(0.5, mirror=True)
ROUNDING = 2e-3  # of float16, at values of about one


@pytest.fixture(scope="module")
def model(products: FashionProducts) -> TMCIR:
    return build_model(products)


@pytest.fixture
def names(products: FashionProducts) -> list[str]:
    return sorted(products.image_names())[:10]


def views_of(
    model: TMCIR, products: FashionProducts, count: int, limit: int = PLENTY, seed: str = "0"
) -> EncodedViews:
    return EncodedViews(ImageStore(model, products.image_path, limit), count, AUGMENTATION, seed)


def features(views: EncodedViews, names: list[str], seed: str = "step") -> ImageFeatures:
    return ImageFeatures(*views.draw(names, seed))


def assert_close(one: ImageFeatures, other: ImageFeatures) -> None:
    torch.testing.assert_close(one.pooled, other.pooled, atol=1e-5, rtol=0)
    torch.testing.assert_close(one.tokens, other.tokens, atol=ROUNDING, rtol=ROUNDING)


def test_one_view_is_what_a_gallery_encodes(
    model: TMCIR, products: FashionProducts, names: list[str]
) -> None:
    drawn = features(views_of(model, products, count=1), names)
    assert drawn.pooled.dtype == drawn.tokens.dtype == torch.float32
    assert not drawn.tokens.requires_grad
    assert_close(drawn, model.image_features([products.image_path(name) for name in names]))


def test_towers_may_run_in_bfloat16(
    model: TMCIR, products: FashionProducts, names: list[str]
) -> None:
    store = ImageStore(model, products.image_path, PLENTY)
    half = EncodedViews(
        store, 1, AUGMENTATION, "0", autocast=lambda: torch.autocast("cpu", dtype=torch.bfloat16)
    )
    exact = features(views_of(model, products, count=1), names)
    drawn = features(half, names)
    assert drawn.tokens.dtype == torch.float32
    assert not drawn.tokens.equal(exact.tokens)
    torch.testing.assert_close(drawn.pooled, exact.pooled, atol=0.05, rtol=0)


def test_steps_draw_among_all_views_and_the_whole_image_is_one(
    model: TMCIR, products: FashionProducts, names: list[str]
) -> None:
    views = views_of(model, products, count=3)
    draws = torch.stack([features(views, names, f"step {step}").pooled for step in range(40)])
    whole = model.image_features([products.image_path(name) for name in names]).pooled
    for column, own in zip(draws.unbind(dim=1), whole, strict=True):
        kinds = column.unique(dim=0)
        assert len(kinds) == 3
        assert (kinds - own).abs().amax(dim=1).min() < 1e-5


def test_what_is_drawn_depends_on_the_seeds_alone(
    model: TMCIR, products: FashionProducts, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = features(views_of(model, products, count=3), names)
    # Encoded in chunks of other images, in another order, and after other steps.
    monkeypatch.setattr(images_module, "ENCODE_CHUNK", 3)
    other = views_of(model, products, count=3)
    other.encode(reversed(names))
    other.draw(names[:4], "another step")
    assert_close(features(other, names), first)
    assert not features(other, names, "next").pooled.allclose(first.pooled, atol=1e-3)
    differently = features(views_of(model, products, count=3, seed="1"), names)
    assert not differently.pooled.allclose(first.pooled, atol=1e-3)


@pytest.mark.parametrize(("limit", "again"), [(PLENTY, 0), (0, 10)])
def test_an_image_is_encoded_once_unless_memory_is_short(
    limit: int,
    again: int,
    model: TMCIR,
    products: FashionProducts,
    names: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded = 0
    encode = model.encoder.image_features

    def counting(pixels: torch.Tensor) -> ImageFeatures:
        nonlocal encoded
        encoded += len(pixels)
        return encode(pixels)

    monkeypatch.setattr(model.encoder, "image_features", counting)
    views = views_of(model, products, count=2, limit=limit)
    views.encode(names)
    first = features(views, names)
    before = encoded
    second = features(views, names)
    assert encoded - before == 2 * again
    assert before == 2 * len(names) + 1  # and one whose size says how many there is room for
    assert_close(first, second)


def test_tokens_that_are_not_read_are_not_cached(
    model: TMCIR, products: FashionProducts, names: list[str]
) -> None:
    store = ImageStore(model, products.image_path, PLENTY)
    drawn = features(EncodedViews(store, 1, AUGMENTATION, "0", reads_tokens=False), names)
    assert drawn.tokens.shape[1] == 0
    whole = features(views_of(model, products, count=1), names)
    torch.testing.assert_close(drawn.pooled, whole.pooled, atol=1e-5, rtol=0)


def test_micro_batches_have_the_features_of_their_images(
    model: TMCIR, products: FashionProducts
) -> None:
    samples = fuse(products, 0, True, True).samples(0)[:9]
    batch = make_batch(samples, model.encoder, views_of(model, products, count=2), "step")
    whole = batch.image_features(model.encoder)
    assert batch.reference is not None
    for number, part in enumerate(batch.split(4)):
        own = part.image_features(model.encoder)
        rows = slice(4 * number, 4 * number + len(part.target))
        assert part.reference is not None
        assert own.pooled[part.target].equal(whole.pooled[batch.target[rows]])
        assert own.tokens[part.reference].equal(whole.tokens[batch.reference[rows]])


def test_a_missing_image_is_named(model: TMCIR, tmp_path: Path) -> None:
    colours = Colours(tmp_path)
    views = EncodedViews(ImageStore(model, colours.image_path, PLENTY), 2, AUGMENTATION, "0")
    with pytest.raises(ImageError, match="no image 'z'"):
        views.draw(["a", "z"], "step")


@pytest.mark.parametrize("towers", [{}, {"tower_learning_rate": 1e-5}])
def test_views_are_for_frozen_towers(towers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="set tower_learning_rate to 0"):
        FuseSettings(views=2, **towers)
