"""TIRG: the image embedding, gated and with a residual (Vo et al., arXiv 1812.07119).

Letters used in shapes: N samples, D joint embedding size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from tmcir.models.composer import Composer, ComposerSettings, Composition
from tmcir.models.features import ImageFeatures, TextFeatures

if TYPE_CHECKING:
    from tmcir.models.encoders.base import Encoder


class TIRG(Composer):
    """Equations (1) to (3) of the paper, on pooled embeddings as in the authors' code.

    With x = sqrt(D) v_0, t = sqrt(D) t_0 and h = ReLU(norm([x; t])):

        q = normalise( w_g sigmoid(W_g h) * x  +  w_r W_r2 ReLU(W_r1 h) )

    What differs from the authors, and why: they leave embeddings unnormalised, with entries of
    the size of one, which the factor sqrt(D) restores, so that their weights 1 and 10 mean the
    same here; and their batch norm is a layer norm, because a query must not depend on what else
    is in its batch, micro-batch or process.

    Untrained, the query is random: the paper starts both branches at random.

    Args:
        embedding_size: D.
        gate_weight: Initial value of w_g.
        residual_weight: Initial value of w_r.
    """

    title = "TIRG (https://arxiv.org/abs/1812.07119)"
    reads_tokens = False

    class Settings(ComposerSettings):
        """TIRG, arXiv 1812.07119."""

        gate_weight: float = Field(default=1.0, description="Initial value of w_g.")
        residual_weight: float = Field(default=10.0, description="Initial value of w_r.")

    def __init__(
        self, embedding_size: int, gate_weight: float = 1.0, residual_weight: float = 10.0
    ) -> None:
        super().__init__()
        both = 2 * embedding_size
        self.scale = math.sqrt(embedding_size)
        self.norm = nn.LayerNorm(both)
        self.gate = nn.Linear(both, embedding_size)  # W_g
        self.residual = nn.Sequential(
            nn.Linear(both, both),  # W_r1
            nn.ReLU(),
            nn.Linear(both, embedding_size),  # W_r2
        )
        self.gate_weight = nn.Parameter(torch.tensor(gate_weight))
        self.residual_weight = nn.Parameter(torch.tensor(residual_weight))

    def forward(
        self, image: ImageFeatures, text: TextFeatures, encoder: Encoder | None = None
    ) -> Composition:
        """Compose N queries from the pooled embeddings alone; ``encoder`` is not used."""
        scaled = self.scale * image.pooled
        both = torch.cat([scaled, self.scale * text.pooled], dim=-1)  # [N, 2D]
        hidden = functional.relu(self.norm(both))
        gated = torch.sigmoid(self.gate(hidden)) * scaled
        query = self.gate_weight * gated + self.residual_weight * self.residual(hidden)  # [N, D]
        return Composition(query=functional.normalize(query.float(), dim=-1))
