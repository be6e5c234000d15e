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

    With ``mean-max`` parts have no weights: the mean, the maximum, and the means over regions of
    the image, each standardised by buffers of its own. Training can cache them.

    Args:
        channels: C.
        places: P, a square.
        embedding_size: D.
        pooling: See ``Pooling``.
        hidden: Hidden size of the MLPs over the parts.
        width: W; with mean and maximum alone, parts have the width C.
        slots: Q.
        dropout: Share of dropped activations.
        regions: Rows and columns of regions, for ``mean-max``; 1: no part of a region.
        noise: Standard deviation of the noise that training adds to parts of ``mean-max``.
    """

    mean: Tensor
    std: Tensor
    part_mean: Tensor
    part_std: Tensor

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
        regions: int = 1,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.regions = regions
        self.noise = noise
        self.has_fixed_parts = pooling == "mean-max"
        placed = not self.has_fixed_parts
        self.num_slots = slots if placed else 0
        self.part_size = width if placed else channels
        statistics = 2 + (regions**2 if self.has_fixed_parts and regions > 1 else 0)
        self.num_parts = self.num_slots + (0 if pooling == "attention" else statistics)
        if self.has_fixed_parts:
            self.register_buffer("part_mean", torch.zeros(statistics, channels))
            self.register_buffer("part_std", torch.ones(statistics, channels))
        self.placed = PlacedTokens(channels, places, width) if placed else nn.Identity()
        self.tokens = nn.Linear(self.part_size, embedding_size)
        self.slots = AttentionSlots(width, slots) if placed else None
        sizes = slots * width, hidden, embedding_size
        self.slot_output = ResidualMLP(*sizes, dropout) if placed else None
        sizes = statistics * self.part_size, hidden, embedding_size
        self.statistics_output = ResidualMLP(*sizes, dropout) if pooling != "attention" else None

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map float [N, P, C] to embeddings, tokens and parts.

        Returns:
            float32 [N, D], L2-normalised; float [N, P, D]; float [N, R, W].
        """
        if self.has_fixed_parts:
            return self.forward_parts(self.fixed_parts(features), features)
        tokens = self.placed((features - self.mean) / self.std)
        assert self.slots is not None
        parts = [self.slots(tokens)]
        if self.statistics_output is not None:
            parts += [tokens.mean(dim=1, keepdim=True), tokens.amax(dim=1, keepdim=True)]
        joined = torch.cat(parts, dim=1)
        return self.pool(joined), self.tokens(tokens), joined

    def forward_parts(self, parts: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map ``fixed_parts`` and the features of the places that are read as ``forward`` does.

        Args:
            parts: float [N, R, C].
            features: float [N, P, C]; P may be 0 where no token is read.
        """
        if self.noise and self.training:
            parts = parts + self.noise * torch.randn_like(parts)
        return self.pool(parts), self.tokens((features - self.mean) / self.std), parts

    def fixed_parts(self, features: Tensor) -> Tensor:
        """Return the standardised parts of ``mean-max`` of features [N, P, C]: float [N, R, C]."""
        return (self._statistics(features) - self.part_mean) / self.part_std

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
        """Set mean and standard deviation of channels and fixed parts from features [N, P, C]."""
        flat = features.float().flatten(0, 1)
        self.mean.copy_(flat.mean(dim=0))
        self.std.copy_(flat.std(dim=0).clamp(min=1e-3))
        if self.has_fixed_parts:
            parts = self._statistics(features.float())
            self.part_mean.copy_(parts.mean(dim=0))
            self.part_std.copy_(parts.std(dim=0).clamp(min=1e-3))

    def _statistics(self, features: Tensor) -> Tensor:
        """Return mean, maximum and the means over regions of [N, P, C]: float [N, R, C]."""
        found = [features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)]
        if self.regions > 1:
            side = round(features.shape[1] ** 0.5)
            maps = features.transpose(1, 2).unflatten(2, (side, side))  # [N, C, G, G]
            means = functional.adaptive_avg_pool2d(maps, self.regions)
            found.append(means.flatten(2).transpose(1, 2))
        return torch.cat(found, dim=1)


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
