"""Training examples of an editor: references, texts and targets as latents.

Letters used in shapes: N images, B edits, C latent channels, S latent side, L text tokens, W text
width.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from tmcir.data.dataset import Dataset, Triplet


@dataclass(frozen=True, slots=True)
class Example:
    """One edit to learn: the reference, equally likely texts, equally likely targets."""

    reference: str
    texts: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EditBatch:
    """B edits.

    Attributes:
        reference: float [B, C, S, S], latents of the references; zeros where dropped.
        target: float [B, C, S, S], latents of the targets, scaled to deviation 1.
        text: float [B, L, W], token states of the texts; those of an empty text where dropped.
        noise: float [B, C, S, S], standard normal.
        timestep: long [B].
    """

    reference: Tensor
    target: Tensor
    text: Tensor
    noise: Tensor
    timestep: Tensor

    def to(self, device: torch.device) -> EditBatch:
        """Return the same batch on ``device``."""
        return EditBatch(
            self.reference.to(device),
            self.target.to(device),
            self.text.to(device),
            self.noise.to(device),
            self.timestep.to(device),
        )


class NearestTargets:
    """Chooses targets that look like the reference, so that an edit changes what the text asks.

    Any two photos of a catalogue differ in far more than a modification text says. Among the right
    answers of a triplet the one nearest to the reference in the joint space differs in little else.

    Args:
        names: The images that edits may be between.
        embeddings: float [N, D], L2-normalised, in the order of ``names``.
        count: Number of targets to keep; 0 keeps the triplet's own.
    """

    def __init__(self, names: Sequence[str], embeddings: Tensor, count: int) -> None:
        self._row = {name: row for row, name in enumerate(names)}
        self._embeddings = embeddings
        self._count = count
        self._of = lru_cache(maxsize=None)(self._nearest)

    def of(self, triplet: Triplet) -> tuple[str, ...]:
        """Return the targets of a triplet, the nearest first; none where no image is known."""
        if triplet.target is None or triplet.reference not in self._row:
            return ()
        if self._count == 0 or not triplet.answers:
            return (triplet.target,) if triplet.target in self._row else ()
        return self._of(triplet.reference, triplet.answers)

    def _nearest(self, reference: str, answers: tuple[str, ...]) -> tuple[str, ...]:
        others = [name for name in answers if name != reference and name in self._row]
        rows = torch.tensor([self._row[name] for name in others])
        scores = self._embeddings[rows] @ self._embeddings[self._row[reference]]
        order = scores.argsort(descending=True, stable=True)[: self._count]
        return tuple(others[place] for place in order.tolist())


def examples(dataset: Dataset, epoch: int, choose: NearestTargets, seed: int = 0) -> list[Example]:
    """Return the edits of a training epoch that have a target; the seed is the training's."""
    return [
        Example(
            reference=triplet.reference,
            texts=triplet.training_texts or (triplet.text,),
            targets=targets,
        )
        for triplet in dataset.training_triplets(epoch, seed)
        if (targets := choose.of(triplet))
    ]


class TextStates:
    """Token states of texts, computed once each, as a diffusers pipeline computes them.

    Args:
        encode: From B texts to float [B, L, W].
    """

    def __init__(self, encode: Callable[[list[str]], Tensor]) -> None:
        self._encode = encode
        self._known: dict[str, Tensor] = {}

    def get(self, texts: Sequence[str]) -> Tensor:
        """Return float [B, L, W]."""
        missing = list(dict.fromkeys(text for text in texts if text not in self._known))
        if missing:
            self._known.update(zip(missing, self._encode(missing), strict=True))
        return torch.stack([self._known[text] for text in texts])


def draw(
    chosen: Sequence[Example],
    rows: dict[str, int],
    latents: Tensor,
    scaling: float,
    texts: TextStates,
    dropout: tuple[float, float, float],
    timesteps: int,
    seed: str,
    mirror: bool = True,
) -> EditBatch:
    """Turn examples into a batch; ``seed`` alone fixes texts, targets, mirroring and noise.

    Args:
        chosen: B examples.
        rows: Row of each image in ``latents``.
        latents: float [2, N, C, S, S]: of the images, and of the mirrored images.
        scaling: Factor that scales latents to standard deviation 1.
        texts: Gives the token states.
        dropout: Shares of edits without text, without reference, without both.
        timesteps: Number of the scheduler's training timesteps.
        seed: Any string.
        mirror: Whether half of the edits are mirrored, reference and target alike.
    """
    choices = random.Random(seed)
    size = len(chosen)
    reference = torch.tensor([rows[example.reference] for example in chosen])
    target = torch.tensor([rows[choices.choice(example.targets)] for example in chosen])
    words = [choices.choice(example.texts) for example in chosen]
    generator = torch.Generator().manual_seed(choices.getrandbits(63))
    mirrored = torch.randint(2, (size,), generator=generator) * mirror
    references, targets = latents[mirrored, reference], latents[mirrored, target]
    share = torch.rand(size, generator=generator)
    no_text, no_image, neither = dropout
    blank = (share < no_text) | (share >= 1 - neither)
    hidden = ((share >= no_text) & (share < no_text + no_image)) | (share >= 1 - neither)
    words = ["" if empty else word for word, empty in zip(words, blank.tolist(), strict=True)]
    return EditBatch(
        reference=references * ~hidden[:, None, None, None],
        target=targets * scaling,
        text=texts.get(words),
        noise=torch.randn(targets.shape, generator=generator),
        timestep=torch.randint(timesteps, (size,), generator=generator),
    )
