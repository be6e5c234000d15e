"""What an encoder hands to a fusion: pooled and token embeddings in CLIP's joint space.

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


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Embeddings of N texts.

    Attributes:
        pooled: float [N, D], L2-normalised (t_0).
        tokens: float [N, L, D], content tokens projected into the joint space (t_1..t_L).
        mask: bool [N, L], True where a token is content, False at padding.
    """

    pooled: Tensor
    tokens: Tensor
    mask: Tensor

    def select(self, index: Tensor) -> TextFeatures:
        """Return the rows at ``index`` (long [M])."""
        return TextFeatures(self.pooled[index], self.tokens[index], self.mask[index])

    def to(self, device: torch.device) -> TextFeatures:
        """Return the same features on ``device``."""
        return TextFeatures(self.pooled.to(device), self.tokens.to(device), self.mask.to(device))
