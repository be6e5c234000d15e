"""Adaptive token fusion: merge similar image and text tokens, then read one query embedding.

Implements METHOD.md section 4 (TMCIR, arXiv 2504.10995). Letters used in shapes: N samples,
D joint embedding size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.nn import functional

from tmcir.models.composer import Composer, Composition
from tmcir.models.features import ImageFeatures, TextFeatures, sum_weights
from tmcir.models.fusion.gate import Gate
from tmcir.models.fusion.merger import Merger
from tmcir.models.fusion.reader import Reader
from tmcir.models.fusion.settings import FusionSettings

if TYPE_CHECKING:
    from tmcir.models.encoders.base import Encoder


class AdaptiveTokenFusion(Composer):
    """Compose a query embedding from the tokens of an image and of a text.

    The merger merges similar patch and text tokens (equations 2 and 3), the reader reads the
    shortened sequence, and the gate weighs the two pooled embeddings:

        q = normalise( g_v v_0  +  g_t t_0  +  W o  [ +  W_r h ] )

    Untrained, the query is exactly the normalised sum of the two pooled embeddings: W starts at
    zero, the gate at (1, 1). Over an encoder that was trained on the sum of embeddings before they
    are normalised, it is exactly that sum.

    Args:
        embedding_size: D, size of the joint space.
        patches: P, patch tokens of an image.
        text_length: Longest text in content tokens; later ones share the last position.
        settings: See ``FusionSettings``.
    """

    title = "TMCIR (https://arxiv.org/abs/2504.10995)"
    Settings = FusionSettings

    def __init__(
        self,
        embedding_size: int,
        patches: int,
        text_length: int,
        settings: FusionSettings | None = None,
    ) -> None:
        super().__init__()
        settings = settings or FusionSettings()
        self.merger = Merger(patches, text_length, settings)
        self.reader = Reader(embedding_size, settings)
        self.output = nn.Linear(settings.hidden_size, embedding_size, bias=False)  # W
        nn.init.zeros_(self.output.weight)
        self.gate = None
        if settings.gate != "none":
            self.gate = Gate(
                embedding_size,
                settings.hidden_size,
                channels=settings.gate == "channel",
                residual=settings.gate_residual,
                dropout=settings.dropout,
            )
        both = 2 * embedding_size
        self.pooled_norm = nn.LayerNorm(both) if settings.pooled_norm else nn.Identity()

    @classmethod
    def for_encoder(cls, encoder: Encoder, settings: Any) -> Self:
        """Build the fusion for these towers."""
        return cls(encoder.embedding_size, encoder.image_tokens, encoder.text_length, settings)

    def forward(
        self,
        image: ImageFeatures,
        text: TextFeatures,
        encoder: Encoder | None = None,
        group_by_length: bool = True,
    ) -> Composition:
        """Compose N queries.

        Args:
            image: Features of N reference images.
            text: Features of N modification texts. A text without content tokens is allowed.
            encoder: Not used.
            group_by_length: Read samples of similar length together: less padding, the same
                queries.

        Returns:
            The queries, with gate and merge map.
        """
        tokens, merge = self.merger(image.tokens, text)
        pooled = self.pooled_norm(torch.cat([image.pooled, text.pooled], dim=-1))  # [N, 2D]
        read = self.output(self.reader(pooled, tokens, group_by_length))  # [N, D]
        weights = sum_weights(image, text)  # [N, 2]
        if self.gate is None:
            total = weights[:, :1] * image.pooled + weights[:, 1:] * text.pooled
        else:
            total, weights = self.gate(pooled, image.pooled, text.pooled, weights)
        return Composition(
            query=functional.normalize((total + read).float(), dim=-1),
            gate=weights,
            merge=merge,
            lengths=tokens.lengths + 1,
            without_tokens=functional.normalize(total.float(), dim=-1),
        )

    def update_statistics(self) -> None:
        """Update the running statistics of similarities, which theta is made of."""
        self.merger.statistics.update()
