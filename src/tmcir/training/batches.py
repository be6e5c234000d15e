"""From samples to training batches: images drawn and texts tokenised per step.

A batch is a pure function of (seed, stage, step), so that a resumed run sees what an undisturbed
one would have seen, whatever the number of micro-batches. Letters used in shapes: B pairs, U
unique images, S image side, L text tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from tmcir.core.hashing import stable_number
from tmcir.models.encoders import Encoder
from tmcir.models.features import ImageFeatures, TextTokens
from tmcir.training.images import Images, States


@dataclass(frozen=True, slots=True)
class Sample:
    """One training pair, by name.

    Attributes:
        target: The image that the text, or the reference with the text, should find.
        texts: Equally likely texts; one is drawn per step.
        reference: The reference image; None in the alignment stage.
        group: Samples with equal groups are not negatives of each other; None groups by the text.
    """

    target: str
    texts: tuple[str, ...]
    reference: str | None = None
    group: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """B pairs and the images that they name, each image once.

    Attributes:
        images: float [U, 3, S, S], normalised; or states of U images, encoded before.
        text: Tokens of B texts.
        target: long [B], row of ``images`` that a pair's image, or its target image, is.
        reference: long [B], row of the reference image; None in the alignment stage.
        groups: long [B], equal where two pairs must not be negatives of each other.
    """

    images: Tensor | States
    text: TextTokens
    target: Tensor
    reference: Tensor | None
    groups: Tensor

    def image_features(self, encoder: Encoder) -> ImageFeatures:
        """Return the features of the U images, encoded now where they are pixels."""
        if isinstance(self.images, Tensor):
            return encoder.image_features(self.images)
        return encoder.features_of(self.images)

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on ``device``."""
        reference = None if self.reference is None else self.reference.to(device)
        return Batch(
            _map(self.images, lambda tensor: tensor.to(device)),
            self.text.to(device),
            self.target.to(device),
            reference,
            self.groups.to(device),
        )

    def split(self, size: int) -> list[Batch]:
        """Cut into micro-batches of ``size`` pairs, each with only the images that it names."""
        return [self._slice(slice(at, at + size)) for at in range(0, len(self.target), size)]

    def _slice(self, rows: slice) -> Batch:
        target = self.target[rows]
        reference = None if self.reference is None else self.reference[rows]
        named = target if reference is None else torch.cat([reference, target])
        used, inverse = named.unique(return_inverse=True)
        return Batch(
            images=_map(self.images, lambda tensor: tensor[used]),
            text=self.text.select(rows),
            target=inverse[-len(target) :],
            reference=None if reference is None else inverse[: len(target)],
            groups=self.groups[rows],
        )


def make_batch(samples: Sequence[Sample], encoder: Encoder, images: Images, seed: str) -> Batch:
    """Draw images and tokenise texts of samples; ``seed`` fixes the views and the choice of texts.

    Raises:
        ImageError: An image is missing or broken.
    """
    composed = samples[0].reference is not None
    targets = [sample.target for sample in samples]
    references = [str(sample.reference) for sample in samples] if composed else []
    names = list(dict.fromkeys([*references, *targets]))
    rows = {name: row for row, name in enumerate(names)}
    draw = random.Random(seed)
    texts = [draw.choice(sample.texts) for sample in samples]
    groups = [
        _number(sample.group if sample.group is not None else (text.casefold().strip(),))
        for sample, text in zip(samples, texts, strict=True)
    ]
    return Batch(
        images=images.draw(names, seed),
        text=encoder.tokenize(texts),
        target=torch.tensor([rows[name] for name in targets]),
        reference=torch.tensor([rows[name] for name in references]) if composed else None,
        groups=torch.tensor(groups),
    )


def _map(images: Tensor | States, change: Callable[[Tensor], Tensor]) -> Tensor | States:
    return change(images) if isinstance(images, Tensor) else tuple(change(one) for one in images)


@lru_cache(maxsize=65536)
def _number(key: tuple[str, ...]) -> int:
    """Return a 63-bit number for a key: the same in every process, unlike ``hash``."""
    return stable_number("\n".join(key))
