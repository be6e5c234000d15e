"""A tiny sentence-transformers model that reads an image with a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule
from torch import Tensor, nn

SIDE, LETTERS, SIZE = 4, 26, 8


class TinyReader(InputModule):
    """Adds linear maps of the pixels and of the letters; a prompt would add its letters."""

    config_keys: list[str] = []  # noqa: RUF012 - as the base class has it

    def __init__(self) -> None:
        super().__init__()
        self.pixels = nn.Linear(3 * SIDE * SIDE, SIZE)
        self.letters = nn.Linear(LETTERS, SIZE)

    @property
    def modalities(self) -> list[Any]:
        return ["text", "image", ("image", "text")]

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **_: Any) -> Any:
        assert all(isinstance(one, dict) for one in inputs)  # a string might be read as an address
        pixels, letters = zip(*(self._read(one, prompt or "") for one in inputs), strict=True)
        return {"pixels": torch.stack(pixels), "letters": torch.stack(letters)}

    def _read(self, given: dict[str, Any], prompt: str) -> tuple[Tensor, Tensor]:
        pixels, letters = torch.zeros(3 * SIDE * SIDE), torch.zeros(LETTERS)
        if "image" in given:
            small = given["image"].resize((SIDE, SIDE))
            pixels = torch.from_numpy(np.asarray(small, dtype=np.float32).copy()).flatten() / 255
        for letter in (prompt + given.get("text", "")).lower():
            if "a" <= letter <= "z":
                letters[ord(letter) - ord("a")] += 1
        return pixels, letters

    def forward(self, features: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        embedded = self.pixels(features["pixels"]) + self.letters(features["letters"])
        return {**features, "sentence_embedding": embedded}

    def get_embedding_dimension(self) -> int:
        return SIZE

    def get_sentence_embedding_dimension(self) -> int:
        return SIZE

    def save(self, output_path: str, *_: Any, **options: Any) -> None:
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=True)

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        init_defaults: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> TinyReader:
        model = cls()
        cls.load_torch_weights(model_name_or_path, subfolder=subfolder, model=model)
        return model


class TextOnly(TinyReader):
    @property
    def modalities(self) -> list[Any]:
        return ["text"]


# sentence-transformers loads no class from outside itself: here they are a part of it.
for kind in (TinyReader, TextOnly):
    kind.__module__ = "sentence_transformers"
    setattr(sentence_transformers, kind.__name__, kind)


def save_composed(folder: Path, reader: type[TinyReader] = TinyReader) -> Path:
    """Write the model, with a prompt for queries as such models have it."""
    torch.manual_seed(0)
    model = SentenceTransformer(
        modules=[reader()], prompts={"query": "find ", "document": ""}, device="cpu"
    )
    model.save_pretrained(str(folder))
    return folder
