"""The (image, texts) pairs of stage align: captions, pseudo-targets, or their baselines."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tmcir.core.errors import TMCIRError
from tmcir.data.dataset import Dataset
from tmcir.data.pseudo_targets import PseudoTarget, read_pseudo_targets
from tmcir.training.recipe import AlignSettings

_PSEUDO = "pseudo-target of "

Pair = tuple[str, tuple[str, ...]]
"""An image's name, and equally likely texts for it."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Images and their texts.

    Attributes:
        pairs: All of them are in every epoch.
        captions: Sampled to make up ``caption_share`` of an epoch.
        caption_share: In [0, 1).
        files: Paths of images that are not of the dataset, by name.
    """

    pairs: Sequence[Pair]
    captions: Sequence[Pair] = ()
    caption_share: float = 0.0
    files: Mapping[str, Path] = field(default_factory=dict)

    def of_epoch(self, generator: random.Random) -> list[Pair]:
        """Return the pairs of an epoch in random order."""
        share = self.caption_share
        count = round(len(self.pairs) * share / (1 - share))
        sampled: list[Pair] = []
        while len(sampled) < count:  # each caption once before any comes twice
            sampled += generator.sample(self.captions, len(self.captions))
        mixed = [*self.pairs, *sampled[:count]]
        return generator.sample(mixed, len(mixed))


def make_pairing(
    settings: AlignSettings, dataset: Dataset, skip: frozenset[str] = frozenset()
) -> Pairing:
    """Collect the pairs of stage align.

    Args:
        settings: Of the stage.
        dataset: The training split.
        skip: Images to skip.

    Raises:
        TMCIRError: The dataset has no captions, or the pseudo-targets are not there, are none, or
            are of another dataset.
    """
    captions = [pair for pair in dataset.captions() if pair[0] not in skip]
    if not captions and (settings.pairs == "captions" or settings.caption_share):
        raise TMCIRError(
            f"{dataset.name} has no captions to align on: remove stage align from the recipe,"
            " or align on pseudo-targets alone"
        )
    if settings.pseudo_targets is None:
        return Pairing(captions)
    drawn = [
        row
        for row in read_pseudo_targets(settings.pseudo_targets)
        if skip.isdisjoint((row.reference, row.target or ""))
    ]
    _check(drawn, settings, dataset)
    pairs = [(_image(settings, row), (row.text,)) for row in drawn]
    files = {_PSEUDO + row.id: row.file for row in drawn}
    return Pairing(pairs, captions, settings.caption_share, files)


def _image(settings: AlignSettings, row: PseudoTarget) -> str:
    if settings.pairs == "references":
        return row.reference
    if settings.pairs == "targets":
        assert row.target is not None
        return row.target
    return _PSEUDO + row.id


def _check(drawn: Sequence[PseudoTarget], settings: AlignSettings, dataset: Dataset) -> None:
    folder = settings.pseudo_targets
    if not drawn:
        raise TMCIRError(f"{folder}: has no pseudo-target that passed the filters")
    for row in drawn:
        name = row.reference
        if settings.pairs == "targets" and dataset.has_image(row.reference):
            if row.target is None:
                raise TMCIRError(f"{folder}: the real target of {row.id!r} is not known")
            name = row.target
        if not dataset.has_image(name):
            raise TMCIRError(
                f"{folder}: holds pseudo-targets of another dataset: {dataset.name} has no image"
                f" {name!r}"
            )
