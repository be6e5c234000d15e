"""Composers without weights: image only, text only, and the normalised sum."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from tmcir.models.features import ImageFeatures, TextFeatures

Compose = Callable[[ImageFeatures, TextFeatures], Tensor]
"""Takes the features of N images and N texts, returns N query embeddings [N, D], L2-normalised."""


def image_only(image: ImageFeatures, text: TextFeatures) -> Tensor:
    """Return the pooled image embeddings: the text is ignored."""
    return image.pooled


def text_only(image: ImageFeatures, text: TextFeatures) -> Tensor:
    """Return the pooled text embeddings: the image is ignored."""
    return text.pooled


def normalised_sum(image: ImageFeatures, text: TextFeatures) -> Tensor:
    """Return the normalised sum of both, the usual zero-shot baseline."""
    return functional.normalize(image.pooled + text.pooled, dim=-1)


UNTRAINED_METHODS: dict[str, Compose] = {
    "image": image_only,
    "text": text_only,
    "sum": normalised_sum,
}
"""The baselines by the name that `tmcir evaluate --method` takes."""
