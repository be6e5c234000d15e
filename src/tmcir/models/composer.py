"""What a composition method is: features of an image and a text in, a query embedding out.

Letters used in shapes: N samples, P patch tokens, L text tokens, D joint embedding size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from torch import Tensor, nn

from tmcir.models.features import ImageFeatures, TextFeatures

if TYPE_CHECKING:
    from tmcir.models.encoder import Encoder


@dataclass(frozen=True, slots=True)
class MergeMap:
    """Which patch went into which word (equations 2 and 3 of METHOD.md).

    Attributes:
        similarity: float [N, P, L], S_ij, cosine of patch i and text token j; -1 at padding.
        assignment: long [N, P], the text token that absorbed a patch, -1 where it stays itself.
        absorbed: float [N, P], m_i, the part of a patch that its word absorbed; 0 or 1 where
            matching is hard.
        weights: float [N, P, L], w_ij; every column with a match sums to 1, others are 0.
        merged: float [N, L], max of m_i over M_j: how far a text token is a merged one.
        counts: float [N, L], sum of m_i over M_j: how many patches are in a token.
        alpha: float [N, L], share of the image in a merged token; 0 where nothing matched.
        threshold: float [N], theta.
    """

    similarity: Tensor
    assignment: Tensor
    absorbed: Tensor
    weights: Tensor
    merged: Tensor
    counts: Tensor
    alpha: Tensor
    threshold: Tensor

    @property
    def matched_share(self) -> Tensor:
        """Share of the patches that words absorbed, float [N]."""
        return self.absorbed.mean(dim=1)


@dataclass(frozen=True, slots=True)
class Composition:
    """N composed queries, and what the method can say of how they came about.

    Attributes:
        query: float [N, D], L2-normalised.
        gate: float [N, 2], (g_v, g_t), the weights of the pooled image and text embedding, which
            sum to 2: their means where each channel has its own; None where a method has no such
            weights.
        merge: The merge map; None where a method merges no tokens.
        lengths: long [N], tokens that the method's own layers read of each sample; None where they
            read none.
    """

    query: Tensor
    gate: Tensor | None = None
    merge: MergeMap | None = None
    lengths: Tensor | None = None

    @property
    def sequence_length(self) -> int | None:
        """Tokens that are read of the longest sample; None where none are."""
        return None if self.lengths is None else int(self.lengths.max())


class Composer(nn.Module, ABC):
    """A trainable way to compose queries, over the features of both towers.

    A new method is one file with a subclass. Its name goes into ``tmcir.models.methods``, its
    settings for recipes into ``tmcir.training.methods``; then it is trained, saved, loaded and
    measured as every other.

    Attributes:
        title: What people call the method, and where it comes from; for model cards.
    """

    title: ClassVar[str]

    @classmethod
    @abstractmethod
    def for_encoder(cls, encoder: Encoder, **settings: Any) -> Self:
        """Build the method for these towers; ``settings`` are its own keyword arguments."""

    @abstractmethod
    def forward(self, image: ImageFeatures, text: TextFeatures, encoder: Encoder) -> Composition:
        """Compose N queries.

        Args:
            image: Features of N reference images.
            text: Features of N modification texts. A text without content tokens is allowed.
            encoder: The towers, for a method that runs one of them again.
        """

    def update_statistics(self) -> None:
        """Take in what was seen since the last call; called once an optimiser step."""
