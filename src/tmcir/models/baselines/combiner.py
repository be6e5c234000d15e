"""The Combiner of CLIP4Cir (Baldrati et al., arXiv 2308.11485).

Letters used in shapes: N samples, D joint embedding size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from tmcir.models.composer import Composer, ComposerSettings, Composition
from tmcir.models.features import ImageFeatures, TextFeatures

if TYPE_CHECKING:
    from tmcir.models.encoders.base import Encoder


class Combiner(Composer):
    """A convex combination of both pooled embeddings, plus what an MLP makes of them.

    With h = [drop(ReLU(P_t t_0)); drop(ReLU(P_v v_0))] and s = sigmoid(MLP_s(h)):

        q = normalise( W_o drop(ReLU(W_h h))  +  s t_0 + (1 - s) v_0 )

    In the paper a first stage fine-tunes the towers with the plain sum, and the Combiner is then
    trained on frozen ones: here stage fuse of method weighted-sum, and a second run from its model
    with ``tower_learning_rate: 0``; or both at once, as every other method is trained.

    Untrained, the query is not the normalised sum: the paper starts W_o and MLP_s at random.

    Args:
        embedding_size: D.
        projection_size: Size of P_t and P_v; None takes the paper's 4 D.
        hidden_size: Size of the hidden layers; None takes the paper's 8 D.
        dropout: Share of dropped activations, in all three places and in MLP_s.
    """

    title = "the Combiner of CLIP4Cir (https://arxiv.org/abs/2308.11485)"
    reads_tokens = False

    class Settings(ComposerSettings):
        """The Combiner of CLIP4Cir, arXiv 2308.11485."""

        projection_size: int | None = Field(
            default=None, ge=1, description="Size of both projections; none: 4 D, as in the paper."
        )
        hidden_size: int | None = Field(
            default=None, ge=1, description="Size of the hidden layers; none: 8 D, as in the paper."
        )
        dropout: float = Field(default=0.5, ge=0, lt=1, description="Share of dropped activations.")

    def __init__(
        self,
        embedding_size: int,
        projection_size: int | None = None,
        hidden_size: int | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        projection_size = projection_size or 4 * embedding_size
        hidden_size = hidden_size or 8 * embedding_size

        def layer(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout))

        self.text_projection = layer(embedding_size, projection_size)  # P_t
        self.image_projection = layer(embedding_size, projection_size)  # P_v
        self.hidden = layer(2 * projection_size, hidden_size)  # W_h
        self.output = nn.Linear(hidden_size, embedding_size)  # W_o
        self.scalar = nn.Sequential(
            *layer(2 * projection_size, hidden_size), nn.Linear(hidden_size, 1)
        )  # MLP_s

    def forward(
        self, image: ImageFeatures, text: TextFeatures, encoder: Encoder | None = None
    ) -> Composition:
        """Compose N queries from the pooled embeddings alone; ``encoder`` is not used.

        The gate is (2 - 2 s, 2 s).
        """
        projected = [self.text_projection(text.pooled), self.image_projection(image.pooled)]
        both = torch.cat(projected, dim=-1)  # [N, 2 projection_size]
        share = torch.sigmoid(self.scalar(both).float())  # [N, 1]
        query = self.output(self.hidden(both)) + share * text.pooled + (1 - share) * image.pooled
        return Composition(
            query=functional.normalize(query.float(), dim=-1),
            gate=2 * torch.cat([1 - share, share], dim=-1),
        )
