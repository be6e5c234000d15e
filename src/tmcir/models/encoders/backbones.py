"""Image backbones of a dual encoder: EfficientNet-Lite, or any image model of transformers.

Letters used in shapes: N images, S side of the input in pixels, C channels, G side of the map.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from tmcir.core.errors import TMCIRError, first_line
from tmcir.models.encoders.base import saved_config, stable_settings
from tmcir.models.encoders.efficientnet import (
    MEAN,
    STD,
    VARIANTS,
    EfficientNetLite,
    fold_batch_norms,
)
from tmcir.models.encoders.packages import EFFICIENTNETS, package_folder
from tmcir.models.encoders.pretrained import load_preprocessing, load_weights


class ImageBackbone(nn.Module, ABC):
    """Turns pixels into feature maps, the coarsest last.

    Attributes:
        num_stages: How many stages can be frozen one after the other.
    """

    num_stages = 1

    @abstractmethod
    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return maps float [N, C, G, G], the coarsest last, for float [N, 3, S, S]."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return a JSON object from which ``create_backbone`` builds the same backbone."""

    def settings(self) -> dict[str, Any]:
        """Return the settings that features depend on."""
        return self.config()

    def first(self, pixels: Tensor, count: int) -> list[Tensor]:
        """Run the first ``count`` stages; ``rest`` continues from their output."""
        raise NotImplementedError

    def rest(self, states: list[Tensor], count: int) -> list[Tensor]:
        """Return all maps, from what ``first`` returned."""
        raise NotImplementedError

    def frozen_parameters(self, count: int, depthwise: bool) -> list[nn.Parameter]:
        """Return the weights of the first ``count`` stages, and all depthwise kernels if asked."""
        return list(self.parameters()) if count == self.num_stages else []


class EfficientNetBackbone(ImageBackbone):
    """EfficientNet-Lite; its maps have the strides 32, 16, 8, as many as there are levels."""

    num_stages = 7

    def __init__(self, width: float, depth: float, levels: int) -> None:
        super().__init__()
        self.net = EfficientNetLite(width, depth, levels)
        self.levels = levels

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return maps float [N, C, G, G], the coarsest last."""
        found: list[Tensor] = self.net(pixels)
        return found

    def first(self, pixels: Tensor, count: int) -> list[Tensor]:
        """Return the maps of the first stages, and the output of the last of these."""
        output, found = self.net.first(pixels, count)
        return [*found, output]

    def rest(self, states: list[Tensor], count: int) -> list[Tensor]:
        """Return all maps."""
        *found, output = states
        return [*found, *self.net.rest(output, count)]

    def frozen_parameters(self, count: int, depthwise: bool) -> list[nn.Parameter]:
        """Return the weights of the first ``count`` stages, and all depthwise kernels if asked."""
        parts: list[nn.Module] = [self.net.stem, *self.net.stages[:count]] if count else []
        frozen = [parameter for part in parts for parameter in part.parameters()]
        if depthwise:
            named = self.net.named_parameters()
            frozen += [weight for name, weight in named if name.endswith("depthwise.weight")]
        return frozen

    def config(self) -> dict[str, Any]:
        """Return the shape."""
        return {
            "kind": "efficientnet-lite",
            "width": self.net.width,
            "depth": self.net.depth,
            "levels": self.levels,
        }


class TransformersBackbone(ImageBackbone):
    """Any image model of transformers: a convolutional one, or a vision transformer.

    Args:
        model: The model.
        levels: Of a convolutional one the last stages, of a transformer the last layers.
    """

    def __init__(self, model: Any, levels: int) -> None:
        super().__init__()
        self.net = without_pooler(model)
        self.levels = levels

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return maps float [N, C, G, G], the coarsest last."""
        output = self.net(pixel_values=pixels, output_hidden_states=self.levels > 1)
        states = [output.last_hidden_state]
        if self.levels > 1:
            # The last hidden state may lack the final norm, which the output has.
            states = [*output.hidden_states[-self.levels : -1], *states]
        return [self._map(state) for state in states]

    def _map(self, state: Tensor) -> Tensor:
        if state.ndim == 4:
            return state
        side = int(state.shape[1] ** 0.5)  # special tokens come first, and are fewer than a row
        patches = state[:, state.shape[1] - side * side :]  # [N, G * G, C]
        maps: Tensor = patches.transpose(1, 2).unflatten(2, (side, side))
        return maps

    def config(self) -> dict[str, Any]:
        """Return the configuration of the model."""
        config = saved_config(self.net.config)
        return {"kind": "transformers", "levels": self.levels, "config": config}

    def settings(self) -> dict[str, Any]:
        """Return the settings that features depend on."""
        return {
            "kind": self.net.config.model_type,
            "levels": self.levels,
            "config": stable_settings(self.net.config),
        }


def create_backbone(config: dict[str, Any]) -> ImageBackbone:
    """Build a backbone with random weights, as ``ImageBackbone.config`` described it."""
    if config["kind"] == "efficientnet-lite":
        return EfficientNetBackbone(config["width"], config["depth"], config["levels"])
    model = AutoModel.from_config(AutoConfig.for_model(**config["config"]))
    return TransformersBackbone(model, config["levels"])


def load_backbone(source: str, levels: int) -> tuple[ImageBackbone, dict[str, Any]]:
    """Load a pretrained backbone, and the content of its preprocessor_config.json.

    Args:
        source: ``efficientnet-lite0``, ``-lite1`` or ``-lite2`` (extra ``pretrain``), or a folder
            or Hugging Face id of an image model of transformers.
        levels: Number of feature maps.

    Raises:
        TMCIRError: There are no such weights, or they are incomplete.
    """
    folder = package_folder(source) if source in EFFICIENTNETS else None
    if folder is None:
        model = load_weights(AutoModel, source, optional=("pooler",))
        return TransformersBackbone(model, levels), load_preprocessing(source)
    width, depth = VARIANTS[source.removeprefix("efficientnet-")]
    backbone = EfficientNetBackbone(width, depth, levels)
    try:
        (file,) = folder.glob("*.pth")
        # The one format that the package has; weights_only reads tensors and runs no code.
        weights = torch.load(file, map_location="cpu", weights_only=True)
        backbone.net.load_state_dict(fold_batch_norms(weights, backbone.net))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TMCIRError(f"{source}: cannot load the weights: {first_line(error)}") from None
    return backbone, {"image_mean": MEAN, "image_std": STD}


def without_pooler(model: Any) -> Any:
    """Remove the pooler of a transformers model, which is not used here."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model
