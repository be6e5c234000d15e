"""Training images: read once, and sampled in each step as pixels or as features.

Letters used in shapes: U images, V views of each, S image side, P patch tokens, D joint embedding
size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from tmcir.core.hashing import stable_number
from tmcir.models.state_cache import StateCache, file_key
from tmcir.models.tmcir import TMCIR
from tmcir.training.cache import Cache, cached_states

READ_CHUNK = 256
ENCODE_CHUNK = 64

States = tuple[Tensor, ...]
"""Output of the frozen part of an encoder for U images, see ``Encoder.image_states``."""


class Images(Protocol):
    """The interface of a source of images for training steps."""

    def draw(self, names: Sequence[str], seed: str) -> Tensor | States:
        """Return pixels, normalised float32 [U, 3, S, S], or encoded states of U images.

        Args:
            names: The images.
            seed: Fixes the crop, or the view, of each.

        Raises:
            ImageError: An image is missing or broken.
        """


class ImageStore:
    """The training images at the tower's size, read once and kept in memory as bytes.

    Args:
        model: Its preprocessing reads the images.
        find: Returns the path of an image by its name.
        limit: Maximum bytes to keep; images beyond it are read again at each use.
        states: Keeps what frozen towers encode on disk; None: in memory alone.

    Attributes:
        encoder: The model's towers.
        limit: As given.
        states: As given.
    """

    def __init__(
        self,
        model: TMCIR,
        find: Callable[[str], Path],
        limit: int,
        states: StateCache | None = None,
    ) -> None:
        self.states = states
        self.encoder = model.encoder
        self.limit = limit
        self._model = model
        self._find = find
        self._cache = Cache(self._load, limit // (3 * model.image_size**2), READ_CHUNK)

    def read(self, names: Iterable[str]) -> None:
        """Read images before they are needed, as far as the memory limit allows.

        Raises:
            ImageError: An image is missing or broken.
        """
        self._cache.fill(names)

    def get(self, names: Sequence[str]) -> Tensor:
        """Return uint8 [U, 3, S, S].

        Raises:
            ImageError: An image is missing or broken.
        """
        return torch.stack(self._cache.get(names))

    def key(self, name: str, view: str) -> str:
        """Return the key of a view of an image in ``states``."""
        return file_key(self._find(name), view)

    def _load(self, names: Sequence[str]) -> Tensor:
        return self._model.read_pixels([self._find(name) for name in names])


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random crops and mirroring of training images.

    Attributes:
        min_crop: Minimum side of a crop as a share of the image's, in (0, 1]; 1 crops nothing.
        mirror: Whether half of the images are mirrored.
    """

    min_crop: float = 1.0
    mirror: bool = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Crop each image at random, scale it back, and mirror half of them on average.

        Args:
            images: uint8 or float [U, 3, S, S], values in 0..255.
            generator: On the CPU.

        Returns:
            float32 [U, 3, S, S], values in 0..255, on the images' device.
        """
        if self.min_crop == 1 and not self.mirror:
            return images.float()
        count = len(images)
        draw = torch.rand(4, count, generator=generator)
        side = self.min_crop + (1 - self.min_crop) * draw[0]
        direction = torch.where((draw[1] < 0.5) & self.mirror, -1.0, 1.0)
        shift = (1 - side) * (2 * draw[2:] - 1)  # [2, U]
        affine = torch.zeros(count, 2, 3)
        affine[:, 0, 0] = side * direction
        affine[:, 1, 1] = side
        affine[:, :, 2] = shift.T
        affine = affine.to(images.device)
        grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
        return functional.grid_sample(
            images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
        )


class Crops:
    """New random crops in every step, as pixels.

    Args:
        store: Reads the images.
        augmentation: Crops and mirrors them.
        device: Images go there as bytes and are cropped there, which is most of the work.
    """

    def __init__(
        self, store: ImageStore, augmentation: Augmentation, device: torch.device | None = None
    ) -> None:
        self._store = store
        self._augmentation = augmentation
        self._device = device or torch.device("cpu")

    def draw(self, names: Sequence[str], seed: str) -> Tensor:
        """Return normalised pixels, float32 [U, 3, S, S]; see ``Images``."""
        images = self._store.get(names).to(self._device)
        crops = self._augmentation(images, seeded(seed))
        return self._store.encoder.preprocessor.normalise(crops)


class EncodedViews:
    """Views of every image, encoded once by a frozen tower; each step samples one of them.

    The first view is the whole image, as in a gallery; the others are random crops. What is cached
    is the output of the encoder's frozen part, which must not change any more. The store's memory
    limit holds for the cache, too; images beyond it are encoded again at each use.

    Args:
        store: Reads the images.
        count: V, views of each image.
        augmentation: Crops and mirrors all views but the first.
        seed: Fixes the crops.
        device: Where the towers are.
        autocast: Gives the precision in which they run.
        reads_tokens: Whether tokens are kept; False where only pooled embeddings are read.
    """

    def __init__(
        self,
        store: ImageStore,
        count: int,
        augmentation: Augmentation,
        seed: str,
        device: torch.device | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        reads_tokens: bool = True,
    ) -> None:
        self._autocast = autocast
        self._reads_tokens = reads_tokens
        self._store = store
        self._count = count
        self._augmentation = augmentation
        self._seed = seed
        self._device = device or torch.device("cpu")
        side = store.encoder.preprocessor.size
        size = sum(state.nbytes for state in self._encode(torch.zeros(1, 3, side, side)))
        self._cache = Cache(self._views, store.limit // (count * size), ENCODE_CHUNK)

    def encode(self, names: Iterable[str]) -> None:
        """Encode images before they are needed, as far as the memory limit allows.

        Raises:
            ImageError: An image is missing or broken.
        """
        self._cache.fill(names)

    def draw(self, names: Sequence[str], seed: str) -> States:
        """Return the states of one view of each image, float32 on the device; see ``Images``."""
        chosen = torch.randint(self._count, (len(names),), generator=seeded(seed)).tolist()
        drawn = zip(self._cache.get(names), chosen, strict=True)
        states = zip(*([state[view] for state in states] for states, view in drawn), strict=True)
        return tuple(torch.stack(one).to(self._device, torch.float32) for one in states)

    def _views(self, names: Sequence[str]) -> list[States]:
        """Return all views of some images, from disk where they are: states of V rows each."""
        disk = self._store.states
        if disk is None:
            return self._encode_views(names)
        change = self._augmentation
        view = f"{self._count} {self._seed} {change.min_crop} {change.mirror}"
        keys = {name: self._store.key(name, view if self._count > 1 else "") for name in names}
        missing = [name for name in names if keys[name] not in disk]
        fresh = self._encode_views(missing) if missing else []
        if self._count > 1:
            disk.put([keys[name] for name in missing], fresh)
            return [states for name in names if (states := disk.get(keys[name])) is not None]
        # whole images, without the dimension of views: probe and measuring share them
        whole = [tuple(state[0] for state in states) for states in fresh]
        disk.put([keys[name] for name in missing], whole)
        found = [states for name in names if (states := disk.get(keys[name])) is not None]
        return [tuple(state[None] for state in states) for states in found]

    def _encode_views(self, names: Sequence[str]) -> list[States]:
        """Encode all views of some images."""
        images = self._store.get(names).to(self._device)
        normalise = self._store.encoder.preprocessor.normalise
        views = []
        for view in range(self._count):
            crops = images.float() if view == 0 else self._crops(images, names, view)
            views.append(self._encode(normalise(crops)))
        states = [torch.stack(one, dim=1) for one in zip(*views, strict=True)]  # [U, V, ...] each
        return list(zip(*states, strict=True))

    def _encode(self, pixels: Tensor) -> States:
        """Return the states of pixels on the CPU, as they are cached."""
        with torch.no_grad(), self._autocast():
            states = self._store.encoder.image_states(pixels.to(self._device), self._reads_tokens)
        return tuple(cached_states(states))

    def _crops(self, images: Tensor, names: Sequence[str], view: int) -> Tensor:
        """Crop each image by its own seed, so that crops do not depend on the chunk."""
        return torch.cat(
            [
                self._augmentation(image[None], seeded(f"{self._seed} {view} {name}"))
                for image, name in zip(images, names, strict=True)
            ]
        )


def seeded(seed: str) -> torch.Generator:
    """Return a generator on the CPU whose numbers depend only on ``seed``."""
    return torch.Generator().manual_seed(stable_number(seed))
