"""The texts of a training: tokenised for every step, or encoded once by a frozen tower.

Letters used in shapes: N texts, T tokens, W width of the text tower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tmcir.models.encoders import Encoder
from tmcir.models.features import TextStates, TextTokens
from tmcir.training.cache import CACHE_DTYPE, Cache

ENCODE_CHUNK = 1024


class Texts(Protocol):
    """Gives a step its texts."""

    def draw(self, texts: Sequence[str]) -> TextTokens | TextStates:
        """Return N texts as tokens, or as encoded states."""


class TokenisedTexts:
    """Encodes nothing ahead: every step tokenises its texts.

    Args:
        encoder: Gives the tokenizer.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def draw(self, texts: Sequence[str]) -> TextTokens:
        """Return tokens, see ``Texts``."""
        return self._encoder.tokenize(list(texts))


class EncodedTexts:
    """Texts that a frozen tower encodes when they are first drawn, each once.

    What is cached is the output of the frozen tower, which must not change any more: float32, and
    float16 of single tokens. Texts beyond the memory limit are encoded again when they are needed.

    Args:
        encoder: The towers, the text tower in evaluation mode.
        limit: Maximum bytes of the cache.
        reads_tokens: Whether states of single tokens are kept; False where only pooled embeddings
            are read.
        device: Where the towers are.
        autocast: Gives the precision in which they run.
    """

    def __init__(
        self,
        encoder: Encoder,
        limit: int,
        reads_tokens: bool = True,
        device: torch.device | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._encoder = encoder
        self._reads_tokens = reads_tokens
        self._device = device or torch.device("cpu")
        self._autocast = autocast
        self._cache = Cache(self._encode, limit // self._max_bytes(), ENCODE_CHUNK)

    def draw(self, texts: Sequence[str]) -> TextStates:
        """Return states, float32 on the device; see ``Texts``."""
        # Texts of similar length are encoded together, and each once.
        unique = sorted(dict.fromkeys(texts), key=len)
        rows = {text: row for row, text in enumerate(unique)}
        index = torch.tensor([rows[text] for text in texts])
        values = [_stack(one) for one in zip(*self._cache.get(unique), strict=True)]
        drawn = tuple(one[index].to(self._device, torch.float32) for one in values)
        return TextStates(self._encoder.tokenize(list(texts)).to(self._device), drawn)

    def _encode(self, texts: Sequence[str]) -> list[tuple[Tensor, ...]]:
        """Encode texts: of each its states on the CPU, as they are cached."""
        tokens = self._encoder.tokenize(list(texts))
        with torch.no_grad(), self._autocast():
            states = self._encoder.text_states(tokens.to(self._device))
        lengths = tokens.lengths.tolist()
        return list(zip(*(self._rows(one, lengths) for one in states), strict=True))

    def _rows(self, states: Tensor, lengths: Sequence[int]) -> list[Tensor]:
        """Cut states of tokens to the length of each text; clone, so that no batch is kept."""
        if states.ndim < 3:
            return [row.clone() for row in states.to("cpu", torch.float32)]
        rows = states.to("cpu", CACHE_DTYPE)
        lengths = lengths if self._reads_tokens else [0] * len(lengths)
        return [row[:length].clone() for row, length in zip(rows, lengths, strict=True)]

    def _max_bytes(self) -> int:
        """Return the bytes of the longest text."""
        longest = " ".join(["a"] * self._encoder.text_length)
        return sum(one.nbytes for one in self._encode([longest])[0])


def _stack(rows: Sequence[Tensor]) -> Tensor:
    """Stack rows of one text each; states of tokens are padded to the longest."""
    if rows[0].ndim < 2:
        return torch.stack(list(rows))
    return pad_sequence(list(rows), batch_first=True)
