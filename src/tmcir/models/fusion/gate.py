"""The gate: how much of the pooled image and text embedding goes into a query.

Letters used in shapes: N samples, D joint embedding size, H hidden size.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tmcir.models.composer import Composer, ComposerSettings, Composition
from tmcir.models.features import ImageFeatures, TextFeatures, sum_weights


class Gate(nn.Module):
    """The gated sum of two embeddings, and a residual.

    With p both embeddings as the caller has normed them, h = dropout(GELU(W_h p)) and
    (g_v, g_t) = 2 softmax(W_g h):

        u = g_v v  +  g_t t  +  W_r h

    W_g and W_r start at zero: untrained, u is the sum of both.

    Args:
        embedding_size: D.
        hidden_size: H.
        channels: One pair of weights a channel; False: one for all.
        residual: Whether there is a W_r.
        dropout: Share of dropped activations.
    """

    def __init__(
        self,
        embedding_size: int,
        hidden_size: int,
        channels: bool = True,
        residual: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        both = 2 * embedding_size
        self.hidden = nn.Linear(both, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.weights = _zero(nn.Linear(hidden_size, both if channels else 2))
        self.residual = _zero(nn.Linear(hidden_size, embedding_size)) if residual else None

    def forward(
        self, pooled: Tensor, image: Tensor, text: Tensor, base: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Gate embeddings of images and texts.

        Args:
            pooled: p, float [N, 2D].
            image: v, float [N, D].
            text: t, float [N, D].
            base: float [N, 2], weights of the sum before training.

        Returns:
            u, float [N, D], not normalised; and the mean weights over channels, float [N, 2].
        """
        hidden = self.dropout(functional.gelu(self.hidden(pooled)))  # [N, H]
        logits = self.weights(hidden).float().unflatten(-1, (2, -1))
        gate = base[..., None] * 2 * functional.softmax(logits, dim=1)  # [N, 2, D or 1]
        total = gate[:, 0] * image + gate[:, 1] * text
        if self.residual is not None:
            total = total + self.residual(hidden)
        return total, 2 * functional.normalize(gate.mean(dim=-1), p=1, dim=-1)


class GatedSum(Composer):
    """The gate alone: a query from both pooled embeddings, without any token.

        q = normalise( g_v v_0  +  g_t t_0  +  W_r h )

    Untrained, the query is exactly the normalised sum.

    Args:
        embedding_size: D.
        hidden_size: Hidden size of the gate.
        channels: See ``Gate``.
        residual: See ``Gate``.
        dropout: See ``Gate``.
    """

    title = "a gated sum of image and text embedding"
    reads_tokens = False

    class Settings(ComposerSettings):
        """The gate of adaptive token fusion alone, METHOD.md section 4."""

        hidden_size: int = Field(default=512, ge=8, description="Hidden size of the gate.")
        channels: bool = Field(
            default=True, description="One pair of weights a channel; False: one for all."
        )
        residual: bool = Field(
            default=True, description="Add a linear map of the gate's hidden layer."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="Share of dropped activations.")

    def __init__(
        self, embedding_size: int, hidden_size: int, channels: bool, residual: bool, dropout: float
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * embedding_size)
        self.gate = Gate(embedding_size, hidden_size, channels, residual, dropout)

    def forward(
        self, image: ImageFeatures, text: TextFeatures, encoder: object = None
    ) -> Composition:
        """Compose N queries from the pooled embeddings alone; ``encoder`` is not used."""
        pooled = self.norm(torch.cat([image.pooled, text.pooled], dim=-1))
        base = sum_weights(image, text)
        total, weights = self.gate(pooled, image.pooled, text.pooled, base)
        return Composition(functional.normalize(total.float(), dim=-1), gate=weights)


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
