"""A tiny catalogue and a tiny model, drawn and built from scratch in the tests that need them."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from tmcir.data.dataset import Dataset
from tmcir.models.encoders.clip import ClipEncoder, build_clip
from tmcir.models.preprocessing import ImagePreprocessor
from tmcir.models.tmcir import TMCIR
from tmcir.models.tokenizer import train_tokenizer

COLOURS = {"Red": (200, 30, 30), "Blue": (30, 30, 200), "Green": (30, 160, 30)}
TYPES = ("Tshirts", "Jeans", "Caps")
TOWERS: dict[str, Any] = {
    "image_size": 16,
    "patch_size": 8,
    "embedding_size": 16,
    "vision_width": 16,
    "vision_layers": 1,
    "text_width": 16,
    "text_layers": 1,
    "heads": 2,
}
FUSION: dict[str, Any] = {"hidden_size": 16, "layers": 1, "heads": 2}


def draw_catalogue(root: Path, items: int = 180, side: int = 20) -> Path:
    """Draw shapes of three types and colours in the layout of the product photos."""
    generator = random.Random(0)
    (root / "images").mkdir(parents=True)
    with (root / "styles.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "gender", "articleType", "baseColour", "productDisplayName"])
        for number in range(100, 100 + items):
            gender = ("Men", "Women")[generator.randrange(2)]
            colour, article = list(COLOURS)[number % 3], TYPES[(number // 3) % 3]
            pattern = generator.choice(["", "Striped"])
            title = " ".join(f"Maker {gender} {pattern} {colour} {article}".split())
            writer.writerow([number, gender, article, colour, title])
            image = Image.new("RGB", (side, side), "white")
            size = {"Tshirts": side, "Jeans": side // 2, "Caps": side // 4}[article]
            ImageDraw.Draw(image).rectangle((0, 0, size, size), fill=COLOURS[colour])
            image.save(root / "images" / f"{number}.jpg", quality=95)
    return root


# Settings of the other methods at this size; the tiny text tower has no room for a long prompt.
METHODS: dict[str, dict[str, Any]] = {
    "tmcir": FUSION,
    "gate": {"hidden_size": 16},
    "weighted-sum": {},
    "tirg": {},
    "combiner": {},
    "pic2word": {"prompt": "* , {text}", "hidden_size": 32},
}


def build_model(
    dataset: Dataset,
    seed: int = 0,
    method: str = "tmcir",
    text_length: int = 12,
    **fusion: Any,
) -> TMCIR:
    """Build a model of a few thousand weights; random, for plumbing only."""
    torch.manual_seed(seed)
    texts = [text for _, texts in dataset.captions() for text in texts]
    tokenizer = train_tokenizer(texts, vocabulary_size=300, text_length=text_length)
    preprocessor = ImagePreprocessor(size=TOWERS["image_size"])
    encoder = ClipEncoder(build_clip(tokenizer, **TOWERS), tokenizer, preprocessor)
    return TMCIR(encoder, method, {**METHODS[method], **fusion}, name="tiny").eval()
