"""Published encoders as tiny folders: the real classes of transformers with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTModel,
)

WORDS = ["red", "green", "blue", "jeans", "men", "women", "in", "for", "striped", "shirt"]
SIDE = 16


def word_pieces(length: int = 16) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer as BERT has it, of a few words and all small letters."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]"]
    tokens = [*special, *letters, *(f"##{letter}" for letter in letters), *WORDS]
    tokenizer = Tokenizer(
        models.WordPiece({token: number for number, token in enumerate(tokens)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, tokens.index(name)) for name in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=length,
    )


def save_bert(folder: Path) -> Path:
    """Write a BERT of one layer, with its tokenizer."""
    tokenizer = word_pieces()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_vision(folder: Path, kind: str) -> Path:
    """Write a tiny image model: ``dinov2``, ``vit`` or ``convnext``."""
    transformer: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": SIDE,
        "patch_size": 8,
    }
    build: dict[str, Callable[[], Any]] = {
        "dinov2": lambda: Dinov2Model(Dinov2Config(**transformer, mlp_ratio=1)),
        "vit": lambda: ViTModel(ViTConfig(**transformer)),
        "convnext": lambda: ConvNextModel(
            ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], image_size=SIDE)
        ),
    }
    torch.manual_seed(0)
    build[kind]().save_pretrained(folder)
    preprocessing = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder
