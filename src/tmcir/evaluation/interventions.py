"""Do tokens matter? Recall after removing the information that only tokens carry.

Two interventions, without any training: each query reads the patches of another query's image and
keeps its own pooled embeddings; and the term W o, which reads the tokens, is zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tmcir.data.dataset import Dataset
from tmcir.evaluation.embedding import embed
from tmcir.evaluation.scoring import score
from tmcir.models.baselines.untrained import Compose
from tmcir.models.features import ImageFeatures, TextFeatures
from tmcir.models.fusion import AdaptiveTokenFusion

if TYPE_CHECKING:
    from tmcir.models.tmcir import TMCIR

SWAPPED, WITHOUT = "patches swapped", "W o = 0"


def measure_interventions(
    model: TMCIR, dataset: Dataset, protocol: str | None = None
) -> dict[str, dict[str, float]]:
    """Return a model's figures in percent after each intervention, by name.

    Returns:
        Figures by ``SWAPPED`` and ``WITHOUT``; empty for a method that reads no patch tokens.

    Raises:
        TMCIRError: The protocol is unknown, or the labels are hidden.
        ImageError: Images are missing or broken.
    """
    fusion = model.composer
    if not isinstance(fusion, AdaptiveTokenFusion):
        return {}

    def swapped(image: ImageFeatures, text: TextFeatures) -> Tensor:
        return model.fuse(swap_patches(image), text)

    found = {SWAPPED: _figures(model, dataset, protocol, swapped)}
    with _zeroed(fusion.output.weight):
        found[WITHOUT] = _figures(model, dataset, protocol, model.fuse)
    return found


def swap_patches(image: ImageFeatures) -> ImageFeatures:
    """Return the features with the patches of another row, of another image where there is one.

    Rows of one image follow each other, as in an evaluation: all rows are shifted by the length of
    the longest such run.
    """
    pooled = image.pooled
    starts = torch.ones(len(pooled), dtype=torch.bool, device=pooled.device)
    starts[1:] = (pooled[1:] != pooled[:-1]).any(dim=1)
    longest = int(torch.bincount(starts.cumsum(0)).max()) if len(pooled) else 0
    return replace(image, tokens=image.tokens.roll(longest, dims=0))


def _figures(
    model: TMCIR, dataset: Dataset, protocol: str | None, compose: Compose
) -> dict[str, float]:
    embeddings = embed(model, dataset, dataset.tasks(protocol), compose=compose)
    metrics = score(embeddings, dataset, protocol).overall.metrics
    return {name: metric.value for name, metric in metrics.items()}


@contextmanager
def _zeroed(weight: Tensor) -> Iterator[None]:
    before = weight.detach().clone()
    with torch.no_grad():
        weight.zero_()
    try:
        yield
    finally:
        with torch.no_grad():
            weight.copy_(before)
