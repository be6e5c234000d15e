"""Published encoders as tiny folders: the real classes of transformers with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    Blip2Config,
    Blip2ForImageTextRetrieval,
    CLIPConfig,
    CLIPModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTModel,
)

from tests.tiny import FUSION
from tmcir.models import TMCIR
from tmcir.models.encoders.backbones import EfficientNetBackbone
from tmcir.models.encoders.dual import DualEncoder, DualSettings
from tmcir.models.preprocessing import ImagePreprocessor
from tmcir.models.tokenizer import train_tokenizer

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


TRANSFORMER: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def save_clip(folder: Path, composed: bool = False) -> Path:
    """Write a tiny CLIP; ``composed`` as BGE-VL-base is published, its code file a trap."""
    tokenizer = train_tokenizer(["red jeans for men", "blue shirt"], 300, 16)
    config = CLIPConfig(
        projection_dim=16,
        vision_config={**TRANSFORMER, "image_size": SIDE, "patch_size": 8},
        text_config={
            **TRANSFORMER,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 16,
            "eos_token_id": tokenizer.eos_token_id,
        },
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if composed:
        (folder / "modeling_MMRet_CLIP.py").write_text("raise AssertionError('was run')")
        _add(folder, auto_map={"AutoModel": "modeling_MMRet_CLIP.CLIPModel"})
    return folder


def save_siglip(folder: Path) -> Path:
    """Write a tiny SigLIP whose tokenizer adds an end token only, as SigLIP's does."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ["<pad>", "<eos>", "<unk>", " ", *letters]
    tokenizer = Tokenizer(
        models.BPE({token: number for number, token in enumerate(tokens)}, [], unk_token="<unk>")
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        model_max_length=24,
    ).save_pretrained(folder)
    config = SiglipConfig(
        vision_config={**TRANSFORMER, "image_size": SIDE, "patch_size": 8},
        text_config={
            **TRANSFORMER,
            "vocab_size": len(tokens),
            "max_position_embeddings": 24,
            "pad_token_id": 0,
            "eos_token_id": 1,
        },
    )
    torch.manual_seed(0)
    model = SiglipModel(config)
    torch.nn.init.normal_(model.text_model.embeddings.token_embedding.weight)
    model.save_pretrained(folder)
    square = {"height": SIDE, "width": SIDE}
    half = [0.5, 0.5, 0.5]
    preprocessing = {"size": square, "image_mean": half, "image_std": half, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


def save_blip2(folder: Path) -> Path:
    """Write a tiny BLIP-2 for image-text retrieval, with three query tokens."""
    tokenizer = word_pieces()
    config = Blip2Config(
        vision_config={**TRANSFORMER, "image_size": SIDE, "patch_size": 8},
        qformer_config={
            **TRANSFORMER,
            "num_hidden_layers": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 16,
            "use_qformer_text_input": True,
            "cross_attention_frequency": 1,
            "pad_token_id": 0,
        },
        num_query_tokens=3,
        image_text_hidden_size=16,
    )
    torch.manual_seed(0)
    model = Blip2ForImageTextRetrieval(config)
    for weight in model.parameters():  # of its own it starts with almost nothing
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    square = {"height": SIDE, "width": SIDE}
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": square, "resample": 3}))
    return folder


def save_dual(folder: Path) -> Path:
    """Write a model of ours whose encoder is a small EfficientNet-Lite and a BERT."""
    torch.manual_seed(0)
    encoder = DualEncoder(
        EfficientNetBackbone(width=0.25, depth=0.3, levels=3),
        AutoModel.from_pretrained(save_bert(folder / "bert")),
        word_pieces(),
        ImagePreprocessor(size=64, fit="pad"),
        DualSettings(image_size=64, **DUAL),
    )
    TMCIR(encoder, settings={**FUSION}).save_pretrained(folder / "model")
    return folder / "model"


DUAL: dict[str, Any] = {
    "embedding_size": 16,
    "image_hidden": 16,
    "attention_width": 16,
    "attention_slots": 2,
    "text_hidden": 16,
    "text_length": 12,
}
FAMILIES: dict[str, Callable[[Path], Path]] = {
    "clip": save_clip,
    "composed clip": lambda folder: save_clip(folder, composed=True),
    "siglip": save_siglip,
    "blip-2": save_blip2,
    "dual": save_dual,
}
"""Writes a folder that ``tmcir.load`` loads, for every family."""


def _add(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
