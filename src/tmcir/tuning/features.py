"""Photos and texts encoded once by frozen towers, for probe, training and measuring alike."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from tmcir.core.errors import ImageError
from tmcir.core.progress import Progress
from tmcir.models.features import ImageFeatures, TextFeatures
from tmcir.models.state_cache import StateCache, file_key
from tmcir.models.tmcir import TMCIR
from tmcir.runs.prefetch import prefetch
from tmcir.training.cache import cached_states
from tmcir.training.texts import EncodedTexts

_CHUNK = 64
_READ_AHEAD = 2
_TEXT_MEMORY = 256 * 1024**2  # bytes


class EncodedPhotos:
    """The states of photos on disk, and features from them by any model with the same towers.

    Args:
        model: Its image tower is frozen; where its composer reads no image tokens, none are kept.
        folder: Folder of caches.
    """

    def __init__(self, model: TMCIR, folder: Path) -> None:
        self.model = model
        self._folder = folder
        self._others: dict[int, EncodedPhotos] = {id(model): self}
        model.encoder.freeze_tokens(not model.composer.reads_tokens)
        self.states = StateCache(folder, model.encoder.image_identity())
        reads_tokens = model.composer.reads_tokens
        self._texts = EncodedTexts(model.encoder, _TEXT_MEMORY, reads_tokens, model.device)

    def by(self, model: TMCIR) -> EncodedPhotos:
        """Return the same photos for another model, encoded again only where its towers differ."""
        known = self._others.get(id(model))
        if known is None:
            known = self._others[id(model)] = EncodedPhotos(model, self._folder)
        return known

    def read(self, texts: list[str]) -> TextFeatures:
        """Return the features of texts, whose tower runs once for each."""
        with torch.inference_mode():
            return self.model.encoder.text_features_of(self._texts.draw(texts))

    def has(self, path: Path) -> bool:
        """Return whether a photo was encoded."""
        return file_key(path) in self.states

    def encode(self, paths: Sequence[Path], progress: Progress | None = None) -> list[Path]:
        """Encode all photos that were not encoded before.

        Args:
            paths: The photos.
            progress: Called with photos done and photos in all.

        Returns:
            Those that cannot be read.
        """
        missing = [path for path in paths if file_key(path) not in self.states]
        done, broken = len(paths) - len(missing), list[Path]()
        chunks = [missing[start : start + _CHUNK] for start in range(0, len(missing), _CHUNK)]
        with closing(prefetch(self._read, chunks, _READ_AHEAD)) as read:
            for chunk, (kept, pixels) in zip(chunks, read, strict=True):
                broken += [path for path in chunk if path not in kept]
                if kept:
                    self.states.put([file_key(path) for path in kept], self._encode(pixels))
                done += len(chunk)
                if progress is not None:
                    progress(done, len(paths))
        return broken

    def features(self, paths: Sequence[Path]) -> ImageFeatures:
        """Return the features of photos, those of ``model.image_features`` but for float16.

        Raises:
            ImageError: A photo is broken.
        """
        self.encode(paths)
        states = self.raw(paths)
        with torch.inference_mode():
            return self.model.encoder.features_of(states)

    def raw(self, paths: Sequence[Path]) -> tuple[Tensor, ...]:
        """Return the states of photos that were encoded, float32 [N, ...] each."""
        found = []
        for path in paths:
            states = self.states.get(file_key(path))
            if states is None:
                raise ImageError(f"{path}: cannot be read")
            found.append(states)
        device = self.model.device
        return tuple(torch.stack(one).to(device, torch.float32) for one in zip(*found, strict=True))

    def _read(self, paths: Sequence[Path]) -> tuple[list[Path], Tensor]:
        """Read photos, without the broken ones."""
        try:
            return list(paths), self.model.preprocess(paths)
        except ImageError:
            kept = [path for path in paths if self._is_readable(path)]
            return kept, self.model.preprocess(kept) if kept else torch.empty(0)

    def _is_readable(self, path: Path) -> bool:
        try:
            self.model.preprocess([path])
        except ImageError:
            return False
        return True

    def _encode(self, pixels: Tensor) -> list[tuple[Tensor, ...]]:
        with torch.inference_mode():
            states = self.model.encoder.image_states(
                pixels.to(self.model.device), self.model.composer.reads_tokens
            )
        return list(zip(*cached_states(states), strict=True))
