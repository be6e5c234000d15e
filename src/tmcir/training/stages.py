"""The stages as plain functions: samples, embeddings and loss of each."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from tmcir.data.dataset import Dataset, Triplet
from tmcir.models.baselines.pic2word import Pic2Word
from tmcir.models.tmcir import TMCIR
from tmcir.training.batches import Batch, Sample
from tmcir.training.losses import info_nce
from tmcir.training.pairing import Pairing, make_pairing
from tmcir.training.recipe import Recipe, StageSettings

LARGEST_SCALE = 100.0  # CLIP's own bound on 1 / tau


@dataclass(frozen=True, slots=True)
class Pairs:
    """Embeddings of B pairs, ready for the loss.

    Attributes:
        left: float [B, D], L2-normalised: images (align, invert) or queries (fuse).
        right: float [B, D], L2-normalised: texts (align), sentences (invert) or targets (fuse).
        groups: long [B], see ``info_nce``.
        scale: 1 / tau, a scalar.
        hard_negatives: float [B, K, D], L2-normalised; None where the stage has none.
        hard_mask: bool [B, K], False where a pair has fewer; None where all have K.
        captions: float [B, D], L2-normalised: texts that describe the targets; None: no such loss.
        caption_mask: bool [B], False where a target has no caption.
    """

    left: Tensor
    right: Tensor
    groups: Tensor
    scale: Tensor
    hard_negatives: Tensor | None = None
    hard_mask: Tensor | None = None
    captions: Tensor | None = None
    caption_mask: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Pairs:
        """Apply ``change`` to each tensor of B rows."""
        changed = {
            field.name: change(value)
            for field in fields(self)
            if field.name != "scale" and (value := getattr(self, field.name)) is not None
        }
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage, as the training loop sees it.

    Attributes:
        name: ``align``, ``invert`` or ``fuse``.
        samples: Gives the samples of an epoch, in the order in which they are trained.
        embed: Embeds a batch, with gradients.
        loss: Takes the gathered pairs and returns a scalar.
        after_step: Called after each optimiser step.
        negatives: Further negatives of each sample, sampled per step.
        trains_method: Whether the composer gets gradients. Otherwise it is frozen: with several
            processes, DDP waits for gradients of every parameter that is not.
    """

    name: str
    samples: Callable[[int], Sequence[Sample]]
    embed: Callable[[TMCIR, Batch], Pairs]
    loss: Callable[[Pairs], Tensor]
    after_step: Callable[[TMCIR], None]
    negatives: int = 0
    trains_method: bool = True


def align(pairs: Pairing, seed: int, symmetric: bool) -> Stage:
    """Stage 1: both towers on (image, text) pairs, equation (1) of METHOD.md.

    Args:
        pairs: The images and their texts.
        seed: Fixes the order.
        symmetric: Both directions of the loss.
    """

    def samples(epoch: int) -> Sequence[Sample]:
        chosen = pairs.of_epoch(random.Random(f"{seed} align {epoch}"))
        return [Sample(target=image, texts=texts) for image, texts in chosen]

    def embed(model: TMCIR, batch: Batch) -> Pairs:
        image = batch.image_features(model.encoder)
        text = batch.text_features(model.encoder)
        return Pairs(image.pooled[batch.target], text.pooled, batch.groups, _scale(model))

    def loss(pairs: Pairs) -> Tensor:
        return info_nce(pairs.left, pairs.right, pairs.scale, pairs.groups, symmetric)

    return Stage("align", samples, embed, loss, after_step=lambda model: None, trains_method=False)


def invert(
    dataset: Dataset, seed: int, symmetric: bool, skip: frozenset[str] = frozenset()
) -> Stage:
    """Textual inversion on images alone, the training of Pic2Word (arXiv 2302.03084).

    An image becomes a pseudo-word; the text "a photo of [word]" must find the image in the batch.
    The model's method must be ``pic2word``.

    Args:
        dataset: Gives all images of its split; no text of it is read.
        seed: Fixes the order.
        symmetric: Both directions of the loss, as in the paper.
        skip: Images to skip.
    """
    names = [name for name in dataset.image_names() if name not in skip]

    def samples(epoch: int) -> Sequence[Sample]:
        order = random.Random(f"{seed} invert {epoch}").sample(names, len(names))
        # Grouped by the image: the texts, which would be the groups, are all empty.
        return [Sample(target=name, texts=("",), group=(name,)) for name in order]

    def embed(model: TMCIR, batch: Batch) -> Pairs:
        assert isinstance(model.composer, Pic2Word)
        image = batch.image_features(model.encoder).pooled[batch.target]
        sentence = model.composer.describe(image, model.encoder)
        return Pairs(image, sentence, batch.groups, _scale(model))

    def loss(pairs: Pairs) -> Tensor:
        return info_nce(pairs.left, pairs.right, pairs.scale, pairs.groups, symmetric)

    return Stage("invert", samples, embed, loss, after_step=lambda model: None)


def fuse(
    dataset: Dataset,
    seed: int,
    symmetric: bool,
    reference_as_negative: bool,
    skip: frozenset[str] = frozenset(),
    subset_negatives: int = 0,
    caption_weight: float = 0.0,
) -> Stage:
    """Stage 2: towers and composition on triplets, equation (4) of METHOD.md.

    Args:
        dataset: The training split.
        seed: Fixes the order, and the pairs where the dataset samples them.
        symmetric: Both directions of the loss.
        reference_as_negative: Whether the reference is one more negative of its own query.
        skip: Images to skip, with every query that names one.
        subset_negatives: Number of members of a query's image set (CIRR) that are further
            negatives of it, sampled per step.
        caption_weight: Weight of a symmetric InfoNCE between the targets and their captions, which
            is added to equation (4), so that texts keep on describing images.
    """
    described = dict(dataset.captions()) if caption_weight else {}

    def samples(epoch: int) -> Sequence[Sample]:
        triplets = dataset.training_triplets(epoch, seed)
        groups = _answer_groups(triplets)
        return [
            Sample(
                target=triplet.target,
                texts=triplet.training_texts or (triplet.text,),
                reference=triplet.reference,
                group=(groups[triplet.target],),
                negatives=_subset_negatives(triplet, skip),
                captions=described.get(triplet.target, ()),
            )
            for triplet in triplets
            if triplet.target is not None and skip.isdisjoint((triplet.reference, triplet.target))
        ]

    def embed(model: TMCIR, batch: Batch) -> Pairs:
        return _embed_triplets(model, batch, reference_as_negative)

    def loss(pairs: Pairs) -> Tensor:
        return _triplet_loss(pairs, symmetric, caption_weight)

    return Stage(
        "fuse",
        samples,
        embed,
        loss,
        after_step=lambda model: model.composer.update_statistics(),
        negatives=subset_negatives,
    )


def _embed_triplets(model: TMCIR, batch: Batch, reference_as_negative: bool) -> Pairs:
    """Embed queries, targets, further negatives and captions of a batch of triplets."""
    assert batch.reference is not None
    image = batch.image_features(model.encoder)
    reference = image.select(batch.reference)
    query = model(reference, batch.text_features(model.encoder)).query
    pairs = Pairs(query, image.pooled[batch.target], batch.groups, _scale(model))
    captions = batch.caption_features(model.encoder)
    if captions is not None:
        pairs = replace(pairs, captions=captions[0], caption_mask=captions[1])
    rows = [batch.reference[:, None]] if reference_as_negative else []
    rows += [] if batch.negatives is None else [batch.negatives]
    if not rows:
        return pairs
    hard = torch.cat(rows, dim=1)  # [B, K]
    present = None if batch.negatives is None else hard >= 0
    return replace(pairs, hard_negatives=image.pooled[hard.clamp(min=0)], hard_mask=present)


def _triplet_loss(pairs: Pairs, symmetric: bool, caption_weight: float) -> Tensor:
    """Return equation (4), plus the weighted loss on captions."""
    composed = info_nce(
        pairs.left,
        pairs.right,
        pairs.scale,
        pairs.groups,
        symmetric,
        pairs.hard_negatives,
        pairs.hard_mask,
    )
    return composed + caption_weight * _caption_loss(pairs) if caption_weight else composed


def _caption_loss(pairs: Pairs) -> Tensor:
    """Return the symmetric InfoNCE of targets and captions; answers of one query are equal."""
    if pairs.captions is None or pairs.caption_mask is None or not bool(pairs.caption_mask.any()):
        return pairs.right.sum() * 0
    own = pairs.caption_mask
    return info_nce(
        pairs.right[own], pairs.captions[own], pairs.scale, pairs.groups[own], symmetric=True
    )


def _subset_negatives(triplet: Triplet, skip: frozenset[str]) -> tuple[str, ...]:
    """Return the members of a CIRR image set that do not answer the query."""
    answers = {triplet.target, *triplet.answers} | skip
    return tuple(name for name in triplet.subset if name not in answers)


def _answer_groups(triplets: Sequence[Triplet]) -> dict[str, str]:
    """Return a group for every right answer: images that answer one query are in one group.

    A group is named by its first image in alphabetical order, so that the order of triplets and
    of answers does not matter.
    """
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        parents.setdefault(name, name)
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    for triplet in triplets:
        if triplet.target is not None:
            for answer in triplet.answers:
                first, second = sorted((root(triplet.target), root(answer)))
                parents[second] = first
            root(triplet.target)
    return {name: root(name) for name in list(parents)}


def _scale(model: TMCIR) -> Tensor:
    scale = model.encoder.logit_scale.view(())
    # The parameter itself, as CLIP does it: beyond the bound its clamp would have no gradient.
    scale.data.clamp_(max=math.log(LARGEST_SCALE))
    return scale.exp()


def make_stages(
    recipe: Recipe, dataset: Dataset, skip: frozenset[str] = frozenset()
) -> tuple[list[tuple[Stage, StageSettings]], Mapping[str, Path]]:
    """Return the stages that a recipe lists with their settings, stage tune excepted.

    Args:
        recipe: The recipe.
        dataset: The training split.
        skip: Images to skip.

    Returns:
        The stages, and the paths of their images that are not of the dataset.

    Raises:
        TMCIRError: Stage align has nothing to learn from.
    """
    stages: list[tuple[Stage, StageSettings]] = []
    files: Mapping[str, Path] = {}
    listed, seed = recipe.stages, recipe.seed
    if listed.align is not None:
        pairing = make_pairing(listed.align, dataset, skip)
        files = pairing.files
        stages.append((align(pairing, seed, listed.align.symmetric), listed.align))
    if listed.invert is not None:
        stages.append((invert(dataset, seed, listed.invert.symmetric, skip), listed.invert))
    if listed.fuse is not None:
        stage = fuse(
            dataset,
            seed,
            listed.fuse.symmetric,
            listed.fuse.reference_as_negative,
            skip,
            listed.fuse.subset_negatives,
            listed.fuse.caption_weight,
        )
        stages.append((stage, listed.fuse))
    return stages, files
