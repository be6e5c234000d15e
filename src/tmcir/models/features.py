"""Features of images and texts: pooled and token embeddings in the joint space.

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
        norms: float [N], lengths of the pooled embeddings before they were normalised, of encoders
            that were trained on the sum of such embeddings; None for all others.
        parts: float [N, R, W], what ``Encoder.pool_image`` pools into ``pooled``, for composers
            that edit parts of an image; None where an encoder pools nothing.
    """

    pooled: Tensor
    tokens: Tensor
    norms: Tensor | None = None
    parts: Tensor | None = None

    def select(self, index: Tensor) -> ImageFeatures:
        """Return the rows at ``index`` (long [M])."""
        return ImageFeatures(
            self.pooled[index],
            self.tokens[index],
            None if self.norms is None else self.norms[index],
            None if self.parts is None else self.parts[index],
        )

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> ImageFeatures:
        """Return the same features on ``device``, in ``dtype`` if one is given."""
        return ImageFeatures(
            self.pooled.to(device, dtype),
            self.tokens.to(device, dtype),
            None if self.norms is None else self.norms.to(device, dtype),
            None if self.parts is None else self.parts.to(device, dtype),
        )


@dataclass(frozen=True, slots=True)
class TextTokens:
    """Tokenised texts.

    Attributes:
        ids: long [N, T], special tokens included, right-padded.
        lengths: long [N], special tokens included.
    """

    ids: Tensor
    lengths: Tensor

    def select(self, index: Tensor | slice) -> TextTokens:
        """Return the rows at ``index`` (long [M], or a slice)."""
        return TextTokens(self.ids[index], self.lengths[index])

    def to(self, device: torch.device) -> TextTokens:
        """Return the same tokens on ``device``."""
        return TextTokens(self.ids.to(device), self.lengths.to(device))


@dataclass(frozen=True, slots=True)
class TextStates:
    """What the frozen part of a text tower made of N texts, for training to cache.

    Attributes:
        source: What the tower read.
        values: Tensors of N rows each, as ``Encoder.text_states`` returned them.
    """

    source: TextTokens
    values: tuple[Tensor, ...]

    def select(self, index: Tensor | slice) -> TextStates:
        """Return the rows at ``index`` (long [M], or a slice)."""
        return TextStates(self.source.select(index), tuple(one[index] for one in self.values))

    def to(self, device: torch.device) -> TextStates:
        """Return the same states on ``device``."""
        return TextStates(self.source.to(device), tuple(one.to(device) for one in self.values))


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Embeddings of N texts.

    Attributes:
        pooled: float [N, D], L2-normalised (t_0).
        tokens: float [N, L, D], content tokens projected into the joint space (t_1..t_L).
        mask: bool [N, L], True where a token is content, False at padding.
        source: What the tower read, for methods that write a sentence around it; None where only
            the embeddings are known.
        norms: float [N], as in ``ImageFeatures``.
    """

    pooled: Tensor
    tokens: Tensor
    mask: Tensor
    source: TextTokens | None = None
    norms: Tensor | None = None

    def select(self, index: Tensor) -> TextFeatures:
        """Return the rows at ``index`` (long [M])."""
        return TextFeatures(
            self.pooled[index],
            self.tokens[index],
            self.mask[index],
            None if self.source is None else self.source.select(index),
            None if self.norms is None else self.norms[index],
        )


def sum_weights(image: ImageFeatures, text: TextFeatures) -> Tensor:
    """Return the weights of both pooled embeddings in a plain sum, float [N, 2]; they sum to 2.

    Both are 1, except for an encoder that was trained on the sum of embeddings before they are
    normalised: there a weight is the embedding's share of both lengths.
    """
    if image.norms is None or text.norms is None:
        return image.pooled.new_ones(image.pooled.shape[0], 2)
    norms = torch.stack([image.norms, text.norms], dim=-1)
    return 2 * norms / norms.sum(dim=-1, keepdim=True)
