"""Measuring pseudo-targets and rejecting bad ones, METHOD.md section 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tmcir.generation.recipe import FilterSettings
from tmcir.models.tmcir import TMCIR

_FULL_CHROMA = 250  # grey levels between the strongest and the weakest channel
_ROUNDING = 1e-5  # maximum difference of one image's embeddings in two batches


@dataclass(frozen=True, slots=True)
class Scores:
    """Measurements of one pseudo-target.

    Attributes:
        directional: Cosine between the change of the image embedding and the text embedding (CLIP
            directional similarity); None without a model, and where nothing changed.
        to_reference: Cosine between the image embeddings; None without a model.
        brightness: Mean brightness, 0 is black and 1 is white.
        saturated: Share of pixels of full chroma, which failed diffusion produces.
    """

    directional: float | None
    to_reference: float | None
    brightness: float
    saturated: float


class Scorer:
    """Measures pseudo-targets.

    Args:
        model: Measures the similarities; None skips them.
    """

    def __init__(self, model: TMCIR | None) -> None:
        self._model = model
        self._references: dict[str, Tensor] = {}

    def score(
        self,
        names: Sequence[str],
        references: Sequence[Image.Image],
        texts: Sequence[str],
        edited: Sequence[Image.Image],
    ) -> list[Scores]:
        """Measure N pseudo-targets.

        Args:
            names: Names of the references; each is encoded once.
            references: The references, RGB.
            texts: The modification texts.
            edited: The pseudo-targets, RGB.
        """
        directional: list[float | None] = [None] * len(names)
        to_reference: list[float | None] = [None] * len(names)
        if self._model is not None:
            before = self._embed_references(names, references)  # [N, D]
            after = self._model.encode_images(edited)
            change, text = after - before, self._model.encode_texts(texts)
            cosines = functional.cosine_similarity(change, text, dim=-1).tolist()
            moved = (change.norm(dim=-1) > _ROUNDING).tolist()
            directional = [c if m else None for c, m in zip(cosines, moved, strict=True)]
            to_reference = (before * after).sum(dim=-1).tolist()
        return [
            Scores(text, reference, *_pixel_scores(image))
            for text, reference, image in zip(directional, to_reference, edited, strict=True)
        ]

    def _embed_references(self, names: Sequence[str], references: Sequence[Image.Image]) -> Tensor:
        assert self._model is not None
        unseen = {
            name: image
            for name, image in zip(names, references, strict=True)
            if name not in self._references
        }
        embedded = self._model.encode_images(unseen.values())
        self._references.update(zip(unseen, embedded, strict=True))
        return torch.stack([self._references[name] for name in names])


def _pixel_scores(image: Image.Image) -> tuple[float, float]:
    pixels = np.asarray(image)
    brightness = float(np.asarray(image.convert("L")).mean()) / 255
    chroma = pixels.max(axis=-1).astype(int) - pixels.min(axis=-1)
    return brightness, float((chroma >= _FULL_CHROMA).mean())


def judge(table: pa.Table, settings: FilterSettings) -> list[str]:
    """Return the first filter that rejects each row of a manifest, "" where the row is kept.

    A similarity that was not measured rejects nothing. Where a model measured an image that did
    not change at all, ``directional`` rejects the row.
    """
    measured = _column(table, "to_reference")
    directional = _column(table, "directional")
    unmoved = np.isnan(directional) & ~np.isnan(measured)
    reasons = [
        ("dark", _column(table, "brightness") < settings.min_brightness),
        ("saturated", _column(table, "saturated") > settings.max_saturated),
        ("directional", (directional < settings.min_directional) | unmoved),
        ("reference", measured < settings.min_reference),
    ]
    rejected = np.full(table.num_rows, "", dtype=object)
    for name, rejects in reversed(reasons):
        rejected[rejects] = name
    return [str(name) for name in rejected]


def _column(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as float64 [N], null as not a number."""
    column: NDArray[np.float64] = table[name].to_numpy().astype(np.float64)
    return column
