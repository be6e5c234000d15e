"""A dual encoder of any two parts: loaded, composed, saved, trained in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import AutoModel

import tmcir
from tests.tiny import FUSION
from tests.tiny_encoders import SIDE, save_bert, save_vision, word_pieces
from tmcir.core.errors import TMCIRError
from tmcir.models import TMCIR
from tmcir.models.encoders.backbones import EfficientNetBackbone
from tmcir.models.encoders.dual import DualEncoder, DualSettings, DualSource
from tmcir.models.encoders.heads import ImageHead
from tmcir.models.encoders.vocabulary import prune_vocabulary
from tmcir.models.preprocessing import ImagePreprocessor
from tmcir.models.tokenizer import train_tokenizer

TEXTS = ["red jeans", "for women", "striped", "in blue", "shirts"]
SHAPE = {
    "embedding_size": 16,
    "image_hidden": 16,
    "attention_width": 16,
    "attention_slots": 2,
    "text_hidden": 16,
    "text_length": 12,
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def lite(bert: Path) -> DualEncoder:
    """A small EfficientNet-Lite at 64 pixels, with random weights."""
    torch.manual_seed(0)
    return DualEncoder(
        EfficientNetBackbone(width=0.25, depth=0.3, levels=3),
        AutoModel.from_pretrained(bert),
        word_pieces(),
        ImagePreprocessor(size=64, fit="pad"),
        DualSettings(image_size=64, **SHAPE),
    ).eval()


def pixels(count: int = 3, side: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "levels", "grid"), [("dinov2", 2, 2), ("vit", 1, 2), ("convnext", 3, 1)]
)
def test_any_image_model_and_any_text_model_make_an_encoder(
    tmp_path: Path, bert: Path, photos: list[Path], kind: str, levels: int, grid: int
) -> None:
    source = DualSource(
        image=str(save_vision(tmp_path / "image", kind)),
        text=str(bert),
        image_size=32 if kind == "convnext" else SIDE,
        levels=levels,
        fit="crop",
        **SHAPE,
    )
    encoder = DualEncoder.from_parts(source, TEXTS)
    assert encoder.preprocessor.mean == (0.5, 0.4, 0.3) and encoder.preprocessor.resample == 2
    assert encoder.grid == (grid, grid)
    model = TMCIR(encoder, "tmcir", FUSION, name="dual").eval()
    model.encoder.calibrate(model.preprocess(photos))
    torch.nn.init.normal_(model.composer.output.weight)
    model.save_pretrained(tmp_path / "model")
    loaded = tmcir.load(tmp_path / "model", device="cpu")
    assert loaded.identity == model.identity
    assert "_name_or_path" not in (tmp_path / "model" / "config.json").read_text()
    assert torch.equal(loaded.compose(photos, TEXTS), model.compose(photos, TEXTS))
    assert model.compose(photos, TEXTS).norm(dim=1).allclose(torch.ones(5))
    explanation = loaded.explain(photos[0], "red jeans")
    assert (explanation.grid, explanation.words) == ((grid, grid), ["red", "jeans"])


@pytest.mark.slow
def test_features_of_one_backbone_reach_all_places_of_the_grid(lite: DualEncoder) -> None:
    features = lite.image_features(pixels())
    assert features.tokens.shape == (3, 4, 16) and lite.grid == (2, 2)
    torch.testing.assert_close(features.pooled.norm(dim=1), torch.ones(3))
    # Means and maxima over places, and attention that starts from random queries, are joined.
    maps = lite.image(pixels())
    assert [one.shape[-1] for one in maps] == [8, 4, 2]
    joined = torch.cat([functional.adaptive_avg_pool2d(one, 2) for one in maps], dim=1)
    pooled, _, parts = lite.image_head(joined.flatten(2).transpose(1, 2))
    assert parts.shape == (3, 2 + 2, 16)  # two slots, the mean and the maximum
    torch.testing.assert_close(features.pooled, pooled)


@pytest.mark.parametrize(("pooling", "shape"), [("mean-max", (2, 10)), ("attention", (3, 8))])
def test_parts_by_hand(pooling: Any, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    head = ImageHead(10, 4, 6, pooling, hidden=12, width=8, slots=3, dropout=0.0)
    features = torch.randn(2, 4, 10)
    pooled, tokens, parts = head(features)
    assert parts.shape[1:] == shape == (head.num_parts, head.part_size)
    assert tokens.shape == (2, 4, 6)
    if head.slots is None:
        expected = torch.stack([features.mean(dim=1), features.amax(dim=1)], dim=1)
        torch.testing.assert_close(parts, expected)
    else:
        placed = head.placed(features)
        for slot in range(3):
            scores = head.slots.key(placed) @ head.slots.queries[slot] / 8**0.5
            expected = scores.softmax(dim=1)[..., None] * head.slots.value(placed)
            torch.testing.assert_close(parts[:, slot], expected.sum(dim=1))
        # Position counts: the same features in other places are another image.
        assert not head(features.flip(1))[0].allclose(pooled, atol=1e-3)
    torch.testing.assert_close(head.pool(parts), pooled)


def test_regions_are_means_over_places_of_the_image() -> None:
    head = ImageHead(5, 16, 6, "mean-max", 12, 8, 3, dropout=0.0, regions=2).eval()
    features = torch.randn(3, 16, 5, generator=torch.Generator().manual_seed(0))
    parts = head(features)[2]
    assert parts.shape == (3, 2 + 4, 5) == (3, head.num_parts, head.part_size)
    square = features.view(3, 4, 4, 5)
    for number, (row, column) in enumerate([(0, 0), (0, 2), (2, 0), (2, 2)]):
        quarter = square[:, row : row + 2, column : column + 2].flatten(1, 2)
        torch.testing.assert_close(parts[:, 2 + number], quarter.mean(dim=1))
    torch.testing.assert_close(head.pool(parts), head(features)[0])
    head.calibrate(features)
    parts = head(features)[2]
    torch.testing.assert_close(parts.mean(dim=0), torch.zeros(6, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(parts.std(dim=0), torch.ones(6, 5))


def test_noise_is_for_training_alone() -> None:
    head = ImageHead(5, 4, 6, "mean-max", 12, 8, 3, dropout=0.0, noise=0.5)
    features = torch.randn(200, 4, 5)
    head.calibrate(features)
    exact = head.eval()(features)[2]
    assert head(features)[2].equal(exact)
    noise = head.train()(features)[2] - exact
    assert abs(noise.std().item() - 0.5) < 0.03
    assert abs(noise.mean().item()) < 0.05


def test_parts_without_weights_are_cached_beside_the_tokens_that_are_read(bert: Path) -> None:
    torch.manual_seed(0)
    encoder = DualEncoder(
        EfficientNetBackbone(width=0.25, depth=0.3, levels=3),
        AutoModel.from_pretrained(bert),
        word_pieces(),
        ImagePreprocessor(size=64, fit="pad"),
        DualSettings(image_size=64, pooling="mean-max", regions=2, temperature=0.2, **SHAPE),
    ).eval()
    assert encoder.logit_scale.exp().item() == pytest.approx(5)
    encoder.calibrate(pixels(4))
    whole = encoder.image_features(pixels())
    for with_tokens in (True, False):
        states = encoder.image_states(pixels(), with_tokens)
        features = encoder.features_of(states)
        torch.testing.assert_close(features.pooled, whole.pooled)
        assert features.parts is not None and whole.parts is not None
        torch.testing.assert_close(features.parts, whole.parts)
        assert features.tokens.shape[1] == (4 if with_tokens else 0)
        assert states[0].shape == (3, *encoder.image_parts)


def test_padding_does_not_change_a_text(lite: DualEncoder) -> None:
    together = lite.text_features(lite.tokenize(["red jeans", "in"]))
    alone = lite.text_features(lite.tokenize(["in"]))
    torch.testing.assert_close(together.pooled[1:], alone.pooled, atol=1e-5, rtol=0)
    torch.testing.assert_close(together.tokens[1:, :1], alone.tokens, atol=1e-5, rtol=0)
    assert together.mask.tolist() == [[True, True], [True, False]]
    assert not lite.text_features(lite.tokenize([""])).mask.any()


@torch.no_grad()
def test_a_text_is_the_same_alone_and_in_a_batch_of_several_groups(lite: DualEncoder) -> None:
    texts = [TEXTS[number % 5] + " red" * (number % 7) for number in range(150)]
    together = lite.text_features(lite.tokenize(texts))
    for row in (0, 6, 77, 149):
        alone = lite.text_features(lite.tokenize([texts[row]]))
        torch.testing.assert_close(together.pooled[row], alone.pooled[0], atol=1e-5, rtol=0)
        own = int(alone.mask[0].sum())
        torch.testing.assert_close(
            together.tokens[row, :own], alone.tokens[0, :own], atol=1e-5, rtol=0
        )


def test_calibrated_features_have_mean_zero_and_deviation_one(lite: DualEncoder) -> None:
    seen: list[torch.Tensor] = []
    before = {key: value.clone() for key, value in lite.image_head.state_dict().items()}
    hook = lite.image_head.placed.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        lite.calibrate(pixels(40))
        lite_std = lite.image_head.std.clone()
        lite.image_features(pixels(40))
    finally:
        hook.remove()
        lite.image_head.load_state_dict(before)
    flat = seen[0].flatten(0, 1)
    torch.testing.assert_close(flat.mean(dim=0), torch.zeros(flat.shape[1]), atol=1e-3, rtol=0)
    varied = lite_std > 1e-3  # a channel that hardly varies is not blown up
    assert varied.any() and flat.std(dim=0)[varied].allclose(torch.ones(()), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("stages", [0, 3, 5, 7])
def test_states_of_the_frozen_stages_give_the_same_features(lite: DualEncoder, stages: int) -> None:
    lite.freeze(stages, depthwise=False)
    try:
        whole = lite.image_features(pixels())
        features = lite.features_of(lite.image_states(pixels()))
        torch.testing.assert_close(features.pooled, whole.pooled)
        torch.testing.assert_close(features.tokens, whole.tokens)
        frozen = {
            name.split(".")[2]
            for name, weight in lite.image.named_parameters()
            if not weight.requires_grad and ".stages." in name
        }
        assert frozen == {str(number) for number in range(stages)}
    finally:
        lite.requires_grad_(True).freeze(0, depthwise=False)


def test_layers_of_the_text_model_can_be_frozen(lite: DualEncoder) -> None:
    lite.freeze(text_layers=1)
    frozen = {name for name, one in lite.text.named_parameters() if not one.requires_grad}
    lite.requires_grad_(True)
    assert {name.split(".")[0] for name in frozen} == {"embeddings", "encoder"}
    with pytest.raises(TMCIRError, match="frozen_text_layers is 2: this text model has 1"):
        lite.freeze(text_layers=2)


def test_depthwise_kernels_can_be_frozen_alone(lite: DualEncoder) -> None:
    lite.freeze(0, depthwise=True)
    frozen = [name for name, one in lite.image.named_parameters() if not one.requires_grad]
    lite.requires_grad_(True)
    assert frozen and all(name.endswith("depthwise.weight") for name in frozen)
    with pytest.raises(TMCIRError, match="frozen_stages is 8: this image backbone has 7"):
        lite.freeze(8, depthwise=False)


def test_a_pruned_vocabulary_reads_known_texts_as_before(tmp_path: Path, bert: Path) -> None:
    whole = word_pieces()
    pruned, kept = prune_vocabulary(whole, ["Red jeans", "for men"], size=1)
    assert 5 - 1 + 2 * 26 + 4 == len(pruned) == len(kept)  # [unused0] is gone
    for text in ("red jeans", "men", "for red"):
        names = [whole.convert_ids_to_tokens(whole(text)["input_ids"])]
        assert names == [pruned.convert_ids_to_tokens(pruned(text)["input_ids"])]
    assert pruned.convert_ids_to_tokens(pruned("blue")["input_ids"])[1:-1] == [
        *("b", "##l", "##u", "##e")
    ]
    larger, _ = prune_vocabulary(whole, ["red"], size=len(pruned) + 3)
    assert len(larger) == len(pruned) + 3
    with pytest.raises(TMCIRError, match="WordPiece"):
        prune_vocabulary(train_tokenizer(TEXTS), ["red"], 10)


def test_pruning_keeps_the_embeddings_of_kept_tokens(tmp_path: Path, bert: Path) -> None:
    parts = {"image": str(save_vision(tmp_path, "vit")), "text": str(bert), "levels": 1}
    source = DualSource(**parts, image_size=SIDE, **SHAPE)
    torch.manual_seed(0)
    whole = DualEncoder.from_parts(source, ["red jeans"]).eval()
    pruned = DualEncoder.from_parts(
        source.model_copy(update={"vocabulary_size": 1}), ["red jeans"]
    ).eval()
    pruned.text_head.load_state_dict(whole.text_head.state_dict())
    one, other = (
        encoder.text_features(encoder.tokenize(["red jeans"])) for encoder in (whole, pruned)
    )
    torch.testing.assert_close(one.pooled, other.pooled)
    torch.testing.assert_close(one.tokens, other.tokens)


def test_parts_that_are_not_there_are_explained(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match="nowhere"):
        DualEncoder.from_parts(DualSource(image=str(tmp_path / "nowhere"), text=str(bert)), [])
    with pytest.raises(TMCIRError, match="made of two checkpoints"):
        DualEncoder.from_pretrained("x", {})
