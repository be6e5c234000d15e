"""What an encoder hands to a fusion: pooled and token embeddings in the joint space.

Letters used in shapes: N samples, P patch tokens, L text tokens, D joint embedding size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Embeddings of N images.

    Attributes:
        pooled: float [N, D], L2-normalised (v_0 of METHOD.md section 1).
        tokens: float [N, P, D], patch tokens projected into the joint space (v_1..v_P).
    """

    pooled: Tensor
    tokens: Tensor

    def select(self, index: Tensor) -> ImageFeatures:
        """Return the rows at ``index`` (long [M])."""
        return ImageFeatures(self.pooled[index], self.tokens[index])

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> ImageFeatures:
        """Return the same features on ``device``, in ``dtype`` if one is given."""
        return ImageFeatures(self.pooled.to(device, dtype), self.tokens.to(device, dtype))


@dataclass(frozen=True, slots=True)
class TextTokens:
    """Tokenised texts: ids long [N, L + 2], right-padded; lengths long [N], start and end in."""

    ids: Tensor
    lengths: Tensor

    def select(self, index: Tensor | slice) -> TextTokens:
        """Return the rows at ``index`` (long [M], or a slice)."""
        return TextTokens(self.ids[index], self.lengths[index])

    def to(self, device: torch.device) -> TextTokens:
        """Return the same tokens on ``device``."""
        return TextTokens(self.ids.to(device), self.lengths.to(device))


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Embeddings of N texts.

    Attributes:
        pooled: float [N, D], L2-normalised (t_0).
        tokens: float [N, L, D], content tokens projected into the joint space (t_1..t_L).
        mask: bool [N, L], True where a token is content, False at padding.
        source: What the tower read, for methods that write a sentence around it; None where only
            the embeddings are known.
    """

    pooled: Tensor
    tokens: Tensor
    mask: Tensor
    source: TextTokens | None = None

    def select(self, index: Tensor) -> TextFeatures:
        """Return the rows at ``index`` (long [M])."""
        source = None if self.source is None else self.source.select(index)
        return TextFeatures(self.pooled[index], self.tokens[index], self.mask[index], source)

    def to(self, device: torch.device) -> TextFeatures:
        """Return the same features on ``device``."""
        source = None if self.source is None else self.source.to(device)
        return TextFeatures(
            self.pooled.to(device), self.tokens.to(device), self.mask.to(device), source
        )
