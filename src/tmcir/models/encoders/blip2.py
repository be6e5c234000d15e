"""BLIP-2 for image-text retrieval: 32 query tokens of an image, one embedding of a text.

Source: Li et al., arXiv 2301.12597; what SPRC and many later methods stand on. Letters used in
shapes: N samples, P query tokens, L text tokens, D joint embedding size.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Blip2Config, Blip2ForImageTextRetrieval, PreTrainedTokenizerBase

from tmcir.models.encoders.base import stable_settings
from tmcir.models.encoders.published import PublishedEncoder
from tmcir.models.features import ImageFeatures, TextFeatures, TextTokens
from tmcir.models.preprocessing import ImagePreprocessor

_MAX_TEXT_LENGTH = 62
_FIRST_SCALE = math.log(1 / 0.07)  # the checkpoint has none


class Blip2Encoder(PublishedEncoder):
    """The vision tower and the Q-Former of BLIP-2, first stage.

    The Q-Former reads an image with learned query tokens, which are the image tokens here: they
    have no place in the image, so that nothing can be drawn of a merge. The image embedding is the
    normalised mean of the normalised query tokens. BLIP-2 itself takes the most similar of them for
    each text, which a gallery of one vector an image cannot.

    Args:
        blip2: A transformers ``Blip2ForImageTextRetrieval``.
        tokenizer: Its tokenizer, BERT's.
        preprocessor: Its image preprocessing.
    """

    family = "blip-2"
    attribute = "blip2"
    model_class = Blip2ForImageTextRetrieval
    config_class = Blip2Config
    lora_targets = r".*(self_attn\.(qkv|projection)|attention\.(query|key|value))"

    def __init__(
        self,
        blip2: Blip2ForImageTextRetrieval,
        tokenizer: PreTrainedTokenizerBase,
        preprocessor: ImagePreprocessor,
    ) -> None:
        super().__init__(tokenizer, preprocessor)
        self.blip2 = blip2
        self.blip2.itm_head = None  # judges one pair at a time, which no search does
        self.scale = nn.Parameter(torch.tensor(_FIRST_SCALE))
        self.tokenize([""])  # from here on, truncation is what a saved tokenizer says

    @property
    def embedding_size(self) -> int:
        """D, the size of the joint space."""
        return int(self.blip2.config.image_text_hidden_size)

    @property
    def image_tokens(self) -> int:
        """P, the number of query tokens."""
        return int(self.blip2.config.num_query_tokens)

    @property
    def grid(self) -> None:
        """None: query tokens have no place in the image."""
        return None

    @property
    def text_length(self) -> int:
        """Maximum number of content tokens of a text; longer texts are cut."""
        places = int(self.blip2.config.qformer_config.max_position_embeddings)
        return min(_MAX_TEXT_LENGTH, places - self.prefix_tokens - self.suffix_tokens)

    @property
    def logit_scale(self) -> nn.Parameter:
        """log(1 / tau)."""
        return self.scale

    def embedding_settings(self) -> dict[str, Any]:
        """Return the settings that embeddings depend on."""
        config = self.blip2.config
        return {
            "vision": stable_settings(config.vision_config),
            "qformer": stable_settings(config.qformer_config),
        }

    def image_features(self, pixel_values: Tensor) -> ImageFeatures:
        """Encode float [N, 3, S, S]."""
        return self.features_of(self.image_states(pixel_values))

    def image_states(self, pixel_values: Tensor, with_tokens: bool = True) -> tuple[Tensor, ...]:
        """Return the projected query tokens, float [N, P, D], from which images are pooled."""
        states = self.run_vision_tower(pixel_values).last_hidden_state
        queries = self.blip2.query_tokens.expand(len(states), -1, -1)
        read = self.blip2.qformer(query_embeds=queries, encoder_hidden_states=states)
        return (self.blip2.vision_projection(read.last_hidden_state),)

    def features_of(self, states: tuple[Tensor, ...]) -> ImageFeatures:
        """Return features from query tokens, which are the parts as well."""
        (tokens,) = states
        return ImageFeatures(self.pool_image(tokens), tokens, parts=tokens)

    @property
    def image_parts(self) -> tuple[int, int]:
        """(P, D): the embedding is a mean over the query tokens."""
        return self.image_tokens, self.embedding_size

    def text_features(self, tokens: TextTokens) -> TextFeatures:
        """Encode tokenised texts."""
        index = torch.arange(tokens.ids.shape[1], device=tokens.ids.device)
        mask = (index < tokens.lengths[:, None]).long()  # [N, T]
        embedded = self.blip2.embeddings(input_ids=tokens.ids)
        read = self.blip2.qformer(query_embeds=embedded, query_length=0, attention_mask=mask)
        projected = self.blip2.text_projection(read.last_hidden_state)  # [N, T, D]
        content = projected[:, self.prefix_tokens : projected.shape[1] - self.suffix_tokens]
        return TextFeatures(
            pooled=functional.normalize(projected[:, 0].float(), dim=-1),
            tokens=content,
            mask=self.content_mask(tokens, content.shape[1]),
            source=tokens,
        )

    def pool_image(self, parts: Tensor) -> Tensor:
        """Return the normalised mean of the normalised tokens [N, P, D], float32 [N, D]."""
        mean = functional.normalize(parts.float(), dim=-1).mean(dim=1)
        return functional.normalize(mean, dim=-1)
