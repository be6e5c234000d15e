"""The interface of an encoder: an image tower and a text tower with one joint space.

Letters used in shapes: N samples, S image side, P image tokens, L text tokens, D joint embedding
size, W width of the text tower.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Set
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from tmcir.core.errors import TMCIRError
from tmcir.models.features import ImageFeatures, TextFeatures, TextStates, TextTokens
from tmcir.models.preprocessing import Fit, ImagePreprocessor


class Encoder(nn.Module, ABC):
    """Both towers of a family of models, with what they need to read images and texts.

    A new family is one module with a subclass and one line in ``tmcir.models.encoders``.

    Args:
        tokenizer: The tokenizer of the text tower.
        preprocessor: The preprocessing of the image tower.

    Attributes:
        family: The family's name in saved models.
        prefix_tokens: Number of special tokens before the content of a text.
        suffix_tokens: Number of special tokens after it.
        head_names: Modules trained from scratch, at the learning rate of the method and not of
            the pretrained towers.
        token_names: Layers of the heads that only tokens need.
        lora_targets: Names of the layers in ``towers`` that low-rank adapters go into, or a regular
            expression of their whole names.
    """

    family: ClassVar[str]
    head_names: ClassVar[tuple[str, ...]] = ()
    token_names: ClassVar[tuple[str, ...]] = ()
    lora_targets: ClassVar[tuple[str, ...] | str] = ("q_proj", "k_proj", "v_proj", "out_proj")

    def __init__(self, tokenizer: PreTrainedTokenizerBase, preprocessor: ImagePreprocessor) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.preprocessor = preprocessor
        special: list[int] = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
        self.prefix_tokens = special.index(0)
        self.suffix_tokens = special[::-1].index(0)

    # Properties of the towers

    @property
    @abstractmethod
    def embedding_size(self) -> int:
        """D, the size of the joint space."""

    @property
    @abstractmethod
    def image_tokens(self) -> int:
        """P, the number of tokens of an image."""

    @property
    @abstractmethod
    def text_length(self) -> int:
        """Maximum number of content tokens of a text; longer texts are cut."""

    @property
    @abstractmethod
    def logit_scale(self) -> nn.Parameter:
        """log(1 / tau), the temperature of the contrastive losses; a parameter of one element."""

    @property
    @abstractmethod
    def towers(self) -> nn.Module:
        """The module that holds both towers, into which adapters go."""

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the image tokens; None where tokens have no place in the image."""
        side = round(self.image_tokens**0.5)
        return side, side

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return a JSON object from which ``from_config`` builds the same towers."""

    @abstractmethod
    def embedding_settings(self) -> dict[str, Any]:
        """Return the settings that embeddings depend on, for the model's identity."""

    @classmethod
    @abstractmethod
    def from_config(
        cls,
        config: dict[str, Any],
        tokenizer: PreTrainedTokenizerBase,
        preprocessing: dict[str, Any],
    ) -> Encoder:
        """Build towers with random weights.

        Args:
            config: As ``config`` returned it.
            tokenizer: The tokenizer.
            preprocessing: Content of preprocessor_config.json.
        """

    @classmethod
    @abstractmethod
    def from_pretrained(cls, source: str, config: dict[str, Any]) -> Encoder:
        """Load a published checkpoint of the family.

        Args:
            source: Folder or Hugging Face id.
            config: Content of its config.json.

        Raises:
            TMCIRError: There is no such checkpoint, or weights are missing from it.
        """

    # Encoding

    @abstractmethod
    def image_features(self, pixel_values: Tensor) -> ImageFeatures:
        """Encode normalised pixels, float [N, 3, S, S]."""

    @abstractmethod
    def text_features(self, tokens: TextTokens) -> TextFeatures:
        """Encode tokenised texts."""

    def image_states(self, pixel_values: Tensor, with_tokens: bool = True) -> tuple[Tensor, ...]:
        """Return the output of the frozen part, for training to cache; by default, the features.

        Args:
            pixel_values: float [N, 3, S, S], normalised.
            with_tokens: False where no token is read: an encoder may return none.

        Returns:
            Tensors of N rows each, which ``features_of`` turns into features.
        """
        features = self.image_features(pixel_values)
        both = features.pooled, features.tokens if with_tokens else features.tokens[:, :0]
        return both if features.norms is None else (*both, features.norms)

    def features_of(self, states: tuple[Tensor, ...]) -> ImageFeatures:
        """Return the features of images from what ``image_states`` returned of them."""
        return ImageFeatures(*states)

    def text_states(self, tokens: TextTokens) -> tuple[Tensor, ...]:
        """Return the output of all of the text tower, for training to cache where it is frozen.

        By default these are the features. A tensor of three dimensions has one row a token, from
        the first token on: a cache may keep as many rows of it as a text has tokens, or none where
        no token is read.

        Returns:
            Tensors of N rows each, which ``text_features_of`` turns into features.
        """
        features = self.text_features(tokens)
        both = features.pooled, features.tokens
        return both if features.norms is None else (*both, features.norms)

    def text_features_of(self, states: TextStates) -> TextFeatures:
        """Return the features of texts from what ``text_states`` returned of them."""
        pooled, tokens, *norms = states.values
        return TextFeatures(
            pooled=pooled,
            tokens=tokens,
            mask=self.content_mask(states.source, tokens.shape[1]),
            source=states.source,
            norms=norms[0] if norms else None,
        )

    def train(self, mode: bool = True) -> Self:
        """Switch to training or evaluation mode; frozen towers stay in evaluation mode.

        What is frozen may be encoded once for all steps, so that it has no dropout.
        """
        super().train(mode)
        scale = self.logit_scale
        if not any(one.requires_grad for one in self.towers.parameters() if one is not scale):
            self.towers.eval()
        return self

    def set_images(self, size: int | None = None, fit: Fit | None = None) -> None:
        """Change how images are read, before a composer is put on the encoder.

        Args:
            size: Side of the square that the tower reads, in pixels; position embeddings are
                interpolated.
            fit: How an image is made square.

        Raises:
            TMCIRError: This family reads images of one size only, or not of this one.
        """
        if size not in (None, self.preprocessor.size):
            size = self.checked_size(int(size or 0))
            self.preprocessor = replace(self.preprocessor, size=size, resize_size=None)
        if fit is not None:
            self.preprocessor = replace(self.preprocessor, fit=fit)

    def checked_size(self, size: int) -> int:
        """Return ``size`` where the image tower can read images of that side.

        Raises:
            TMCIRError: It cannot.
        """
        raise TMCIRError(
            f"image_size: an encoder of family {self.family!r} reads images of"
            f" {self.preprocessor.size} pixels only"
        )

    frozen_tokens = False

    def freeze_tokens(self, frozen: bool = True) -> None:
        """Freeze all that makes image tokens, for methods that read none.

        What a dual encoder caches of an image is then only what its embedding is pooled from.
        """
        self.frozen_tokens = frozen

    def image_identity(self) -> str:
        """Return a hash of all that ``image_states`` depends on."""
        return self._hash_weights(list(self.state_dict()))

    def _hash_weights(self, names: list[str]) -> str:
        state = self.state_dict()
        settings = [self.family, self.embedding_settings(), self.preprocessor.to_dict()]
        described = json.dumps([*settings, self.frozen_tokens], sort_keys=True, default=str)
        digest = hashlib.blake2b(described.encode(), digest_size=16)
        for name in sorted(names):
            digest.update(name.encode())
            weight = state[name].detach().cpu().contiguous()
            digest.update(weight.view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def freeze(self, stages: int = 0, depthwise: bool = False, text_layers: int = 0) -> None:
        """Freeze parts of the towers.

        Args:
            stages: Number of the first stages of the image tower to freeze.
            depthwise: Freeze depthwise kernels, whose gradients are slow on a CPU.
            text_layers: Number of the first layers of the text tower to freeze; more than none
                freezes its word embeddings, too.

        Raises:
            TMCIRError: This family has no such parts.
        """
        if stages or depthwise or text_layers:
            raise TMCIRError(
                f"an encoder of family {self.family!r} cannot be frozen in parts: remove"
                " frozen_stages, frozen_depthwise and frozen_text_layers"
            )

    @property
    def image_parts(self) -> tuple[int, int] | None:
        """(R, W), number and width of the parts that an image is pooled from; None: no pooling."""
        return None

    def pool_image(self, parts: Tensor) -> Tensor:
        """Pool parts as the image tower pools its own, for composers that edit parts.

        Args:
            parts: float [N, R, W], as in ``ImageFeatures.parts``.

        Returns:
            float32 [N, D], L2-normalised.

        Raises:
            TMCIRError: This family pools nothing.
        """
        raise TMCIRError(f"an encoder of family {self.family!r} has no pooling over image parts")

    def tokenize(self, texts: list[str]) -> TextTokens:
        """Tokenise texts, padded to the longest; at least one column of content.

        Control words of the tokenizer, such as ``<|endoftext|>``, are read as any other text.
        """
        encoded: list[list[int]] = self.tokenizer(
            [self.normalise_text(text) for text in texts],
            truncation=True,
            max_length=self._max_length,
            split_special_tokens=True,
        )["input_ids"]
        lengths = torch.tensor([len(ids) for ids in encoded])
        # A batch of empty texts still has one (masked) content column.
        width = max(self.prefix_tokens + self.suffix_tokens + 1, int(lengths.max()))
        padding = self.tokenizer.pad_token_id
        ids = torch.tensor([ids + [padding] * (width - len(ids)) for ids in encoded])
        return TextTokens(ids=ids, lengths=lengths)

    def normalise_text(self, text: str) -> str:
        """Return a text as the tokenizer gets it."""
        return text

    def words(self, text: str) -> list[str]:
        """Return the piece of ``text`` behind each content token."""
        if self.tokenizer.is_fast:
            encoded = self.tokenizer(
                text,
                truncation=True,
                max_length=self._max_length,
                split_special_tokens=True,
                return_offsets_mapping=True,
            )
            offsets = self._content(encoded["offset_mapping"])
            return [text[start:end].strip() for start, end in offsets]
        tokens = self.tokenize([text])
        ids = self._content(tokens.ids[0, : int(tokens.lengths[0])].tolist())
        return [self.tokenizer.decode([number]).strip() for number in ids]

    def unread(self, text: str) -> str:
        """Return the end of a text that is cut, from its first word that is not read whole.

        Returns:
            "" where all of the text is read.
        """
        text = self.normalise_text(text)
        if self._whole_tokenizer is None:
            encoded = self.tokenizer(text, split_special_tokens=True, verbose=False)
            ids = self._content(encoded["input_ids"])
            rest: str = self.tokenizer.decode(ids[self.text_length :])
            return rest.strip()
        offsets = self._whole_tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= self.text_length:
            return ""
        cut = offsets[self.text_length][0]
        return text[text.rfind(" ", 0, cut + 1) + 1 :].strip()

    @cached_property
    def _whole_tokenizer(self) -> Tokenizer | None:
        """A copy that cuts nothing: a tokenizer keeps its limits, which other threads rely on."""
        if not self.tokenizer.is_fast:
            return None
        whole = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        whole.no_truncation()
        whole.no_padding()
        whole.encode_special_tokens = True
        return whole

    def _content(self, sequence: list[Any]) -> list[Any]:
        return sequence[self.prefix_tokens : len(sequence) - self.suffix_tokens]

    def content_mask(self, tokens: TextTokens, length: int) -> Tensor:
        """Return bool [N, length], True where a content token is."""
        index = torch.arange(length, device=tokens.lengths.device)
        return index < (tokens.lengths - self.prefix_tokens - self.suffix_tokens)[:, None]

    def has_content(self, tokens: TextTokens) -> Tensor:
        """Return bool [N], False where a text is empty."""
        return tokens.lengths > self.prefix_tokens + self.suffix_tokens

    @property
    def _max_length(self) -> int:
        return self.prefix_tokens + self.text_length + self.suffix_tokens

    # Textual inversion

    @property
    def text_width(self) -> int:
        """W, the width of the text tower and of its word embeddings."""
        raise self._no_words()

    def word_embeddings(self, ids: Tensor) -> Tensor:
        """Return what the text tower reads for token ids, without positions: float [..., W]."""
        raise self._no_words()

    def read_words(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Run the text tower over word embeddings in place of ids.

        Args:
            words: float [N, T, W], special tokens included, right-padded.
            lengths: long [N], special tokens included.

        Returns:
            float [N, D], L2-normalised: the pooled embedding.
        """
        raise self._no_words()

    def _no_words(self) -> TMCIRError:
        return TMCIRError(
            f"an encoder of family {self.family!r} cannot read word embeddings: textual inversion"
            " (pic2word) needs one that can, such as CLIP"
        )


# What a library writes into a configuration about itself; embeddings do not depend on it.
_VOLATILE = {
    *("transformers_version", "_name_or_path", "dtype", "torch_dtype", "architectures"),
    *("auto_map", "model_type", "initializer_factor", "initializer_range", "use_cache"),
}


def saved_config(config: Any) -> dict[str, Any]:
    """Return a transformers configuration as a model directory holds it: without paths."""
    content: dict[str, Any] = _without(config.to_dict(), {"_name_or_path"})
    return content


def stable_settings(config: Any) -> Any:
    """Return a transformers configuration without defaults and the library's own entries."""
    content = config.to_diff_dict() if hasattr(config, "to_diff_dict") else config
    return _without(content, _VOLATILE)


def _without(content: Any, names: Set[str]) -> Any:
    """Return a configuration without these entries, those of its parts included."""
    if not isinstance(content, dict):
        return content
    return {key: _without(value, names) for key, value in content.items() if key not in names}


def divisible(size: int, patch_size: int) -> int:
    """Return a side of images that patches divide.

    Raises:
        TMCIRError: They do not.
    """
    if size % patch_size:
        raise TMCIRError(
            f"image_size: {size} is not a multiple of {patch_size}, the side of a patch"
        )
    return size
