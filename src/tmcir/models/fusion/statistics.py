"""The running mean and standard deviation of patch-word similarities, which theta is made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOMENTUM = 0.01
"""Share of one optimiser step in the running mean."""


class SimilarityStatistics(nn.Module):
    """Running mean and mean square of S_ij, updated once an optimiser step.

    theta is then one number within a step, however the batch is split into micro-batches.

    Args:
        momentum: Share of one step in the running values.
    """

    mean: Tensor
    square: Tensor
    steps: Tensor
    pending: Tensor

    def __init__(self, momentum: float = MOMENTUM) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("square", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        # Sum, sum of squares and count since the last update; float64, not part of a checkpoint.
        self.register_buffer("pending", torch.zeros(3, dtype=torch.float64), persistent=False)

    def collect(self, similarity: Tensor, content: Tensor) -> None:
        """Add similarities [N, P, L] where ``content`` (bool [N, P, L]) is True."""
        values = similarity.detach().double() * content
        self.pending += torch.stack([values.sum(), values.square().sum(), content.sum().double()])

    def update(self) -> None:
        """Move the running values towards what was collected since the last call.

        Sums over processes where there are several.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.pending)
        total, squares, count = self.pending.unbind()
        if count > 0:
            momentum = 1.0 if self.steps == 0 else self.momentum
            self.mean.lerp_((total / count).to(self.mean), momentum)
            self.square.lerp_((squares / count).to(self.mean), momentum)
            self.steps += 1
        self.pending.zero_()

    def theta(self, similarity: Tensor, content: Tensor, kappa: float) -> Tensor:
        """Return theta = mean + kappa * std for each sample, float [N].

        It comes from the running values once there are any; before, from the sample's own
        similarities, so that a result never depends on the rest of the batch.
        """
        running = self.mean + kappa * (self.square - self.mean**2).clamp(min=0).sqrt()
        values = similarity.detach() * content
        count = content.sum(dim=(1, 2)).clamp(min=1)
        mean = values.sum(dim=(1, 2)) / count
        variance = (values.square().sum(dim=(1, 2)) / count - mean**2).clamp(min=0)
        # Chosen without a branch, so that an exported graph has no branch on data either.
        return running.where(self.steps > 0, mean + kappa * variance.sqrt())
