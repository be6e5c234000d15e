"""An encoder that is one published model of transformers, with both towers in it.

Letters used in shapes: N samples, S image side.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from tmcir.models.encoders.base import Encoder, divisible, saved_config, stable_settings
from tmcir.models.encoders.pretrained import load_preprocessing, load_tokenizer, load_weights
from tmcir.models.preprocessing import ImagePreprocessor


class PublishedEncoder(Encoder):
    """An encoder over one model of transformers.

    A subclass takes ``(model, tokenizer, preprocessor, **options)`` and keeps the model under the
    name ``attribute``.

    Attributes:
        attribute: Name of the model in the encoder, in its weights and in saved configurations.
        model_class: Class of the model.
        config_class: Class of its configuration.
    """

    attribute: ClassVar[str]
    model_class: ClassVar[Any]
    config_class: ClassVar[Any]

    @property
    def towers(self) -> nn.Module:
        """The model of transformers."""
        model: nn.Module = getattr(self, self.attribute)
        return model

    @property
    def image_tokens(self) -> int:
        """P, the number of patch tokens of an image."""
        return int((self.preprocessor.size // self._vision.patch_size) ** 2)

    def config(self) -> dict[str, Any]:
        """Return the configuration of the model."""
        return {self.attribute: saved_config(self._config)}

    def embedding_settings(self) -> dict[str, Any]:
        """Return the settings that embeddings depend on."""
        return {self.attribute: stable_settings(self._config)}

    @classmethod
    def create(cls, config: Any) -> Any:
        """Create the model with random weights from its configuration."""
        return cls.model_class(config)

    @classmethod
    def options(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Return further arguments of the encoder, from a saved or a published configuration."""
        return {}

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        tokenizer: PreTrainedTokenizerBase,
        preprocessing: dict[str, Any],
    ) -> Self:
        """Build the encoder with random weights."""
        model = cls.create(cls.config_class(**config[cls.attribute]))
        return cls._of(model, tokenizer, preprocessing, config)

    @classmethod
    def from_pretrained(cls, source: str, config: dict[str, Any]) -> Self:
        """Load a published checkpoint, in float32."""
        model = load_weights(cls.model_class, source)
        return cls._of(model, load_tokenizer(source), load_preprocessing(source), config)

    def checked_size(self, size: int) -> int:
        """Return ``size``, of which patches must be a divisor."""
        return divisible(size, self._vision.patch_size)

    def run_vision_tower(self, pixel_values: Tensor) -> Any:
        """Run the vision tower over float [N, 3, S, S]; other sizes interpolate positions."""
        interpolated = pixel_values.shape[-1] != self._vision.image_size
        tower: Any = self.towers.vision_model
        return tower(pixel_values=pixel_values, interpolate_pos_encoding=interpolated)

    @property
    def _config(self) -> Any:
        return self.towers.config

    @property
    def _vision(self) -> Any:
        return self._config.vision_config

    @classmethod
    def _of(
        cls,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        preprocessing: dict[str, Any],
        config: dict[str, Any],
    ) -> Self:
        size = model.config.vision_config.image_size
        preprocessor = ImagePreprocessor.from_dict(preprocessing, size)
        made: Any = cls
        encoder: Self = made(model, tokenizer, preprocessor, **cls.options(config))
        return encoder
