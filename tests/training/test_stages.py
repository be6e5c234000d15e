from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.tiny import build_model
from tests.training.colours import NAMES, Colours, names_of
from tmcir.core.errors import TMCIRError
from tmcir.data.dataset import Dataset, Triplet
from tmcir.data.fashion_products import FashionProducts
from tmcir.models import TMCIR
from tmcir.training.batches import Batch, Sample, make_batch
from tmcir.training.images import Augmentation, Crops, ImageStore
from tmcir.training.pairing import Pairing, make_pairing
from tmcir.training.recipe import AlignSettings
from tmcir.training.stages import Pairs, align, fuse, invert

# Three unit vectors in the plane and their cosines: (a, b) = 0.6, (a, c) = 0, (b, c) = 0.8.
A, B, C = [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]
TRIPLETS = [
    Triplet("1", "a", "in blue", target="b"),
    Triplet("2", "b", "in red", target="c", answers=("c", "d"), training_texts=("red", "is red")),
    Triplet("3", "c", "hidden", target=None),
    Triplet("4", "d", "in green", target="a", training_texts=("green",)),
]


@pytest.fixture
def colours(tmp_path: Path) -> Colours:
    return Colours(tmp_path, TRIPLETS)


@pytest.fixture
def model(colours: Colours) -> TMCIR:
    model = build_model(colours)
    torch.nn.init.normal_(model.get_parameter("composer.output.weight"))
    return model


def batch_of(samples: list[Sample], model: TMCIR, colours: Colours) -> Batch:
    return make_batch(
        samples,
        model.encoder,
        Crops(ImageStore(model, colours.image_path, 1 << 30), Augmentation()),
        "seed",
    )


def softmax_loss(own: float, *others: float) -> float:
    return -math.log(math.exp(own) / sum(math.exp(value) for value in (own, *others)))


def make_pairs(
    hard_negatives: list[list[float]] | None = None, groups: tuple[int, ...] = (0, 1)
) -> Pairs:
    return Pairs(
        left=torch.tensor([A, C]),
        right=torch.tensor([A, B]),
        hard_negatives=None if hard_negatives is None else torch.tensor(hard_negatives)[:, None],
        groups=torch.tensor(groups),
        scale=torch.tensor(2.0),
    )


# Stage 1


def captions(dataset: Dataset, skip: frozenset[str] = frozenset()) -> Pairing:
    return make_pairing(AlignSettings(), dataset, skip)


def test_alignment_needs_captions(tmp_path: Path) -> None:
    class Wordless(Colours):
        def captions(self) -> list[tuple[str, tuple[str, ...]]]:
            return []

    with pytest.raises(TMCIRError, match="colours has no captions to align on") as caught:
        captions(Wordless(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(TMCIRError, match="no captions"):
        captions(Colours(tmp_path), skip=frozenset(NAMES))


def test_an_epoch_of_alignment_has_every_caption_once(colours: Colours) -> None:
    samples = align(captions(colours), 0, False).samples(0)
    assert {sample.target: sample.texts for sample in samples} == dict(colours.captions())
    assert len(samples) == len(NAMES)
    assert all(sample.reference is None and sample.group is None for sample in samples)


def test_the_order_of_alignment_depends_on_seed_and_epoch(colours: Colours) -> None:
    def order(seed: int, epoch: int) -> list[str]:
        return [sample.target for sample in align(captions(colours), seed, False).samples(epoch)]

    assert order(3, 1) == order(3, 1)
    orders = [order(seed, epoch) for seed in (0, 1, 11) for epoch in (0, 1, 10)]
    assert all(sorted(names) == sorted(NAMES) for names in orders)
    # Of the 8! = 40,320 orders nine are different ones, and none is the dataset's own.
    assert len({tuple(names) for names in [*orders, list(NAMES)]}) == 10


def test_skipped_images_are_in_no_sample(colours: Colours) -> None:
    samples = align(captions(colours, frozenset(("a", "h"))), 0, False).samples(0)
    assert sorted(sample.target for sample in samples) == list("bcdefg")
    samples = fuse(colours, 0, True, True, skip=frozenset("c")).samples(0)
    assert {(sample.reference, sample.target) for sample in samples} == {("a", "b"), ("d", "a")}
    samples = fuse(colours, 0, True, True, skip=frozenset("a")).samples(0)
    assert [(sample.reference, sample.target) for sample in samples] == [("b", "c")]


def test_alignment_compares_each_image_with_its_text(colours: Colours, model: TMCIR) -> None:
    samples = [Sample(name, (f"colour {name}",)) for name in "bab"]
    pairs = align(captions(colours), 0, False).embed(model, batch_of(samples, model, colours))
    photos = [colours.image_path(name) for name in "bab"]
    texts = [f"colour {name}" for name in "bab"]
    torch.testing.assert_close(pairs.left.detach(), model.encode_images(photos))
    torch.testing.assert_close(pairs.right.detach(), model.encode_texts(texts))
    assert pairs.hard_negatives is None
    assert pairs.groups[0] == pairs.groups[2] != pairs.groups[1]
    pairs.left.sum().backward(retain_graph=True)
    assert model.encoder.clip.visual_projection.weight.grad is not None


# Textual inversion


def test_inversion_has_every_image_once_and_no_text(colours: Colours) -> None:
    stage = invert(colours, 0, True, skip=frozenset("a"))
    samples = stage.samples(0)
    # Those of the triplets: a, b, c, d, of which one is skipped.
    assert sorted(sample.target for sample in samples) == ["b", "c", "d"]
    assert {sample.texts for sample in samples} == {("",)}
    assert [sample.group for sample in samples] == [(sample.target,) for sample in samples]
    assert stage.samples(0) == samples
    orders = [[one.target for one in invert(colours, seed, True).samples(0)] for seed in range(9)]
    assert len({tuple(order) for order in orders}) > 1


def test_inversion_compares_each_image_with_its_sentence(colours: Colours) -> None:
    model = build_model(colours, method="pic2word")
    samples = [Sample(name, ("",), group=(name,)) for name in "bab"]
    pairs = invert(colours, 0, True).embed(model, batch_of(samples, model, colours))
    images = model.encode_images([colours.image_path(name) for name in "bab"])
    torch.testing.assert_close(pairs.left.detach(), images)
    sentences = model.composer.describe(images, model.encoder)
    torch.testing.assert_close(pairs.right, sentences)
    assert pairs.groups[0] == pairs.groups[2] != pairs.groups[1]
    assert pairs.hard_negatives is None


# Stage 2


def test_samples_of_fusion_carry_their_answers_as_group(colours: Colours) -> None:
    samples = fuse(colours, 0, True, True).samples(0)
    assert sorted(samples, key=lambda sample: str(sample.reference)) == [
        Sample("b", ("in blue",), reference="a", group=("b",)),
        Sample("c", ("red", "is red"), reference="b", group=("c",)),
        # The third has no known target.
        Sample("a", ("green",), reference="d", group=("a",)),
    ]


def test_an_epoch_of_any_dataset_has_every_triplet_once_in_an_order_of_its_own(
    colours: Colours,
) -> None:
    colours.triplets = [Triplet(str(n), "a", "change", target="b") for n in range(40)]
    epochs = [colours.training_triplets(epoch) for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    assert colours.training_triplets(0, seed=1) != epochs[0]
    for epoch in epochs:
        assert epoch != colours.triplets
        assert sorted(epoch, key=lambda triplet: int(triplet.id)) == colours.triplets


def test_fusion_follows_the_epochs_of_the_dataset(catalogue: Path) -> None:
    dataset = FashionProducts(catalogue, "train")
    stage = fuse(dataset, 0, True, True)
    for epoch in (0, 3):
        assert [(sample.reference, sample.target) for sample in stage.samples(epoch)] == [
            (triplet.reference, triplet.target) for triplet in dataset.training_triplets(epoch)
        ]
    assert stage.samples(0) != stage.samples(3)


def test_a_seed_changes_the_order_and_the_pairs_of_fusion(
    catalogue: Path, colours: Colours
) -> None:
    dataset = FashionProducts(catalogue, "train")
    pairs = [
        [(sample.reference, sample.target) for sample in fuse(dataset, seed, True, True).samples(0)]
        for seed in (0, 1, 0)
    ]
    assert pairs[0] == pairs[2]
    assert [reference for reference, _ in pairs[0]] != [reference for reference, _ in pairs[1]]
    assert set(pairs[0]) != set(pairs[1])  # fashion-products samples its pairs
    colours.triplets = [Triplet(str(n), "a", f"text {n}", target="b") for n in range(40)]
    first, second = (fuse(colours, seed, True, True).samples(0) for seed in (0, 1))
    assert first != second  # annotated triplets: another order of the same
    assert sorted(sample.texts for sample in first) == sorted(sample.texts for sample in second)


def test_items_of_one_caption_are_one_group(catalogue: Path) -> None:
    dataset = FashionProducts(catalogue, "train")
    model = build_model(dataset)
    samples = fuse(dataset, 0, True, True).samples(0)
    batch = make_batch(
        samples,
        model.encoder,
        Crops(ImageStore(model, dataset.image_path, 1 << 30), Augmentation()),
        "seed",
    )
    captions = [dataset.caption_of(sample.target) for sample in samples]
    assert len(set(captions)) == len(batch.groups.unique()) < len(samples)
    firsts = {caption: batch.groups[captions.index(caption)] for caption in captions}
    assert all(
        group == firsts[caption] for caption, group in zip(captions, batch.groups, strict=True)
    )


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param((("c", "d"), ("d", "c")), id="in-another-order"),
        pytest.param((("c", "d"), ("c", "e")), id="other-answers-beside-it"),
        pytest.param((("c", "d"), ()), id="answers-for-one-query-only"),
    ],
)
def test_equal_targets_are_not_negatives_whatever_else_is_an_answer(
    colours: Colours, model: TMCIR, answers: tuple[tuple[str, ...], ...]
) -> None:
    colours.triplets = [
        Triplet(reference, reference, "change", target="c", answers=own)
        for reference, own in zip("ab", answers, strict=True)
    ]
    batch = batch_of(list(fuse(colours, 0, True, True).samples(0)), model, colours)
    # METHOD.md section 3: j is not in the denominator of i when their targets are equal.
    assert batch.groups[0] == batch.groups[1]


@pytest.mark.parametrize("reference_as_negative", [True, False])
def test_fusion_compares_each_query_with_its_target(
    colours: Colours, model: TMCIR, reference_as_negative: bool
) -> None:
    stage = fuse(colours, 0, True, reference_as_negative)
    ordered = sorted(stage.samples(0), key=lambda sample: str(sample.reference))
    samples = [replace(sample, texts=sample.texts[:1]) for sample in ordered]
    pairs = stage.embed(model, batch_of(samples, model, colours))
    images = {name: colours.image_path(name) for name in NAMES}
    references = [images[name] for name in "abd"]
    queries = model.compose(references, ["in blue", "red", "green"])
    assert not torch.allclose(queries, model.encode_images(references), atol=0.1)
    torch.testing.assert_close(pairs.left.detach(), queries)
    targets = model.encode_images([images[name] for name in "bca"])
    torch.testing.assert_close(pairs.right.detach(), targets)
    assert (pairs.hard_negatives is not None) == reference_as_negative
    if pairs.hard_negatives is not None:
        own = model.encode_images(references)[:, None]
        torch.testing.assert_close(pairs.hard_negatives.detach(), own)
    pairs.left[0, 0].backward()
    gradients = [
        model.composer.output.weight.grad,
        model.encoder.clip.visual_projection.weight.grad,
        model.encoder.clip.text_projection.weight.grad,
    ]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("reference_as_negative", [True, False])
def test_members_of_an_image_set_are_negatives_of_their_query(
    reference_as_negative: bool, colours: Colours, model: TMCIR
) -> None:
    colours.triplets = [
        Triplet("1", "a", "in blue", target="b", subset=("b", "c", "d", "e")),
        Triplet("2", "c", "in red", target="d", subset=("d", "f")),
    ]
    stage = fuse(colours, 0, True, reference_as_negative, frozenset("e"), subset_negatives=2)
    samples = sorted(stage.samples(0), key=lambda sample: str(sample.reference))
    # Without target and without what is skipped.
    assert [sample.negatives for sample in samples] == [("c", "d"), ("f",)]
    images = Crops(ImageStore(model, colours.image_path, 1 << 30), Augmentation())
    batch = make_batch(samples, model.encoder, images, "seed", stage.negatives)
    pairs = stage.embed(model, batch)
    embedded = {name: model.encode_images([colours.image_path(name)])[0] for name in "abcdf"}
    first = int(reference_as_negative)
    assert pairs.hard_negatives is not None and pairs.hard_mask is not None
    assert pairs.hard_mask.tolist() == [[True] * (2 + first), [True] * (1 + first) + [False]]
    if reference_as_negative:
        for row, name in enumerate("ac"):
            torch.testing.assert_close(pairs.hard_negatives[row, 0], embedded[name])
    own = pairs.hard_negatives[0, first:].sum(dim=0)
    torch.testing.assert_close(own, embedded["c"] + embedded["d"])
    torch.testing.assert_close(pairs.hard_negatives[1, first], embedded["f"])


def test_as_many_negatives_are_sampled_as_asked(colours: Colours, model: TMCIR) -> None:
    sample = Sample("b", ("blue",), reference="a", negatives=("c", "d", "e"))
    images = Crops(ImageStore(model, colours.image_path, 1 << 30), Augmentation())
    seen = set()
    for seed in range(20):
        batch = make_batch([sample], model.encoder, images, str(seed), negatives=1)
        assert batch.negatives is not None and batch.negatives.shape == (1, 1)
        (name,) = set(names_of(batch, model)) - {"a", "b"}
        assert names_of(batch, model)[int(batch.negatives)] == name
        seen.add(name)
    assert seen == set("cde")


def test_only_fusion_updates_the_statistics(colours: Colours, model: TMCIR) -> None:
    model.train()
    first, second = align(captions(colours), 0, False), fuse(colours, 0, True, True)
    second.embed(model, batch_of(list(second.samples(0)), model, colours))
    first.after_step(model)
    assert model.composer.merger.statistics.steps.item() == 0
    second.after_step(model)
    assert model.composer.merger.statistics.steps.item() == 1
    assert model.composer.merger.statistics.square > 0


# Loss and temperature


def test_the_loss_is_one_way_or_symmetric_as_asked(colours: Colours) -> None:
    # Left to right: rows 2 * (1, 0.6) and 2 * (0.8, 0). Right to left: 2 * (1, 0), 2 * (0.8, 0.6).
    there = (softmax_loss(2.0, 1.2) + softmax_loss(1.6, 0.0)) / 2
    back = (softmax_loss(2.0, 0.0) + softmax_loss(1.6, 1.2)) / 2
    assert there != pytest.approx(back, abs=0.01)
    for symmetric, expected in ((False, there), (True, (there + back) / 2)):
        for stage in (align(captions(colours), 0, symmetric), fuse(colours, 0, symmetric, True)):
            assert stage.loss(make_pairs()).item() == pytest.approx(expected, abs=1e-6)


def test_the_loss_heeds_groups_and_hard_negatives(colours: Colours) -> None:
    stage = fuse(colours, 0, False, True)
    # Cosines to the own hard negative: (a, b) = 0.6 and (c, b) = 0.8.
    pairs = make_pairs(hard_negatives=[B, B])
    expected = (softmax_loss(2.0, 1.2, 1.2) + softmax_loss(1.6, 0.0, 1.6)) / 2
    assert stage.loss(pairs).item() == pytest.approx(expected, abs=1e-6)
    # One group: only the hard negatives are left.
    pairs = make_pairs(hard_negatives=[B, B], groups=(4, 4))
    expected = (softmax_loss(2.0, 1.2) + softmax_loss(1.6, 1.6)) / 2
    assert stage.loss(pairs).item() == pytest.approx(expected, abs=1e-6)
    assert align(captions(colours), 0, False).loss(make_pairs(groups=(4, 4))).item() == 0.0


@pytest.mark.parametrize(
    ("inverse_temperature", "scale"), [(5.0, 5.0), (99.0, 99.0), (101.0, 100.0), (1e6, 100.0)]
)
@pytest.mark.parametrize("name", ["align", "fuse"])
def test_the_scale_is_one_over_tau_and_at_most_100(
    colours: Colours, model: TMCIR, name: str, inverse_temperature: float, scale: float
) -> None:
    stage = align(captions(colours), 0, False) if name == "align" else fuse(colours, 0, True, True)
    model.encoder.logit_scale.data.fill_(math.log(inverse_temperature))
    pairs = stage.embed(model, batch_of(list(stage.samples(0)), model, colours))
    assert pairs.scale.item() == pytest.approx(scale, rel=1e-5)


@pytest.mark.parametrize("inverse_temperature", [20.0, 100.0, 120.0])
def test_the_temperature_learns_even_at_its_bound(
    colours: Colours, model: TMCIR, inverse_temperature: float
) -> None:
    stage = align(captions(colours), 0, False)
    scale = model.encoder.logit_scale
    scale.data.fill_(math.log(inverse_temperature))
    pairs = stage.embed(model, batch_of(list(stage.samples(0)), model, colours))
    # Every pair is wrong: the loss falls when the scale does, also after a step beyond the bound.
    rows = torch.eye(len(NAMES))
    stage.loss(replace(pairs, left=rows, right=rows.roll(1, dims=0))).backward()
    assert scale.grad is not None and scale.grad > 0


def test_a_change_reaches_every_row_but_not_the_scale() -> None:
    pairs = make_pairs(hard_negatives=[B, C])
    halved = pairs.map(lambda rows: rows[:1])
    assert halved.left.tolist() == [A] and halved.right.tolist() == [A]
    assert halved.hard_negatives is not None and halved.hard_negatives.shape == (1, 1, 2)
    assert halved.groups.tolist() == [0]
    assert halved.scale is pairs.scale
    assert make_pairs().map(lambda rows: rows[:1]).hard_negatives is None
    assert len(pairs.left) == 2


def test_fuse_adds_the_loss_on_captions_of_the_targets(colours: Colours) -> None:
    pairs = replace(
        make_pairs(),
        captions=torch.tensor([B, A]),
        caption_mask=torch.tensor([True, True]),
    )
    plain, weighted = (
        fuse(colours, 0, True, False, caption_weight=weight) for weight in (0.0, 0.5)
    )
    captions = replace(pairs, left=pairs.right, right=pairs.captions)
    expected = plain.loss(pairs) + 0.5 * plain.loss(captions)
    torch.testing.assert_close(weighted.loss(pairs), expected)
    # A target without a caption is neither a pair nor a negative: of two, one pair has loss 0.
    alone = replace(pairs, caption_mask=torch.tensor([True, False]))
    torch.testing.assert_close(weighted.loss(alone), plain.loss(pairs))


def test_batches_carry_captions_only_where_a_loss_asks_for_them(
    colours: Colours, model: TMCIR
) -> None:
    plain, described = (fuse(colours, 0, True, False, caption_weight=weight) for weight in (0, 1))
    without = batch_of(list(plain.samples(0)), model, colours)
    with_captions = batch_of(list(described.samples(0)), model, colours)
    assert without.captions is None and with_captions.captions is not None
    assert torch.equal(without.text.ids, with_captions.text.ids)
    pairs = described.embed(model, with_captions)
    assert pairs.captions is not None and pairs.captions.shape == pairs.right.shape
    parts = with_captions.split(2)
    assert sum(len(part.captions.lengths) for part in parts if part.captions is not None) == len(
        with_captions.target
    )
