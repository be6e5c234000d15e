"""Images and texts a second, beside sentence-transformers and plain transformers.

The same CLIP ViT-B/32 of random weights, the same JPEGs, decoding included, all in one run:

    python measurements/encoding.py --photos ../shared/data/fashion-products/images --count 512

Speed does not depend on what weights hold. Needs the extras ``export`` and
``sentence-transformers``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from transformers import AutoTokenizer, CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import tmcir
from tmcir.models.tokenizer import train_tokenizer
from tmcir.runtime.export import export

TEXTS = ("in red", "with short sleeves", "more formal and without a belt", "the same for women")
BATCH = 32


def main() -> None:
    """Print a row per library."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEGs")
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12, help="fewer: to try this script")
    options = parser.parse_args()
    photos = sorted(options.photos.glob("*.jpg"))[: options.count]
    texts = [f"{TEXTS[number % len(TEXTS)]} {number}" for number in range(options.count)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = save_clip(Path(temporary) / "clip", options.layers)
        export(folder, folder.with_name("graphs"))
        rows = runners(folder)
        base: tuple[float, float] | None = None
        print(f"{'':22}{'images/s':>10}{'ratio':>7}{'texts/s':>10}{'ratio':>7}{'difference':>12}")
        reference: np.ndarray | None = None
        for name, (images, words) in rows.items():
            found = images(photos[:BATCH])
            reference = found if reference is None else reference
            speeds = (
                len(photos) / fastest(partial(images, photos), options.repeats),
                len(texts) / fastest(partial(words, texts), options.repeats),
            )
            base = base or speeds
            ratios = [speed / first for speed, first in zip(speeds, base, strict=True)]
            difference = float(np.abs(found - reference).max())
            print(
                f"{name:22}{speeds[0]:10.1f}{ratios[0]:7.2f}{speeds[1]:10.1f}{ratios[1]:7.2f}"
                f"{difference:12.1e}",
                flush=True,
            )


def runners(
    folder: Path,
) -> dict[str, tuple[Callable[[list[Path]], np.ndarray], Callable[[list[str]], np.ndarray]]]:
    """Return functions from files and from texts to embeddings, by library."""
    plain = CLIPModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    sentence = SentenceTransformer(modules=[Transformer(str(folder))], device="cpu")
    ours, graphs = tmcir.load(folder), tmcir.load(folder.with_name("graphs"), runtime="onnx")

    @torch.inference_mode()
    def plain_images(files: list[Path]) -> np.ndarray:
        found = []
        for start in range(0, len(files), BATCH):
            batch = [Image.open(file).convert("RGB") for file in files[start : start + BATCH]]
            output = plain.get_image_features(**processor(images=batch, return_tensors="pt"))
            found.append(normalised(output))
        return np.concatenate(found)

    @torch.inference_mode()
    def plain_texts(texts: list[str]) -> np.ndarray:
        found = []
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            tokens = tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
            found.append(normalised(plain.get_text_features(**tokens)))
        return np.concatenate(found)

    def sentence_images(files: list[Path]) -> np.ndarray:
        opened = [Image.open(file) for file in files]
        return np.asarray(sentence.encode(opened, batch_size=BATCH, normalize_embeddings=True))

    def sentence_texts(texts: list[str]) -> np.ndarray:
        return np.asarray(sentence.encode(texts, batch_size=BATCH, normalize_embeddings=True))

    return {
        "transformers": (plain_images, plain_texts),
        "sentence-transformers": (sentence_images, sentence_texts),
        "tmcir, torch": (
            lambda files: ours.encode_images(files).numpy(),
            lambda texts: ours.encode_texts(texts).numpy(),
        ),
        "tmcir, onnx": (graphs.encode_images, graphs.encode_texts),
    }


def normalised(output: object) -> np.ndarray:
    """Return embeddings of unit length from what a version of transformers gives."""
    tensor = getattr(output, "pooler_output", output)
    assert isinstance(tensor, torch.Tensor)
    found: np.ndarray = torch.nn.functional.normalize(tensor, dim=-1).numpy()
    return found


def save_clip(folder: Path, layers: int = 12) -> Path:
    """Write a CLIP ViT-B/32 of random weights."""
    tokenizer = train_tokenizer([*TEXTS, "0 1 2 3 4 5 6 7 8 9"], 600, 77)
    config = CLIPConfig(
        text_config={
            "vocab_size": 49408,
            "num_hidden_layers": layers,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={"num_hidden_layers": layers},
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    return folder


def fastest(function: Callable[[], object], repeats: int) -> float:
    """Return the minimum seconds of a call; anything above it is other load on the machine."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
