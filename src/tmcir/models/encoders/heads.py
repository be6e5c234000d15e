"""Heads of a dual encoder: from the features of a backbone into the joint space.

Letters used in shapes: N samples, P image places, C channels of the features, W width of image
tokens in the head, Q attention slots, R parts, T text tokens, D joint embedding size.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Pooling = Literal["mean-max", "attention", "both"]
"""How image features are pooled: mean and maximum over places, attention slots, or both."""


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


class PlacedTokens(nn.Module):
    """Project features to the width of the head and add learned positions of the same scale."""

    def __init__(self, channels: int, places: int, width: int) -> None:
        super().__init__()
        self.input = nn.Linear(channels, width)
        self.input_norm = nn.LayerNorm(width)
        self.positions = nn.Parameter(torch.randn(places, width) * 0.5)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor) -> Tensor:
        """Map float [N, P, C] to float [N, P, W]."""
        tokens = self.input_norm(self.input(features)) + self.positions
        placed: Tensor = self.norm(tokens + self.mlp(tokens))
        return placed


class AttentionSlots(nn.Module):
    """Q learned queries, each of which reads all places."""

    def __init__(self, width: int, slots: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(slots, width))
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Read float [N, P, W] into float [N, Q, W]."""
        # Plain products: torch's fused attention is slow in bfloat16 backward passes on a CPU.
        scores = self.key(tokens) @ self.queries.to(tokens.dtype).T  # [N, P, Q]
        weights = functional.softmax(scores.float() / tokens.shape[-1] ** 0.5, dim=1)
        slots: Tensor = weights.transpose(1, 2).to(tokens.dtype) @ self.value(tokens)
        return slots


class ImageHead(nn.Module):
    """From the features of all places to parts of the image, from parts to its embedding.

    Parts are the attention slots, then mean and maximum over places, as ``pooling`` says. The
    embedding is a function of the parts alone, so that a composer can edit parts and pool them as
    those of a gallery's images were pooled. Features are standardised per channel by buffers that
    ``calibrate`` sets once, because channels of different strides differ in scale.

    Args:
        channels: C.
        places: P.
        embedding_size: D.
        pooling: See ``Pooling``.
        hidden: Hidden size of the MLPs over the parts.
        width: W; with mean and maximum alone, parts have the width C.
        slots: Q.
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
        slots: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        placed = pooling != "mean-max"
        self.num_slots = slots if placed else 0
        self.part_size = width if placed else channels
        self.num_parts = self.num_slots + (0 if pooling == "attention" else 2)
        self.placed = PlacedTokens(channels, places, width) if placed else nn.Identity()
        self.tokens = nn.Linear(self.part_size, embedding_size)
        self.slots = AttentionSlots(width, slots) if placed else None
        sizes = slots * width, hidden, embedding_size
        self.slot_output = ResidualMLP(*sizes, dropout) if placed else None
        sizes = 2 * self.part_size, hidden, embedding_size
        self.statistics_output = ResidualMLP(*sizes, dropout) if pooling != "attention" else None

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map float [N, P, C] to embeddings, tokens and parts.

        Returns:
            float32 [N, D], L2-normalised; float [N, P, D]; float [N, R, W].
        """
        tokens = self.placed((features - self.mean) / self.std)
        parts = [] if self.slots is None else [self.slots(tokens)]
        if self.statistics_output is not None:
            parts += [tokens.mean(dim=1, keepdim=True), tokens.amax(dim=1, keepdim=True)]
        joined = torch.cat(parts, dim=1)
        return self.pool(joined), self.tokens(tokens), joined

    def pool(self, parts: Tensor) -> Tensor:
        """Pool parts float [N, R, W] into float32 [N, D], L2-normalised."""
        slots, statistics = parts[:, : self.num_slots], parts[:, self.num_slots :]
        pooled = parts.new_zeros(())
        if self.slot_output is not None:
            pooled = pooled + self.slot_output(slots.flatten(1))
        if self.statistics_output is not None:
            pooled = pooled + self.statistics_output(statistics.flatten(1))
        return functional.normalize(pooled.float(), dim=-1)

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

    def forward(self, mean: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Map states to float32 [N, D], L2-normalised, and to float [N, T, D].

        Args:
            mean: float [N, width of the text model], the mean state of each text.
            states: float [N, T, width of the text model], special tokens included.
        """
        return functional.normalize(self.pooled(mean).float(), dim=-1), self.tokens(states)
