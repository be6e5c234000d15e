"""A model without weights and a folder of photos, both drawn in a moment."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from tmcir.core.images import read_image
from tmcir.gallery.query import ImageSource

if TYPE_CHECKING:
    from tmcir.models import Explanation


#: Words that the fake model reads.
WORDS = 50


class FakeModel:
    """Embeds an image as its 4 x 4 mean colours, a text as noise drawn from its letters."""

    name = "fake"
    embedding_size = 48
    image_size = 8

    def __init__(self, identity: str = "0123456789abcdef", seconds: float = 0.0) -> None:
        self.identity = identity
        self.seconds = seconds
        self.encoded = 0

    def encode_images(self, images: Sequence[ImageSource]) -> Tensor:
        self.encoded += len(images)
        time.sleep(self.seconds * len(images))
        read = [read_image(image, self.image_size).resize((4, 4)) for image in images]
        small = np.stack([np.asarray(image, np.float32) for image in read])
        return normalize(torch.from_numpy(small).reshape(len(images), 48) + 1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return normalize(torch.stack([self._noise(text) for text in texts]))

    def compose(
        self,
        images: Sequence[ImageSource],
        texts: Sequence[str],
        balance: float | Sequence[float] = 0.0,
    ) -> Tensor:
        image, text = self.encode_images(images), self.encode_texts(texts)
        shift = torch.as_tensor(balance).expand(len(texts)).unsqueeze(1)
        return normalize((1 - shift) * image + (1 + shift) * text)

    def explain(self, image: ImageSource, text: str) -> Explanation:
        from tmcir.models import Explanation  # seconds to import, and seldom needed

        self.encode_images([image])
        return Explanation((1.2, 0.8), text.split(), (2, 2))

    def unread(self, text: str) -> str:
        return " ".join(text.split()[WORDS:])

    def _noise(self, text: str) -> Tensor:
        digest = hashlib.blake2b(text.encode(), digest_size=48).digest()
        return torch.tensor(list(digest), dtype=torch.float32)


def draw_photos(folder: Path, count: int = 20, seed: int = 0) -> Path:
    """Write photos of random blocks, a third of them in a subfolder."""
    random = np.random.default_rng(seed)
    (folder / "shoes").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        place = folder / "shoes" if number % 3 == 0 else folder
        blocks = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((16, 16)).save(place / f"{number:03}.png")
    return folder
