"""Tokenising without transformers, by the model directory's own tokenizer.json.

Letters used in shapes: N texts, T tokens of the longest text with special ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tmcir.core.errors import TMCIRError, first_line
from tmcir.runtime.manifest import TOKENIZER, Manifest


class TextTokenizer:
    """The tokenizer of a model, used as ``Encoder.tokenize``, ``words`` and ``unread`` use it.

    Args:
        folder: Model directory.
        manifest: Lengths and special tokens.

    Raises:
        TMCIRError: The file is missing or damaged.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._manifest = manifest
        special = manifest.prefix_tokens + manifest.suffix_tokens
        self._min_width = special + 1
        try:
            self._cutting = Tokenizer.from_file(str(folder / TOKENIZER))
            self._whole = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # the library raises no narrower one
            raise TMCIRError(f"{folder / TOKENIZER}: {first_line(error)}") from None
        for tokenizer in (self._cutting, self._whole):
            tokenizer.no_padding()
            tokenizer.encode_special_tokens = True  # control words are read as any other text
        self._cutting.enable_truncation(manifest.text_length + special)
        self._whole.no_truncation()

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return ids, int64 [N, T], right-padded, and lengths, int64 [N].

        A batch of empty texts still has one column of content.
        """
        encoded = [one.ids for one in self._cutting.encode_batch(list(texts))]
        lengths = np.array([len(ids) for ids in encoded], np.int64)
        width = max(self._min_width, int(lengths.max(initial=0)))
        ids = np.full((len(encoded), width), self._manifest.padding, np.int64)
        for row, tokens in zip(ids, encoded, strict=True):
            row[: len(tokens)] = tokens
        return ids, lengths

    def words(self, text: str) -> list[str]:
        """Return the piece of ``text`` behind each content token."""
        offsets = self._cutting.encode(text).offsets
        content = offsets[
            self._manifest.prefix_tokens : len(offsets) - self._manifest.suffix_tokens
        ]
        return [text[start:end].strip() for start, end in content]

    def unread(self, text: str) -> str:
        """Return the end of a text that is cut, from its first word that is not read whole."""
        offsets = self._whole.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= self._manifest.text_length:
            return ""
        cut = offsets[self._manifest.text_length][0]
        return text[text.rfind(" ", 0, cut + 1) + 1 :].strip()
