"""CLIP: pooled and token embeddings in the joint space.

Letters used in shapes: N samples, P patch tokens, L text tokens, D joint embedding size, W tower
width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerBase

from tmcir.models.encoders.published import PublishedEncoder
from tmcir.models.encoders.stem import ConvolutionalStem
from tmcir.models.features import ImageFeatures, TextFeatures, TextTokens
from tmcir.models.preprocessing import ImagePreprocessor

# Published classes that are CLIPs, trained on the sum of raw embeddings: BGE-VL-base and -large.
# Their code is not run; the name in ``auto_map`` says how they were trained.
_RAW_SUM_CLASSES = {"modeling_MMRet_CLIP.CLIPModel"}


class ClipEncoder(PublishedEncoder):
    """CLIP's towers with what they need to read images and texts.

    Args:
        clip: A transformers CLIP model.
        tokenizer: Its tokenizer; adds a start and an end token.
        preprocessor: Its image preprocessing.
        raw_sum: Whether queries are sums of embeddings before these are normalised, as composed
            CLIPs were trained (BGE-VL, arXiv 2412.14475).
    """

    family = "clip"
    attribute = "clip"
    model_class = CLIPModel
    config_class = CLIPConfig

    def __init__(
        self,
        clip: CLIPModel,
        tokenizer: PreTrainedTokenizerBase,
        preprocessor: ImagePreprocessor,
        raw_sum: bool = False,
    ) -> None:
        super().__init__(tokenizer, preprocessor)
        self.clip = clip
        self.raw_sum = raw_sum
        # A tokenizer saves the truncation of its last call: from here on it is always the same, so
        # that a saved model does not depend on what was encoded before.
        self.tokenize([""])

    @property
    def embedding_size(self) -> int:
        """D, the size of the joint space."""
        return int(self.clip.config.projection_dim)

    @property
    def text_width(self) -> int:
        """W, the width of the text tower and of its word embeddings."""
        return int(self.clip.config.text_config.hidden_size)

    @property
    def text_length(self) -> int:
        """Maximum number of content tokens of a text; longer texts are cut."""
        return int(self.clip.config.text_config.max_position_embeddings) - 2

    @property
    def logit_scale(self) -> nn.Parameter:
        """log(1 / tau), CLIP's own parameter."""
        scale: nn.Parameter = self.clip.logit_scale
        return scale

    def config(self) -> dict[str, Any]:
        """Return the configuration of the CLIP model, and how queries are summed."""
        return {**super().config(), "raw_sum": self.raw_sum}

    def embedding_settings(self) -> dict[str, Any]:
        """Return the settings that embeddings depend on."""
        return {**super().embedding_settings(), "raw_sum": self.raw_sum}

    @classmethod
    def create(cls, config: CLIPConfig) -> CLIPModel:
        """Create a CLIP with random weights, our own stem included."""
        return create_clip(config)

    @classmethod
    def options(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Return ``raw_sum``: as saved, or by the class that a published checkpoint names."""
        published = str(config.get("auto_map", {}).get("AutoModel", ""))
        composed = published.rpartition("--")[2] in _RAW_SUM_CLASSES
        return {"raw_sum": config.get("raw_sum", composed)}

    def image_features(self, pixel_values: Tensor) -> ImageFeatures:
        """Encode float [N, 3, S, S].

        Patch tokens go through the same norm and projection as the class token: CLIP trains only
        the latter there, but the space is shared (METHOD.md section 1).
        """
        output = self.run_vision_tower(pixel_values)
        states = self.clip.vision_model.post_layernorm(output.last_hidden_state)  # [N, 1 + P, W]
        projected = self.clip.visual_projection(states)  # [N, 1 + P, D]
        pooled, norms = self._normalised(projected[:, 0])
        return ImageFeatures(pooled, projected[:, 1:], norms)

    def text_features(self, tokens: TextTokens) -> TextFeatures:
        """Encode tokenised texts."""
        # No attention mask: the padding is on the right and the tower is causal, so that neither
        # content nor end token ever sees it.
        output = self.clip.text_model(input_ids=tokens.ids)
        pooled = self.clip.text_projection(output.pooler_output)
        content = self.clip.text_projection(output.last_hidden_state[:, 1:-1])  # [N, L, D]
        embedded, norms = self._normalised(pooled)
        return TextFeatures(
            pooled=embedded,
            tokens=content,
            mask=self.content_mask(tokens, content.shape[1]),
            source=tokens,
            norms=norms,
        )

    def _normalised(self, pooled: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return embeddings float32 [N, D], L2-normalised, and their lengths where they count."""
        pooled = pooled.float()
        norms = pooled.norm(dim=-1) if self.raw_sum else None
        return functional.normalize(pooled, dim=-1), norms

    def word_embeddings(self, ids: Tensor) -> Tensor:
        """Return the word embeddings of token ids, without positions: float [..., W]."""
        embedded: Tensor = self.clip.text_model.embeddings.token_embedding(ids)
        return embedded

    def read_words(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Run the text tower over word embeddings in place of ids, as textual inversion needs it.

        Args:
            words: float [N, T, W], start and end token in, right-padded.
            lengths: long [N], start and end token in.

        Returns:
            float [N, D], L2-normalised: the pooled embedding, that of the end token.
        """
        tower = self.clip.text_model
        states = tower.embeddings(inputs_embeds=words)
        # The tower builds its causal mask from ids alone: an explicit one for its layers.
        future = torch.full(states.shape[1:2] * 2, -torch.inf, device=states.device).triu(1)
        mask = future.to(states.dtype)[None, None]  # [1, 1, T, T]
        output = tower.encoder(inputs_embeds=states, attention_mask=mask)
        ends = output.last_hidden_state[torch.arange(len(words), device=words.device), lengths - 1]
        pooled = self.clip.text_projection(tower.final_layer_norm(ends))  # [N, D]
        return functional.normalize(pooled.float(), dim=-1)


def build_clip(
    tokenizer: PreTrainedTokenizerBase,
    image_size: int = 128,
    patch_size: int = 16,
    embedding_size: int = 256,
    vision_width: int = 256,
    vision_layers: int = 6,
    text_width: int = 256,
    text_layers: int = 4,
    heads: int = 4,
    stem: str = "convolution",
) -> CLIPModel:
    """Build a CLIP with random weights around a tokenizer, to be trained from scratch.

    ``stem`` says how pixels become patch tokens: ``patch`` is CLIP's own projection,
    ``convolution`` a ``ConvolutionalStem``.
    """
    shared: dict[str, Any] = {"num_attention_heads": heads, "hidden_act": "gelu"}
    config = CLIPConfig(
        projection_dim=embedding_size,
        vision_config={
            **shared,
            "image_size": image_size,
            "patch_size": patch_size,
            "hidden_size": vision_width,
            "intermediate_size": 4 * vision_width,
            "num_hidden_layers": vision_layers,
            "stem": stem,
        },
        text_config={
            **shared,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": tokenizer.model_max_length,
            "hidden_size": text_width,
            "intermediate_size": 4 * text_width,
            "num_hidden_layers": text_layers,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
    )
    return create_clip(config)


def create_clip(config: CLIPConfig) -> CLIPModel:
    """Create a CLIP with random weights from its configuration, our own stem included."""
    clip = CLIPModel(config)
    vision = config.vision_config
    if getattr(vision, "stem", "patch") == "convolution":
        embeddings = clip.vision_model.embeddings
        embeddings.patch_embedding = ConvolutionalStem(vision.hidden_size, vision.patch_size)
    return clip
