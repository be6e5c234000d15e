"""Heads of a dual encoder: from the features of a backbone into the joint space.

Letters used in shapes: N samples, P image tokens, L text tokens, C channels of the features, D
joint embedding size, W width of the attention, Q its queries.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Pooling = Literal["mean-max", "attention", "both"]
"""How image features are pooled: mean and maximum over places, attention over places, or both."""


class ResidualMLP(nn.Module):
    """A linear map plus a two-layer MLP, whose second layer starts at zero."""

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        output = nn.Linear(hidden, outputs)
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.mlp = nn.Sequential(
            nn.LayerNorm(inputs),
            nn.Linear(inputs, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            output,
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map float [..., inputs] to float [..., outputs]."""
        mapped: Tensor = self.linear(inputs) + self.mlp(inputs)
        return mapped


class AttentionPooling(nn.Module):
    """Learned queries read features with learned positions, as SigLIP's attention pooling does.

    Args:
        channels: C.
        places: P.
        outputs: D.
        width: W.
        queries: Q; their results are joined.
        heads: Attention heads; must divide ``width``.
    """

    def __init__(
        self, channels: int, places: int, outputs: int, width: int, queries: int, heads: int = 8
    ) -> None:
        super().__init__()
        self.heads = heads
        self.input = nn.Linear(channels, width)
        self.positions = nn.Parameter(torch.randn(places, width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(queries, width) * 0.1)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(queries * width, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Pool float [N, P, C] into float [N, D]."""
        samples = len(features)
        tokens = self.norm(functional.gelu(self.input(features) + self.positions))  # [N, P, W]
        key, value = self.key_value(tokens).unflatten(-1, (2, self.heads, -1)).unbind(2)
        queries = self.queries.unflatten(-1, (self.heads, -1)).expand(samples, -1, -1, -1)
        attended = functional.scaled_dot_product_attention(
            queries.transpose(1, 2).to(key.dtype), key.transpose(1, 2), value.transpose(1, 2)
        )  # [N, heads, Q, W / heads]
        joined = attended.transpose(1, 2).flatten(1)  # [N, Q W]
        pooled: Tensor = self.output(functional.gelu(joined))
        return pooled


class ImageHead(nn.Module):
    """From features of all places to the pooled embedding and to patch tokens.

    Features are standardised per channel by buffers that ``calibrate`` sets once, because channels
    of different strides differ in scale.

    Args:
        channels: C.
        places: P.
        embedding_size: D.
        pooling: See ``Pooling``.
        hidden: Hidden size of the MLP over mean and maximum.
        width: W of the attention.
        queries: Q of the attention.
        dropout: Share of dropped activations.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        channels: int,
        places: int,
        embedding_size: int,
        pooling: Pooling,
        hidden: int,
        width: int,
        queries: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.tokens = nn.Linear(channels, embedding_size)
        self.statistics = (
            None
            if pooling == "attention"
            else ResidualMLP(2 * channels, hidden, embedding_size, dropout)
        )
        self.attention = (
            None
            if pooling == "mean-max"
            else AttentionPooling(channels, places, embedding_size, width, queries)
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map float [N, P, C] to float32 [N, D], L2-normalised, and to tokens float [N, P, D]."""
        features = (features - self.mean) / self.std
        pooled = features.new_zeros(())
        if self.statistics is not None:
            both = torch.cat([features.mean(dim=1), features.amax(dim=1)], dim=-1)  # [N, 2C]
            pooled = pooled + self.statistics(both)
        if self.attention is not None:
            pooled = pooled + self.attention(features)
        return functional.normalize(pooled.float(), dim=-1), self.tokens(features)

    @torch.no_grad()
    def calibrate(self, features: Tensor) -> None:
        """Set mean and standard deviation of every channel from features [N, P, C]."""
        flat = features.float().flatten(0, 1)
        self.mean.copy_(flat.mean(dim=0))
        self.std.copy_(flat.std(dim=0).clamp(min=1e-3))


class TextHead(nn.Module):
    """From the states of a text model to the pooled embedding and to word tokens.

    Args:
        width: Of the text model.
        embedding_size: D.
        hidden: Hidden size of the MLP over the mean of the states.
        dropout: Share of dropped activations.
    """

    def __init__(self, width: int, embedding_size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.pooled = ResidualMLP(width, hidden, embedding_size, dropout)
        self.tokens = nn.Linear(width, embedding_size)

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Map states float [N, T, C] to float32 [N, D], L2-normalised, and to float [N, T, D].

        Args:
            states: Of all tokens, special ones included.
            mask: bool [N, T], False at padding.
        """
        kept = mask[..., None].to(states.dtype)
        mean = (states * kept).sum(dim=1) / kept.sum(dim=1)
        return functional.normalize(self.pooled(mean).float(), dim=-1), self.tokens(states)
