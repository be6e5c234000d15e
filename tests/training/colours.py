"""Images of one colour each: neither a crop nor a mirror changes them, so each is known again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from tmcir.data.dataset import Dataset, Task, Triplet
from tmcir.models.tmcir import TMCIR
from tmcir.training.batches import Batch

SIDE = 20
NAMES = tuple("abcdefgh")
COLOURS = {name: (30 * n, 255 - 25 * n, 7 * n) for n, name in enumerate(NAMES)}


class Colours(Dataset):
    """Images ``a`` to ``h``, each of one colour; counts how often each is looked for."""

    name = "colours"
    protocols = ("fashion200k",)

    def __init__(self, root: Path, triplets: Sequence[Triplet] = ()) -> None:
        self.root = root
        self.split = "train"
        self.triplets = triplets
        self.reads: Counter[str] = Counter()
        for name, colour in COLOURS.items():
            Image.new("RGB", (SIDE, SIDE), colour).save(root / f"{name}.png")

    def tasks(self, protocol: str | None = None) -> list[Task]:
        return []

    def find_image(self, name: str) -> Path | None:
        self.reads[name] += 1
        path = self.root / f"{name}.png"
        return path if path.is_file() else None

    def captions(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        return [(name, (f"colour {name}", "a red one", "in Blue")) for name in NAMES]


def names_of(batch: Batch, model: TMCIR) -> list[str]:
    """Return the name of each image of a batch, found by its colour."""
    preprocessor = model.encoder.preprocessor
    mean, std = torch.tensor(preprocessor.mean), torch.tensor(preprocessor.std)
    assert isinstance(batch.images, torch.Tensor)
    values = 255 * (batch.images.permute(0, 2, 3, 1) * std + mean)  # [U, S, S, 3]
    found = []
    for image in values:
        assert (image.amax(dim=(0, 1)) - image.amin(dim=(0, 1)) < 0.1).all()
        colour = tuple(round(value) for value in image.mean(dim=(0, 1)).tolist())
        found += [name for name, own in COLOURS.items() if own == colour]
    assert len(found) == len(batch.images)
    return found
