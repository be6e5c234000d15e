"""The images of a training: read once, and drawn for every step as pixels or as features.

Letters used in shapes: U images, V views of each, S image side, P patch tokens, D joint embedding
size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from tmcir.core.hashing import stable_number
from tmcir.models.features import ImageFeatures
from tmcir.models.tmcir import TMCIR

READ_CHUNK = 256
ENCODE_CHUNK = 64
# Of the tokens that are kept; what the layers read of them is normed anyway.
KEPT = torch.float16
Item = TypeVar("Item")


class Images(Protocol):
    """Gives a step its images."""

    def draw(self, names: Sequence[str], seed: str) -> Tensor | ImageFeatures:
        """Return pixels, normalised float32 [U, 3, S, S], or features of U images.

        Args:
            names: The images.
            seed: Fixes what is drawn of each.

        Raises:
            ImageError: An image is missing or broken.
        """


class _Kept(Generic[Item]):
    """What was loaded of each image, as far as there is room; what is beyond is loaded again.

    Args:
        load: Loads some images by their names, in that order.
        capacity: Most images to keep.
        chunk: Images that are loaded at once, where they are loaded ahead of their use.
    """

    def __init__(
        self, load: Callable[[Sequence[str]], Iterable[Item]], capacity: int, chunk: int
    ) -> None:
        self._load = load
        self._capacity = capacity
        self._chunk = chunk
        self._items: dict[str, Item] = {}

    def read(self, names: Iterable[str]) -> None:
        """Load images ahead of their use, as many as there is room for."""
        room = self._capacity - len(self._items)
        missing = [name for name in dict.fromkeys(names) if name not in self._items][:room]
        for start in range(0, len(missing), self._chunk):
            chunk = missing[start : start + self._chunk]
            self._items.update(zip(chunk, self._load(chunk), strict=True))

    def get(self, names: Sequence[str]) -> list[Item]:
        """Return what was loaded of each image."""
        self.read(names)
        absent = [name for name in names if name not in self._items]
        fresh = dict(zip(absent, self._load(absent), strict=True)) if absent else {}
        return [fresh[name] if name in fresh else self._items[name] for name in names]


class ImageStore:
    """The training images as the tower sees them, read once and kept in memory as bytes.

    Args:
        model: Says how images are read.
        find: Says where an image lies, by its name.
        limit: Most bytes to keep; what is beyond is read again when it is needed.

    Attributes:
        encoder: The model's towers.
        limit: As given.
    """

    def __init__(self, model: TMCIR, find: Callable[[str], Path], limit: int) -> None:
        self.encoder = model.encoder
        self.limit = limit
        self._model = model
        self._find = find
        self._kept = _Kept(self._squares, limit // (3 * model.image_size**2), READ_CHUNK)

    def read(self, names: Iterable[str]) -> None:
        """Read images ahead of their use, as far as the memory limit allows.

        Raises:
            ImageError: An image is missing or broken.
        """
        self._kept.read(names)

    def get(self, names: Sequence[str]) -> Tensor:
        """Return uint8 [U, 3, S, S].

        Raises:
            ImageError: An image is missing or broken.
        """
        return torch.stack(self._kept.get(names))

    def _squares(self, names: Sequence[str]) -> Tensor:
        return self._model.read_pixels([self._find(name) for name in names])


class Crops:
    """New random crops in every step.

    Args:
        store: Reads the images.
        smallest: Smallest side of a crop, see ``random_crops``.
        device: Images go there as bytes and are cropped there, which is most of the work.
    """

    def __init__(
        self, store: ImageStore, smallest: float, device: torch.device | None = None
    ) -> None:
        self._store = store
        self._smallest = smallest
        self._device = device or torch.device("cpu")

    def draw(self, names: Sequence[str], seed: str) -> Tensor:
        """Return normalised pixels, float32 [U, 3, S, S]; see ``Images``."""
        squares = self._store.get(names).to(self._device)
        crops = random_crops(squares, self._smallest, seeded(seed))
        return self._store.encoder.preprocessor.normalise(crops)


class EncodedViews:
    """Views of every image that a frozen tower encoded once; each step draws among them.

    The first view is the whole image, as it is in a gallery; the others are random crops. The
    towers must not change any more.

    Args:
        store: Reads the images.
        count: V, views of each image.
        smallest: Smallest side of a crop, see ``random_crops``.
        seed: Fixes the crops.
        device: Where the towers are.
        autocast: Gives the precision that they are run in.

    The store's limit counts for the features, too; what is beyond is encoded again when it is
    needed.
    """

    def __init__(
        self,
        store: ImageStore,
        count: int,
        smallest: float,
        seed: str,
        device: torch.device | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._autocast = autocast
        self._store = store
        self._count = count
        self._smallest = smallest
        self._seed = seed
        self._device = device or torch.device("cpu")
        encoder = store.encoder
        size = encoder.embedding_size * (4 + encoder.image_tokens * KEPT.itemsize)
        self._kept = _Kept(self._views, store.limit // (count * size), ENCODE_CHUNK)

    def encode(self, names: Iterable[str]) -> None:
        """Encode images ahead of their use, as far as the memory limit allows.

        Raises:
            ImageError: An image is missing or broken.
        """
        self._kept.read(names)

    def draw(self, names: Sequence[str], seed: str) -> ImageFeatures:
        """Return the features of one view of each image, float32 on the device; see ``Images``."""
        chosen = torch.randint(self._count, (len(names),), generator=seeded(seed)).tolist()
        drawn = list(zip(self._kept.get(names), chosen, strict=True))
        return ImageFeatures(
            pooled=torch.stack([features.pooled[view] for features, view in drawn]),
            tokens=torch.stack([features.tokens[view] for features, view in drawn]),
        ).to(self._device, torch.float32)

    def _views(self, names: Sequence[str]) -> list[ImageFeatures]:
        """Encode all views of some images: pooled [V, D] and tokens [V, P, D] of each."""
        squares = self._store.get(names).to(self._device)
        normalise = self._store.encoder.preprocessor.normalise
        views = []
        for view in range(self._count):
            crops = squares.float() if view == 0 else self._crops(squares, names, view)
            with torch.no_grad(), self._autocast():
                features = self._store.encoder.image_features(normalise(crops))
            views.append(ImageFeatures(features.pooled.cpu(), features.tokens.to("cpu", KEPT)))
        pooled = torch.stack([features.pooled for features in views], dim=1)  # [U, V, D]
        tokens = torch.stack([features.tokens for features in views], dim=1)  # [U, V, P, D]
        return [ImageFeatures(*both) for both in zip(pooled, tokens, strict=True)]

    def _crops(self, squares: Tensor, names: Sequence[str], view: int) -> Tensor:
        """Crop each image by its own chance, whatever it is encoded with."""
        return torch.cat(
            [
                random_crops(square[None], self._smallest, seeded(f"{self._seed} {view} {name}"))
                for square, name in zip(squares, names, strict=True)
            ]
        )


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


def seeded(seed: str) -> torch.Generator:
    """Return a generator on the CPU whose numbers depend on ``seed`` alone."""
    return torch.Generator().manual_seed(stable_number(seed))
