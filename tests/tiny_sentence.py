"""Tiny sentence-transformers models that read an image with a text.

One is a module of its own, whose embeddings can be worked out; the other is a LLaVA, of the classes
that published models have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

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


_CHAT = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}"
)


def save_llava(folder: Path) -> Path:
    """Write a LLaVA of one layer as an embedding model, such as BGE-VL-MLLM is."""
    special = ["<pad>", "<unk>", "<s>", "</s>", "<image>"]
    tokens = [*special, *(chr(code) for code in range(32, 127))]
    numbered = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(numbered, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    square = {"height": 16, "width": 16}
    LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=square),
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            pad_token="<pad>",
            unk_token="<unk>",
            bos_token="<s>",
            eos_token="</s>",
            extra_special_tokens={"image_token": "<image>"},
        ),
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=_CHAT,
        image_token="<image>",
        num_additional_image_tokens=1,
    ).save_pretrained(folder / "llava")
    shape: dict[str, Any] = {
        "hidden_size": SIZE,
        "intermediate_size": SIZE,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**shape, image_size=16, patch_size=8),
        text_config=LlamaConfig(**shape, num_key_value_heads=2, vocab_size=len(tokens)),
        image_token_index=numbered["<image>"],
        vision_feature_layer=-1,
    )
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder / "llava")
    model = SentenceTransformer(
        modules=[Transformer(str(folder / "llava")), Pooling(SIZE, "lasttoken")],
        prompts={"query": "find ", "document": ""},
        device="cpu",
    )
    model.save_pretrained(str(folder / "model"))
    return folder / "model"
