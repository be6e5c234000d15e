"""A convolutional stem for an image tower that is trained from scratch."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class ConvolutionalStem(nn.Module):
    """Stride-2 convolutions in place of one large patch projection.

    A transformer with such a stem learns from far fewer images and steps (Xiao et al., "Early
    Convolutions Help Transformers See Better", arXiv 2106.14881). It gives as many patch tokens as
    the projection that it replaces.

    Args:
        width: Channels of a patch token.
        patch_size: Side of a patch in pixels, a power of two from 4 on.
    """

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        halvings = patch_size.bit_length() - 1
        channels = [3, *(max(32, width >> (halvings - step)) for step in range(1, halvings + 1))]
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [
                nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1, bias=False),
                nn.GroupNorm(8, after),
                nn.GELU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], width, kernel_size=1))

    @property
    def weight(self) -> Tensor:
        """The first weights; transformers reads the data type of an image off them."""
        first = self.layers[0]
        assert isinstance(first, nn.Conv2d)
        return first.weight

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Turn float [N, 3, S, S] into patch tokens [N, width, S / patch_size, S / patch_size]."""
        pixels = pixel_values.contiguous(memory_format=torch.channels_last)
        tokens: Tensor = self.layers(pixels)
        return tokens
