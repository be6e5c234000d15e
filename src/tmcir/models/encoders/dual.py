"""A dual encoder: any image backbone and any text model, with heads into one joint space.

Letters used in shapes: N samples, P image tokens, L text tokens, T tokens with special ones, C
channels of all levels together, D joint embedding size, S image side.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerBase

from tmcir.core.errors import TMCIRError
from tmcir.models.encoders.backbones import (
    ImageBackbone,
    create_backbone,
    load_backbone,
    without_pooler,
)
from tmcir.models.encoders.base import Encoder, saved_config, stable_settings
from tmcir.models.encoders.heads import ImageHead, Pooling, TextHead
from tmcir.models.encoders.packages import package_folder
from tmcir.models.encoders.pretrained import load_tokenizer, load_weights
from tmcir.models.encoders.vocabulary import prune_vocabulary
from tmcir.models.features import ImageFeatures, TextFeatures, TextStates, TextTokens
from tmcir.models.preprocessing import Fit, ImagePreprocessor
from tmcir.runs.settings import Settings

# Settings that embeddings do not depend on.
_TRAINING_ONLY = {"dropout", "noise", "temperature"}
# Texts that the text model reads at once.
_TEXT_GROUP = 64


class DualSettings(Settings):
    """Sizes of a dual encoder's heads and inputs."""

    image_size: int = Field(default=224, ge=16, description="Side of the input, in pixels.")
    embedding_size: int = Field(default=256, ge=8, description="Size of the joint space.")
    levels: int = Field(
        default=3,
        ge=1,
        le=5,
        description="Feature maps that are read together: of a convolutional backbone the last"
        " strides (8, 16 and 32), of a transformer the last layers.",
    )
    grid: int | None = Field(
        default=None,
        ge=1,
        description="Side of the grid of patch tokens; none: that of the coarsest map.",
    )
    pooling: Pooling = Field(
        default="both",
        description="Image pooling: by mean and maximum, by attention with positions, or the sum.",
    )
    image_hidden: int = Field(default=1024, ge=8, description="Hidden size of the image head.")
    attention_width: int = Field(default=192, ge=8, description="Width of attention pooling.")
    attention_slots: int = Field(default=8, ge=1, description="Queries of attention pooling.")
    text_hidden: int = Field(default=512, ge=8, description="Hidden size of the text head.")
    text_length: int = Field(default=62, ge=1, description="Longest text, in tokens.")
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of dropped activations in the heads."
    )
    regions: int = Field(
        default=1,
        ge=1,
        description="With pooling mean-max: also the means over this many rows and columns of"
        " regions; 1: none.",
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        description="With pooling mean-max: standard deviation of Gaussian noise on standardised"
        " features in training.",
    )
    temperature: float = Field(
        default=0.07, gt=0, description="Of the contrastive losses, before training."
    )


class DualSource(DualSettings):
    """A new dual encoder: which pretrained parts it is made of, and its shape."""

    image: str = Field(
        default="efficientnet-lite0",
        description="Image backbone: efficientnet-lite0, -lite1 or -lite2 (extra pretrain), or"
        " a folder or hub id of an image model, such as facebook/dinov2-small.",
    )
    text: str = Field(
        default="all-minilm-l6-v2",
        description="Text model: all-minilm-l6-v2 (extra pretrain), or a folder or hub id.",
    )
    fit: Fit = Field(default="pad", description="How images are made square.")
    vocabulary_size: int | None = Field(
        default=None,
        ge=1,
        description="Keep this many tokens of the text model: those of the training texts, then"
        " the most frequent ones; none: all.",
    )


class DualEncoder(Encoder):
    """An image backbone and a text model, with heads that are trained from scratch.

    Args:
        image: The image backbone.
        text: A text model of transformers.
        tokenizer: Its tokenizer; adds one special token at either end.
        preprocessor: The preprocessing of the backbone.
        settings: The shape of the heads.
    """

    family = "dual"
    head_names = ("image_head", "text_head")
    token_names = ("image_head.tokens", "text_head.tokens")
    lora_targets = (*Encoder.lora_targets, "query", "key", "value")

    def __init__(
        self,
        image: ImageBackbone,
        text: Any,
        tokenizer: PreTrainedTokenizerBase,
        preprocessor: ImagePreprocessor,
        settings: DualSettings,
    ) -> None:
        super().__init__(tokenizer, preprocessor)
        self.settings = settings
        self.image = image
        self.text = without_pooler(text)
        size = preprocessor.size
        with torch.no_grad():
            maps = image(torch.zeros(1, 3, size, size))
        self._side = settings.grid or int(maps[-1].shape[-1])
        self._frozen_stages = 0
        self.image_head = ImageHead(
            channels=sum(one.shape[1] for one in maps),
            places=self._side**2,
            embedding_size=settings.embedding_size,
            pooling=settings.pooling,
            hidden=settings.image_hidden,
            width=settings.attention_width,
            slots=settings.attention_slots,
            dropout=settings.dropout,
            regions=settings.regions,
            noise=settings.noise,
        )
        self.text_head = TextHead(
            text.config.hidden_size,
            settings.embedding_size,
            settings.text_hidden,
            settings.dropout,
        )
        self.scale = nn.Parameter(torch.tensor(-math.log(settings.temperature)))
        self.tokenize([""])  # from here on, truncation is what a saved tokenizer says

    @property
    def embedding_size(self) -> int:
        """D, the size of the joint space."""
        return self.settings.embedding_size

    @property
    def image_tokens(self) -> int:
        """P, the number of places of the grid."""
        return self._side**2

    @property
    def text_length(self) -> int:
        """Maximum number of content tokens of a text; longer texts are cut."""
        places = int(self.text.config.max_position_embeddings)
        return min(self.settings.text_length, places - self.prefix_tokens - self.suffix_tokens)

    @property
    def logit_scale(self) -> nn.Parameter:
        """log(1 / tau)."""
        return self.scale

    @property
    def towers(self) -> nn.Module:
        """Both towers, without their heads."""
        return nn.ModuleDict({"image": self.image, "text": self.text})

    def config(self) -> dict[str, Any]:
        """Return the configurations of both parts and the shape of the heads."""
        return {
            "image": self.image.config(),
            "text": saved_config(self.text.config),
            "settings": self.settings.model_dump(mode="json"),
        }

    def embedding_settings(self) -> dict[str, Any]:
        """Return the settings that embeddings depend on."""
        return {
            "image": self.image.settings(),
            "text": [self.text.config.model_type, stable_settings(self.text.config)],
            "settings": self.settings.model_dump(
                mode="json", exclude=_TRAINING_ONLY, exclude_defaults=True
            ),
        }

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        tokenizer: PreTrainedTokenizerBase,
        preprocessing: dict[str, Any],
    ) -> Self:
        """Build a dual encoder with random weights."""
        settings = DualSettings.model_validate(config["settings"])
        text = AutoModel.from_config(AutoConfig.for_model(**config["text"]))
        preprocessor = ImagePreprocessor.from_dict(preprocessing, settings.image_size)
        return cls(create_backbone(config["image"]), text, tokenizer, preprocessor, settings)

    @classmethod
    def from_pretrained(cls, source: str, config: dict[str, Any]) -> Self:
        """Not possible: a dual encoder is made of two checkpoints, see ``from_parts``."""
        raise TMCIRError(f"{source}: a dual encoder is made of two checkpoints: use model.dual")

    @classmethod
    def from_parts(cls, source: DualSource, texts: list[str]) -> Self:
        """Put new heads on pretrained parts.

        Args:
            source: Which parts, and the shape of the heads.
            texts: The training texts, whose tokens a pruned vocabulary keeps.

        Raises:
            TMCIRError: A part cannot be loaded, or its vocabulary cannot be pruned.
        """
        image, preprocessing = load_backbone(source.image, source.levels)
        place = str(package_folder(source.text) or source.text)
        text = load_weights(AutoModel, place, optional=("pooler",))
        tokenizer = load_tokenizer(place)
        if source.vocabulary_size is not None:
            tokenizer, kept = prune_vocabulary(tokenizer, texts, source.vocabulary_size)
            table = text.get_input_embeddings().weight.data[kept]
            text.resize_token_embeddings(len(kept), mean_resizing=False)
            text.get_input_embeddings().weight.data.copy_(table)
            text.config.pad_token_id = tokenizer.pad_token_id
        preprocessor = ImagePreprocessor.from_dict(preprocessing, source.image_size)
        preprocessor = replace(preprocessor, fit=source.fit)
        shape = source.model_dump(include=set(DualSettings.model_fields))
        return cls(image, text, tokenizer, preprocessor, DualSettings(**shape))

    def image_features(self, pixel_values: Tensor) -> ImageFeatures:
        """Encode float [N, 3, S, S]."""
        return self._finished(self._features(self.image(pixel_values)))

    def text_features(self, tokens: TextTokens) -> TextFeatures:
        """Encode tokenised texts."""
        return self.text_features_of(TextStates(tokens, self.text_states(tokens)))

    def text_states(self, tokens: TextTokens) -> tuple[Tensor, ...]:
        """Return the mean state of each text, float [N, W], and all states, float [N, T, W]."""
        states = self._run_text(tokens.ids, tokens.lengths)
        index = torch.arange(states.shape[1], device=states.device)
        kept = (index < tokens.lengths[:, None])[..., None].to(states.dtype)  # [N, T, 1]
        return (states * kept).sum(dim=1) / kept.sum(dim=1), states

    def text_features_of(self, states: TextStates) -> TextFeatures:
        """Put the head on ``text_states``."""
        pooled, projected = self.text_head(*states.values)
        content = projected[:, self.prefix_tokens :]
        content = content[:, : max(0, content.shape[1] - self.suffix_tokens)]
        return TextFeatures(
            pooled=pooled,
            tokens=content,
            mask=self.content_mask(states.source, content.shape[1]),
            source=states.source,
        )

    def _run_text(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Run the text model over texts of similar length together, float [N, T, W].

        One long text does not pad a whole batch of short ones: same states, a fraction of the work.
        """
        width = ids.shape[1]
        if torch.compiler.is_exporting():  # a graph has no groups; the mask alone gives the same
            mask = torch.arange(width, device=ids.device) < lengths[:, None]
            whole: Tensor = self.text(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            return whole
        order = lengths.argsort()
        parts = []
        for rows in order.split(_TEXT_GROUP):
            own = int(lengths[rows].max())
            mask = torch.arange(own, device=ids.device) < lengths[rows, None]  # [n, own]
            states = self.text(input_ids=ids[rows, :own], attention_mask=mask.long())
            parts.append(functional.pad(states.last_hidden_state, (0, 0, 0, width - own)))
        joined = torch.cat(parts)  # [N, T, W], in that order
        return joined[order.argsort()]

    def image_states(self, pixel_values: Tensor, with_tokens: bool = True) -> tuple[Tensor, ...]:
        """Return the output of the frozen stages, or of the whole backbone.

        Where parts of an image have no weights, or tokens are frozen, these are cached, and beside
        them only tokens that are read.
        """
        if self.frozen_tokens and not self.image_head.has_fixed_parts:
            parts = self.image_features(pixel_values).parts
            assert parts is not None
            return (parts,)
        if self._is_split:
            states = self.image.first(pixel_values, self._frozen_stages)
            return *(self._pooled(one) for one in states[:-1]), states[-1]
        features = self._features(self.image(pixel_values))
        if not self.image_head.has_fixed_parts:
            return (features,)
        parts = self.image_head.fixed_parts(features)
        return parts, features if with_tokens else features[:, :0]

    def features_of(self, states: tuple[Tensor, ...]) -> ImageFeatures:
        """Finish ``image_states``: the stages that are trained, and the head."""
        if self.frozen_tokens and not self.image_head.has_fixed_parts:
            (parts,) = states
            pooled = self.pool_image(parts)
            return ImageFeatures(pooled, pooled.new_zeros(len(pooled), 0, 1), parts=parts)
        if self._is_split:
            features = self._features(self.image.rest(list(states), self._frozen_stages))
        elif self.image_head.has_fixed_parts:
            pooled, tokens, parts = self.image_head.forward_parts(*states)
            return ImageFeatures(pooled, tokens, parts=parts)
        else:
            (features,) = states
        return self._finished(features)

    def _finished(self, features: Tensor) -> ImageFeatures:
        pooled, tokens, parts = self.image_head(features)
        return ImageFeatures(pooled, tokens, parts=parts)

    @property
    def image_parts(self) -> tuple[int, int]:
        """(R, W), number and width of the parts that an image is pooled from."""
        return self.image_head.num_parts, self.image_head.part_size

    def pool_image(self, parts: Tensor) -> Tensor:
        """Pool parts float [N, R, W] into float32 [N, D], L2-normalised."""
        return self.image_head.pool(parts)

    def freeze(self, stages: int = 0, depthwise: bool = False, text_layers: int = 0) -> None:
        """Freeze the first stages of the image backbone, its depthwise kernels, and text layers.

        Raises:
            TMCIRError: The backbone has no such stages, or the text model no such layers.
        """
        if not 0 <= stages <= self.image.num_stages:
            raise TMCIRError(
                f"frozen_stages is {stages}: this image backbone has {self.image.num_stages}"
                " stages that can be frozen one by one"
            )
        self._frozen_stages = stages
        for parameter in self.image.frozen_parameters(stages, depthwise):
            parameter.requires_grad_(False)
        layers = getattr(getattr(self.text, "encoder", None), "layer", [])
        if text_layers > len(layers):
            raise TMCIRError(
                f"frozen_text_layers is {text_layers}: this text model has {len(layers)} layers"
                " that can be frozen one by one"
            )
        for part in [self.text.embeddings, *layers[:text_layers]] if text_layers else []:
            part.requires_grad_(False)

    def freeze_tokens(self, frozen: bool = True) -> None:
        """Freeze the layers of the image head below its pooling, see ``Encoder``."""
        super().freeze_tokens(frozen)
        if frozen:
            for name in ("placed", "slots", "tokens"):
                part = getattr(self.image_head, name)
                if part is not None:
                    part.requires_grad_(False)

    def image_identity(self) -> str:
        """Return a hash of the backbone, with frozen tokens of the head below its pooling, too."""
        parts = [f"image_head.{name}" for name in ("mean", "std", "part_mean", "part_std")]
        if self.frozen_tokens:
            parts += ["image_head.placed.", "image_head.slots."]
        own = ("image.", *parts)
        return self._hash_weights([name for name in self.state_dict() if name.startswith(own)])

    @torch.no_grad()
    def calibrate(self, pixel_values: Tensor) -> None:
        """Standardise the features by those of these images, float [N, 3, S, S]."""
        parts = [self._features(self.image(part)) for part in pixel_values.split(32)]
        self.image_head.calibrate(torch.cat(parts))

    @property
    def _is_split(self) -> bool:
        return 0 < self._frozen_stages < self.image.num_stages

    def _features(self, maps: list[Tensor]) -> Tensor:
        """Bring maps to one grid and join their channels: float [N, P, C]."""
        joined = torch.cat([self._pooled(one) for one in maps], dim=1)  # [N, C, G, G]
        return joined.flatten(2).transpose(1, 2)

    def _pooled(self, maps: Tensor) -> Tensor:
        if maps.shape[-1] < self._side:
            return functional.interpolate(maps, size=(self._side, self._side))
        return functional.adaptive_avg_pool2d(maps, self._side)
