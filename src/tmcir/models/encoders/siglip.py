"""SigLIP, and SigLIP 2 of fixed resolution: pooled and token embeddings in the joint space.

Sources: Zhai et al., arXiv 2303.15343; Tschannen et al., arXiv 2502.14786. Letters used in shapes:
N samples, P patch tokens, L text tokens, D joint embedding size.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase, SiglipConfig, SiglipModel

from tmcir.core.errors import TMCIRError
from tmcir.models.encoders.published import PublishedEncoder
from tmcir.models.features import ImageFeatures, TextFeatures, TextTokens
from tmcir.models.preprocessing import ImagePreprocessor


class SiglipEncoder(PublishedEncoder):
    """SigLIP's towers.

    Both differ from CLIP's. The text tower attends in both directions and to padding, so every
    text is padded to the training length; its embedding is the state of the last position.
    The image embedding is attention pooling over patches. A patch token is what the pooling would
    return if it attended to that patch alone, which is the patch's own part of the embedding
    (the value path of MaskCLIP, arXiv 2112.01071): merging compares these with projected text
    states. SigLIP trains neither for that, so its fusion needs training more than CLIP's.

    Args:
        siglip: A transformers SigLIP model.
        tokenizer: Its tokenizer; adds an end token.
        preprocessor: Its image preprocessing.

    Raises:
        TMCIRError: The model has no attention pooling.
    """

    family = "siglip"
    attribute = "siglip"
    model_class = SiglipModel
    config_class = SiglipConfig
    # Not the projection of the pooling, which torch runs without the layer's own code.
    lora_targets = r".*self_attn\.(q_proj|k_proj|v_proj|out_proj)"

    def __init__(
        self,
        siglip: SiglipModel,
        tokenizer: PreTrainedTokenizerBase,
        preprocessor: ImagePreprocessor,
    ) -> None:
        super().__init__(tokenizer, preprocessor)
        if not getattr(siglip.config.vision_config, "vision_use_head", True):
            raise TMCIRError("this SigLIP has no attention pooling, and so no image embedding")
        self.siglip = siglip
        self.siglip.logit_bias = None  # of the sigmoid loss; a softmax does not see it
        self.tokenize([""])  # from here on, truncation is what a saved tokenizer says

    @property
    def embedding_size(self) -> int:
        """D, the size of the joint space."""
        return int(self.siglip.config.vision_config.hidden_size)

    @property
    def text_length(self) -> int:
        """Maximum number of content tokens of a text; longer texts are cut."""
        return self._text_places - self.prefix_tokens - self.suffix_tokens

    @property
    def logit_scale(self) -> nn.Parameter:
        """log(1 / tau), SigLIP's own parameter, of shape [1]."""
        scale: nn.Parameter = self.siglip.logit_scale
        return scale

    def image_features(self, pixel_values: Tensor) -> ImageFeatures:
        """Encode float [N, 3, S, S]."""
        return self.features_of(self.image_states(pixel_values))

    def image_states(self, pixel_values: Tensor, with_tokens: bool = True) -> tuple[Tensor, ...]:
        """Return the pooled embedding and the states of the patches, float [N, P, D]."""
        output = self.run_vision_tower(pixel_values)
        pooled = functional.normalize(output.pooler_output.float(), dim=-1)
        states = output.last_hidden_state
        return pooled, states if with_tokens else states[:, :0]

    def features_of(self, states: tuple[Tensor, ...]) -> ImageFeatures:
        """Return features from pooled embeddings and patch states, which are the parts."""
        pooled, parts = states
        return ImageFeatures(pooled, self._values(parts), parts=parts)

    @property
    def image_parts(self) -> tuple[int, int]:
        """(P, D): the attention pooling reads the patches."""
        return self.image_tokens, self.embedding_size

    def pool_image(self, parts: Tensor) -> Tensor:
        """Pool patch states [N, P, D] by the attention pooling, float32 [N, D], L2-normalised."""
        return functional.normalize(self.siglip.vision_model.head(parts).float(), dim=-1)

    def text_features(self, tokens: TextTokens) -> TextFeatures:
        """Encode tokenised texts, padded to the length of training."""
        padding = self._text_places - tokens.ids.shape[1]
        ids = functional.pad(tokens.ids, (0, padding), value=self.tokenizer.pad_token_id)
        tower = self.siglip.text_model
        output = tower(input_ids=ids)  # without a mask: padding is read in training as well
        length = tokens.ids.shape[1] - self.prefix_tokens - self.suffix_tokens
        states = output.last_hidden_state[:, self.prefix_tokens : self.prefix_tokens + length]
        return TextFeatures(
            pooled=functional.normalize(output.pooler_output.float(), dim=-1),
            tokens=tower.head(states),  # [N, L, D]
            mask=self.content_mask(tokens, length),
            source=tokens,
        )

    def normalise_text(self, text: str) -> str:
        """Return a text in lower case, as SigLIP and SigLIP 2 were trained."""
        return text.lower()

    @property
    def _text_places(self) -> int:
        return int(self.siglip.config.text_config.max_position_embeddings)

    def _values(self, states: Tensor) -> Tensor:
        """Return what the pooling makes of each patch alone: float [N, P, D]."""
        head = self.siglip.vision_model.head
        attention = head.attention
        width = states.shape[-1]
        weight, bias = attention.in_proj_weight[-width:], attention.in_proj_bias[-width:]
        value = attention.out_proj(functional.linear(states, weight, bias))
        projected: Tensor = value + head.mlp(head.layernorm(value))
        return projected
