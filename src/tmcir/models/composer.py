"""The interface of a composer: features of an image and a text in, a query embedding out.

Letters used in shapes: N samples, P patch tokens, L text tokens, D joint embedding size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from torch import Tensor, nn

from tmcir.models.features import ImageFeatures, TextFeatures
from tmcir.runs.settings import Settings

if TYPE_CHECKING:
    from tmcir.models.encoders.base import Encoder


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
    """N composed queries, with what explains them.

    Attributes:
        query: float [N, D], L2-normalised.
        gate: float [N, 2], (g_v, g_t), the weights of the pooled image and text embedding, which
            sum to 2: their means where each channel has its own; None where a method has no such
            weights.
        merge: The merge map; None where a method merges no tokens.
        lengths: long [N], tokens that the method's own layers read of each sample; None where they
            read none.
        without_tokens: float [N, D], L2-normalised, the queries that the pooled embeddings alone
            would give; None where a method reads no tokens.
    """

    query: Tensor
    gate: Tensor | None = None
    merge: MergeMap | None = None
    lengths: Tensor | None = None
    without_tokens: Tensor | None = None

    @property
    def sequence_length(self) -> int | None:
        """Tokens that are read of the longest sample; None where none are."""
        return None if self.lengths is None else int(self.lengths.max())


class ComposerSettings(Settings):
    """The settings of a composer, as recipes and saved models give them; none by default."""


class Composer(nn.Module, ABC):
    """A trainable way to compose queries, over the features of both towers.

    A new method is one file with a subclass, which owns its settings, and one line in
    ``tmcir.models.methods``; outside this package, the line is an entry point of the group
    ``tmcir.composers`` or the name ``module:Class``. It is then trained, saved, loaded and measured
    like any other method.

    Attributes:
        title: The method's name and its source; for model cards.
        Settings: The settings that recipes and saved models may give. Saved models hold the value
            of each, so that a changed default never changes a saved model.
        reads_tokens: Whether image or text tokens are read; False leaves projections that only
            tokens need untrained.

    Example::

        class Scaled(Composer):
            title = "the image plus a scaled text"

            class Settings(ComposerSettings):
                scale: float = Field(default=1.0, gt=0, description="Weight of the text.")

            def __init__(self, embedding_size: int, scale: float) -> None:
                super().__init__()
                self.scale = nn.Parameter(torch.full((embedding_size,), scale))

            def forward(self, image, text, encoder=None):
                query = image.pooled + self.scale * text.pooled
                return Composition(functional.normalize(query.float(), dim=-1))
    """

    title: ClassVar[str]
    Settings: ClassVar[type[ComposerSettings]] = ComposerSettings
    reads_tokens: ClassVar[bool] = True

    @classmethod
    def for_encoder(cls, encoder: Encoder, settings: Any) -> Self:
        """Build the method for these towers: by default ``cls(embedding_size, **settings)``.

        Args:
            encoder: The towers.
            settings: An instance of ``cls.Settings``.
        """
        return cls(encoder.embedding_size, **dict(settings))

    @abstractmethod
    def forward(self, image: ImageFeatures, text: TextFeatures, encoder: Encoder) -> Composition:
        """Compose N queries.

        Args:
            image: Features of N reference images.
            text: Features of N modification texts. A text without content tokens is allowed.
            encoder: The towers, for a method that runs a part of them again.
        """

    def update_statistics(self) -> None:
        """Update running statistics; called once an optimiser step."""
