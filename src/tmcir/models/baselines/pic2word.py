"""Pic2Word: the image as a word of the sentence (Saito et al., arXiv 2302.03084).

Letters used in shapes: N samples, L text tokens, T tokens of a sentence, D joint embedding size,
W width of the text tower.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from tmcir.core.errors import TMCIRError
from tmcir.models.composer import Composer, ComposerSettings, Composition
from tmcir.models.features import ImageFeatures, TextFeatures, TextTokens

if TYPE_CHECKING:
    from tmcir.models.encoders.base import Encoder


class Pic2Word(Composer):
    """Turn the pooled image embedding into a pseudo-word, and read it in the text's sentence.

    With f the mapping network and E_T the text tower, both followed by normalisation:

        q     = E_T("a photo of [f(v_0)] , {text}")         composed, as for Fashion-IQ and CIRR
        L     = InfoNCE( v_0, E_T("a photo of [f(v_0)]") )  stage invert, images alone

    The paper trains f on images alone with frozen towers, which is stage ``invert``. Stage
    ``fuse`` trains it on triplets as every other method.

    Untrained, the query is random: the pseudo-word is.

    Args:
        embedding_size: D.
        text_width: W.
        before: Token ids of the prompt before the pseudo-word, without start token.
        between: Token ids of the prompt between the pseudo-word and the text.
        hidden_size: Width of the mapping network; the paper's 512.
        layers: Hidden layers of the mapping network; the paper's 2.
        dropout: Share of dropped activations in the mapping network; the authors' 0.1.
    """

    title = "Pic2Word (https://arxiv.org/abs/2302.03084)"
    reads_tokens = False

    class Settings(ComposerSettings):
        """Pic2Word, arXiv 2302.03084."""

        prompt: str = Field(
            default="a photo of * , {text}",
            pattern=r"^[^*{}]*\*[^*{}]*\{text\}$",
            description="The sentence: * is the image's word, {text} the modification at its end."
            " Towers that never read such words do better with `* , {text}`.",
        )
        hidden_size: int = Field(default=512, ge=1, description="Width of the mapping network.")
        layers: int = Field(default=2, ge=1, description="Hidden layers of the mapping network.")
        dropout: float = Field(default=0.1, ge=0, lt=1, description="Share of dropped activations.")

    before: Tensor
    between: Tensor

    def __init__(
        self,
        embedding_size: int,
        text_width: int,
        before: Sequence[int],
        between: Sequence[int],
        hidden_size: int = 512,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        sizes = [embedding_size, *[hidden_size] * layers]
        hidden: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            hidden += [nn.Linear(inputs, outputs), nn.Dropout(dropout), nn.ReLU()]
        self.mapping = nn.Sequential(*hidden, nn.Linear(sizes[-1], text_width))
        # Not part of a checkpoint: the prompt is a setting, and the tokenizer is saved beside it.
        for name, ids in (("before", before), ("between", between)):
            self.register_buffer(name, torch.tensor(ids, dtype=torch.long), persistent=False)

    @classmethod
    def for_encoder(cls, encoder: Encoder, settings: Any) -> Self:
        """Build the method for these towers.

        Raises:
            TMCIRError: The prompt leaves no room for the text, or the text tower cannot read word
                embeddings.
        """
        prompt: str = settings.prompt
        before, _, rest = prompt.partition("*")
        tokens = [encoder.tokenize([part]) for part in (before, rest.removesuffix("{text}"))]
        before_ids, between_ids = (
            part.ids[0, 1 : int(part.lengths[0]) - 1].tolist() for part in tokens
        )
        if len(before_ids) + 1 + len(between_ids) >= encoder.text_length:
            raise TMCIRError(
                f"pic2word: the prompt {prompt!r} fills all {encoder.text_length} tokens of the"
                " text tower: choose a shorter one, such as '* , {text}'"
            )
        return cls(
            encoder.embedding_size,
            encoder.text_width,
            before_ids,
            between_ids,
            settings.hidden_size,
            settings.layers,
            settings.dropout,
        )

    def forward(self, image: ImageFeatures, text: TextFeatures, encoder: Encoder) -> Composition:
        """Compose N queries.

        Args:
            image: Features of N reference images; their pooled embeddings alone are read.
            text: Features of N modification texts with their tokens. A text too long for the
                sentence is cut.
            encoder: The towers.

        Raises:
            ValueError: The features do not say what the tower read.
        """
        if text.source is None:
            raise ValueError("pic2word writes a sentence around the text and needs its tokens")
        return Composition(query=self._read(image.pooled, text.source, self.between, encoder))

    def describe(self, pooled: Tensor, encoder: Encoder) -> Tensor:
        """Return the text embedding of "a photo of [word]" for image embeddings, float [N, D]."""
        nothing = encoder.tokenize([""]).to(pooled.device)
        empty = nothing.select(torch.zeros(len(pooled), dtype=torch.long, device=pooled.device))
        return self._read(pooled, empty, self.between[:0], encoder)

    def _read(self, pooled: Tensor, text: TextTokens, between: Tensor, encoder: Encoder) -> Tensor:
        """Embed the sentences [start, before, word, between, text, end]: float [N, D]."""
        ids, lengths = self._sentences(text, between, encoder.text_length + 2)
        words = encoder.word_embeddings(ids)  # [N, T, W]
        place = 1 + len(self.before)
        word = self.mapping(pooled)[:, None].to(words.dtype)  # [N, 1, W]
        return encoder.read_words(
            torch.cat([words[:, :place], word, words[:, place + 1 :]], dim=1), lengths
        )

    def _sentences(self, text: TextTokens, between: Tensor, longest: int) -> tuple[Tensor, Tensor]:
        """Return ids long [N, T] with any id in the place of the word, and lengths long [N]."""
        samples = len(text.ids)
        start, end = text.ids[:, :1], text.ids.gather(1, text.lengths[:, None] - 1)  # [N, 1]
        frame = torch.cat([self.before, self.before.new_zeros(1), between]).expand(samples, -1)
        room = longest - 2 - frame.shape[1]
        content = text.ids[:, 1 : 1 + min(room, text.ids.shape[1] - 2)]  # [N, L]
        counts = (text.lengths - 2).clamp(max=room)  # [N]
        # Behind the content comes the end token; the tower never looks behind that.
        index = torch.arange(content.shape[1] + 1, device=content.device)
        after = torch.cat([content, end], dim=1).where(index < counts[:, None], end)
        return torch.cat([start, frame, after], dim=1), counts + 2 + frame.shape[1]
