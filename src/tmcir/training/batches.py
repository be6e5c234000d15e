"""From a dataset to training batches: decoded once, augmented and tokenised per step.

A batch is a pure function of (seed, stage, step), so that a resumed run sees what an undisturbed
one would have seen, whatever the number of micro-batches. Letters used in shapes: B pairs, U
unique images, S image side, L text tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tmcir.hashing import stable_number
from tmcir.models.features import TextTokens
from tmcir.models.tmcir import TMCIR

READ_CHUNK = 256


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
        pixels: float [U, 3, S, S], normalised.
        text: Tokens of B texts.
        target: long [B], row of ``pixels`` that a pair's image, or its target image, is.
        reference: long [B], row of the reference image; None in the alignment stage.
        groups: long [B], equal where two pairs must not be negatives of each other.
    """

    pixels: Tensor
    text: TextTokens
    target: Tensor
    reference: Tensor | None
    groups: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on ``device``."""
        reference = None if self.reference is None else self.reference.to(device)
        return Batch(
            self.pixels.to(device),
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
            pixels=self.pixels[used],
            text=self.text.select(rows),
            target=inverse[-len(target) :],
            reference=None if reference is None else inverse[: len(target)],
            groups=self.groups[rows],
        )


class ImageStore:
    """The training images as the tower sees them, read once and kept in memory as bytes.

    Args:
        model: Says how images are read.
        find: Says where an image lies, by its name.
        limit: Most bytes to keep; what is beyond is read again when it is needed.
    """

    def __init__(self, model: TMCIR, find: Callable[[str], Path], limit: int) -> None:
        self._model = model
        self._find = find
        self._capacity = limit // (3 * model.image_size**2)
        self._kept: dict[str, Tensor] = {}

    def read(self, names: Iterable[str]) -> None:
        """Read images ahead of their use, as far as the memory limit allows.

        Raises:
            ImageError: An image is missing or broken.
        """
        room = self._capacity - len(self._kept)
        missing = [name for name in dict.fromkeys(names) if name not in self._kept][:room]
        for start in range(0, len(missing), READ_CHUNK):
            chunk = missing[start : start + READ_CHUNK]
            self._kept.update(zip(chunk, self._squares(chunk), strict=True))

    def get(self, names: Sequence[str]) -> Tensor:
        """Return uint8 [U, 3, S, S].

        Raises:
            ImageError: An image is missing or broken.
        """
        self.read(names)
        absent = [name for name in names if name not in self._kept]
        fresh = dict(zip(absent, self._squares(absent), strict=True)) if absent else {}
        return torch.stack([fresh[name] if name in fresh else self._kept[name] for name in names])

    def _squares(self, names: Sequence[str]) -> Tensor:
        return self._model.squares([self._find(name) for name in names])


def random_crops(squares: Tensor, smallest: float, generator: torch.Generator) -> Tensor:
    """Crop each image at random, scale it back, and mirror every second one on average.

    Args:
        squares: uint8 or float [U, 3, S, S], values in 0..255.
        smallest: Smallest side of a crop as a share of S, in (0, 1]; 1 leaves the images whole.
        generator: The source of chance, on the CPU.

    Returns:
        float32 [U, 3, S, S], values in 0..255, on the images' device.
    """
    count = len(squares)
    draw = torch.rand(4, count, generator=generator)
    side = smallest + (1 - smallest) * draw[0]
    mirrored = torch.where(draw[1] < 0.5, -1.0, 1.0)
    shift = (1 - side) * (2 * draw[2:] - 1)  # [2, U]
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0] = side * mirrored
    affine[:, 1, 1] = side
    affine[:, :, 2] = shift.T
    affine = affine.to(squares.device)
    grid = functional.affine_grid(affine, list(squares.shape), align_corners=False)
    return functional.grid_sample(
        squares.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def make_batch(
    samples: Sequence[Sample],
    model: TMCIR,
    store: ImageStore,
    smallest_crop: float,
    seed: str,
    device: torch.device | None = None,
) -> Batch:
    """Read, augment and tokenise samples; ``seed`` fixes the crops and the choice of texts.

    Images go to ``device`` as bytes and are cropped there, which is most of the work of a batch.
    None leaves everything on the CPU.

    Raises:
        ImageError: An image is missing or broken.
    """
    composed = samples[0].reference is not None
    targets = [sample.target for sample in samples]
    references = [str(sample.reference) for sample in samples] if composed else []
    names = list(dict.fromkeys([*references, *targets]))
    rows = {name: row for row, name in enumerate(names)}
    squares = store.get(names).to(device or torch.device("cpu"))
    crops = random_crops(squares, smallest_crop, seeded(seed))
    draw = random.Random(seed)
    texts = [draw.choice(sample.texts) for sample in samples]
    groups = [
        _number(sample.group if sample.group is not None else (text.casefold().strip(),))
        for sample, text in zip(samples, texts, strict=True)
    ]
    return Batch(
        pixels=model.encoder.preprocessor.normalise(crops),
        text=model.encoder.tokenize(texts),
        target=torch.tensor([rows[name] for name in targets]),
        reference=torch.tensor([rows[name] for name in references]) if composed else None,
        groups=torch.tensor(groups),
    )


def seeded(seed: str) -> torch.Generator:
    """Return a generator on the CPU whose numbers depend on ``seed`` alone."""
    return torch.Generator().manual_seed(_number((seed,)))


@lru_cache(maxsize=65536)
def _number(key: tuple[str, ...]) -> int:
    """Return a 63-bit number for a key: the same in every process, unlike ``hash``."""
    return stable_number("\n".join(key))
