"""The weighted sum of the two pooled embeddings.

Letters used in shapes: N samples, D joint embedding size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from tmcir.models.composer import Composer, ComposerSettings, Composition
from tmcir.models.features import ImageFeatures, TextFeatures, sum_weights

if TYPE_CHECKING:
    from tmcir.models.encoders.base import Encoder


class WeightedSum(Composer):
    """q = normalise((1 - w) v_0 + w t_0), one weight w for all queries.

    The weight is no parameter of the gradient: stage tune chooses it by the validation score,
    which is what it is judged by. At 0.5 the query is exactly the plain sum of ``sum_weights``.

    Args:
        weight: w, the weight of the text, in [0, 1].
    """

    title = "a weighted sum of image and text embedding"
    reads_tokens = False

    class Settings(ComposerSettings):
        """A weighted sum of the pooled embeddings."""

        weight: float = Field(default=0.5, ge=0, le=1, description="Weight of the text.")

    weight: Tensor

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(weight))

    @classmethod
    def for_encoder(cls, encoder: Encoder, settings: Any) -> Self:
        """Build the method; it does not depend on the towers."""
        return cls(settings.weight)

    def forward(
        self, image: ImageFeatures, text: TextFeatures, encoder: Encoder | None = None
    ) -> Composition:
        """Compose N queries from the pooled embeddings alone; ``encoder`` is not used."""
        gate = sum_weights(image, text) * torch.stack([1 - self.weight, self.weight])  # [N, 2]
        query = gate[:, :1] * image.pooled + gate[:, 1:] * text.pooled
        gate = 2 * functional.normalize(gate, p=1, dim=-1)
        return Composition(query=functional.normalize(query.float(), dim=-1), gate=gate)
