"""The token sequence that fusion layers read.

Letters used in shapes: N samples, T tokens, D joint embedding size, H hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tokens:
    """A padded sequence of tokens.

    Attributes:
        values: float [N, T, D].
        places: float [N, T, H], the position and type vectors of each token.
        log_sizes: float [N, T], the attention bias of each token: the log of its size.
        mask: bool [N, T], False where a token has left the sequence or is padding.
    """

    values: Tensor
    places: Tensor
    log_sizes: Tensor
    mask: Tensor

    @property
    def lengths(self) -> Tensor:
        """Tokens of each sample, long [N]."""
        return self.mask.sum(dim=1)

    def select(self, rows: Tensor) -> Tokens:
        """Return the samples at ``rows``, long [M]."""
        return Tokens(self.values[rows], self.places[rows], self.log_sizes[rows], self.mask[rows])

    def compact(self) -> Tokens:
        """Move kept tokens to the front, in order, and cut to the longest sample of the batch."""
        kept = int(self.lengths.max())
        order = (~self.mask).to(torch.int8).argsort(dim=1, stable=True)[:, :kept]  # [N, T]

        def pick(values: Tensor) -> Tensor:
            return values.gather(1, order[..., None].expand(-1, -1, values.shape[-1]))

        return Tokens(
            values=pick(self.values),
            places=pick(self.places),
            log_sizes=self.log_sizes.gather(1, order),
            mask=self.mask.gather(1, order),
        )
