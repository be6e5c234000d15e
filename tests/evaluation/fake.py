"""A model whose embeddings are looked up in a table, for tests of what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tmcir.data.dataset import Task
from tmcir.evaluation import Embeddings
from tmcir.models.features import ImageFeatures, TextFeatures


class _FakeModel:
    """Images are embedded by the name of their file, texts by their words.

    Args:
        images: Embedding of each image by its file name without extension.
        texts: Embedding of each text.
    """

    name = "fake"
    method = "tmcir"
    composes_features = True
    device = torch.device("cpu")

    def __init__(
        self, images: dict[str, list[float]], texts: dict[str, list[float]] | None = None
    ) -> None:
        self._names = sorted(images)
        self._images = torch.tensor([images[name] for name in self._names])
        self._texts = texts or {}
        self.embedding_size = self._images.shape[1]
        self.encoded: list[list[str]] = []
        self.composed: list[int] = []

    def preprocess(self, paths: Sequence[Path]) -> Tensor:
        numbers = torch.tensor([self._names.index(path.stem) for path in paths])
        return numbers.view(-1, 1, 1, 1).expand(-1, 3, 2, 2).float()

    def image_features(self, pixels: Tensor) -> ImageFeatures:
        rows = pixels[:, 0, 0, 0].long()
        self.encoded.append([self._names[row] for row in rows.tolist()])
        pooled = self._images[rows]
        return ImageFeatures(pooled, pooled[:, None])

    def text_features(self, texts: Sequence[str]) -> TextFeatures:
        zeros = [0.0] * self.embedding_size
        pooled = torch.tensor([self._texts.get(text, zeros) for text in texts])
        return TextFeatures(pooled, pooled[:, None], torch.ones(len(texts), 1).bool())

    def fuse(self, image: ImageFeatures, text: TextFeatures, balance: float = 0.0) -> Tensor:
        self.composed.append(len(image.pooled))
        return functional.normalize(image.pooled + 2 * text.pooled, dim=-1)


FakeModel: Any = _FakeModel
"""For the type checker anything: it stands for a model wherever one is taken."""


def make_embeddings(task: Task, queries: Tensor, gallery: Tensor) -> Embeddings:
    """Embeddings of one task from tensors in its order."""
    image_rows = {name: row for row, name in enumerate(task.gallery)}
    query_rows = {triplet.id: row for row, triplet in enumerate(task.triplets)}
    return Embeddings(gallery, image_rows, queries, query_rows)
