"""The gate: how much of the pooled image and text embedding goes into a query.

Letters used in shapes: N samples, D joint embedding size.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tmcir.models.fusion.settings import FusionSettings


class Gate(nn.Module):
    """Weights (g_v, g_t) that sum to 2, in every channel or for all channels alike.

    The output layer starts at zero, whose softmax is even: both weights are 1.

    Args:
        embedding_size: D.
        settings: Of the fusion; ``settings.gate`` is ``channel`` or ``scalar``.
    """

    def __init__(self, embedding_size: int, settings: FusionSettings) -> None:
        super().__init__()
        outputs = 2 * embedding_size if settings.gate == "channel" else 2
        output = nn.Linear(settings.hidden_size, outputs)
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.layers = nn.Sequential(
            nn.Linear(2 * embedding_size, settings.hidden_size), nn.GELU(), output
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Return weights float32 [N, 2, D], or [N, 2, 1], for pooled embeddings [N, 2D]."""
        logits = self.layers(pooled).float().unflatten(-1, (2, -1))
        return 2 * functional.softmax(logits, dim=1)
