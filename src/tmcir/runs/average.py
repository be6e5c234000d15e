"""A running average of weights, which often generalises better than the last weights do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Exponential running average of a module's trainable weights.

    The first update copies the weights. At update n, counted from 0, the average keeps
    min(decay, (1 + n) / (10 + n)) of itself, so that it soon forgets the first weights.

    Args:
        module: Its parameters that require gradients are averaged; buffers are not.
        decay: Share that the average keeps at each update, in [0, 1).

    Attributes:
        updates: Number of updates so far.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.updates = 0
        self._decay = decay
        self._weights = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._average = {name: p.detach().clone() for name, p in self._weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Include the current weights."""
        kept = min(self._decay, (1 + self.updates) / (10 + self.updates)) if self.updates else 0.0
        torch._foreach_lerp_(list(self._average.values()), self._current(), 1 - kept)
        self.updates += 1

    @torch.no_grad()
    def apply(self) -> None:
        """Give the module the averaged weights."""
        torch._foreach_copy_(self._current(), list(self._average.values()))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the module the averaged weights within the block."""
        kept = [weight.clone() for weight in self._current()]
        self.apply()
        try:
            yield
        finally:
            torch._foreach_copy_(self._current(), kept)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights by name."""
        return dict(self._average)

    def load_state_dict(self, state: dict[str, Tensor], updates: int) -> None:
        """Restore what ``state_dict`` returned after ``updates`` updates.

        Raises:
            ValueError: The names or shapes are not those of the module.
        """
        if state.keys() != self._average.keys():
            raise ValueError("the averaged weights are those of another model")
        for name, value in state.items():
            if value.shape != self._average[name].shape:
                raise ValueError(f"the averaged weight {name} has another shape")
            self._average[name].copy_(value)
        self.updates = updates

    def _current(self) -> list[Tensor]:
        return [parameter.data for parameter in self._weights.values()]
