"""How one query was composed.

Letters used in shapes: P patch tokens, L text tokens, D joint embedding size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tmcir.models.preprocessing import Fit


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one query was composed. Parts that a method does not have are None.

    Attributes:
        gate: (g_v, g_t), weights of the pooled image and text embedding, averaged over the
            channels; they sum to 2.
        words: The pieces of the text, in order.
        grid: Rows and columns of the patch grid; (1, 1) where image tokens have no place.
        fit: How the image was made square, as in ``ImagePreprocessor``.
        matched_share: Share of the patches that words absorbed, in [0, 1].
        merged: For every word the patches that it absorbed, as (row, column, w_ij) in the patch
            grid, heaviest first.
        image_share: For every word alpha_j, the share of the image in its merged token.
        threshold: theta, the minimum cosine at which a word absorbs a patch.
        region: The part of the image that the grid lies on, (left, top, right, bottom) as shares
            of its width and height; beyond [0, 1] where the image was padded.
        similarity: Cosines of the query with the pooled image and text embedding; every method
            has these.
        token_effect: Effect of image and text tokens: 1 - cosine of the query with the one composed
            from the same pooled embeddings without tokens. Near 0, ``merged`` has no effect on
            the query.
    """

    gate: tuple[float, float] | None
    words: list[str]
    grid: tuple[int, int]
    fit: Fit = "crop"
    matched_share: float | None = None
    merged: list[list[tuple[int, int, float]]] | None = None
    image_share: list[float] | None = None
    threshold: float | None = None
    region: tuple[float, float, float, float] | None = None
    similarity: tuple[float, float] | None = None
    token_effect: float | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """The merge map of one query: a sample of ``MergeMap``, in NumPy.

    Attributes:
        assignment: int [P], the text token that absorbed a patch, -1 where it stays itself.
        weights: float [P, L], w_ij.
        alpha: float [L], share of the image in a merged token.
        matched_share: Share of the patches that words absorbed.
        threshold: theta.
    """

    assignment: NDArray[np.int64]
    weights: NDArray[np.float32]
    alpha: NDArray[np.float32]
    matched_share: float
    threshold: float


def with_merge(explanation: Explanation, merge: Merged) -> Explanation:
    """Add a merge map to an explanation."""
    merged: list[list[tuple[int, int, float]]] = [[] for _ in explanation.words]
    for patch, word in enumerate(merge.assignment.tolist()):
        if word >= 0:
            weight = float(merge.weights[patch, word])
            merged[word].append((*divmod(patch, explanation.grid[1]), weight))
    for patches in merged:
        patches.sort(key=lambda patch: -patch[2])
    return replace(
        explanation,
        matched_share=merge.matched_share,
        merged=merged,
        image_share=merge.alpha[: len(explanation.words)].tolist(),
        threshold=merge.threshold,
    )


def token_effect(
    query: NDArray[np.float32], without_tokens: NDArray[np.float32] | None
) -> float | None:
    """Return what tokens do to a query: 1 - cosine with the query [D] that has none."""
    if without_tokens is None:
        return None
    return max(0.0, 1.0 - float(query.astype(np.float64) @ without_tokens.astype(np.float64)))
