"""A composed query, beside the sum of both embeddings that a user would write by hand.

The same CLIP ViT-B/32 of random weights, the same photo, text and vectors, in one run; from the
file and the text to the rows of 20 photos:

    python measurements/composing.py --photos ../shared/data/fashion-products/images

Needs the extra ``export``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
import torch
from encoding import normalised, save_clip
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import tmcir
from tmcir.gallery.stores.exact import nearest
from tmcir.runtime.export import export

K = 20
TEXT = "in red and with short sleeves"


def main() -> None:
    """Print a row per way to search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEGs")
    parser.add_argument("--vectors", type=int, default=100_000, help="photos in the gallery")
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    photos = sorted(options.photos.glob("*.jpg"))[: options.runs]
    with tempfile.TemporaryDirectory() as temporary:
        folder = save_clip(Path(temporary) / "clip")
        export(folder, folder.with_name("graphs"))
        vectors = np.random.default_rng(0).standard_normal((options.vectors, 512), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = ways(folder, vectors)
        first = 0.0
        print(f"{'':28}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>7}  best")
        for name, search in rows.items():
            best = search(photos[0])[:3]
            times = []
            for photo in photos:
                began = time.perf_counter()
                search(photo)
                times.append(1000 * (time.perf_counter() - began))
            median, high = np.percentile(times, (50, 99))
            first = first or float(median)
            print(f"{name:28}{median:9.1f}{high:9.1f}{first / median:7.2f}  {best}", flush=True)


def ways(folder: Path, vectors: NDArray[np.float32]) -> dict[str, Callable[[Path], list[int]]]:
    """Return functions from a photo to the rows of the 20 nearest vectors."""
    clip = CLIPModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    table = lancedb.connect(folder.with_name("lance")).create_table(
        "images",
        pa.table(
            {
                "row": pa.array(np.arange(len(vectors))),
                "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1]),
            }
        ),
    )
    ours, graphs = tmcir.load(folder), tmcir.load(folder.with_name("graphs"), runtime="onnx")

    @torch.inference_mode()
    def by_hand(photo: Path) -> NDArray[np.float32]:
        pixels = processor(images=[Image.open(photo).convert("RGB")], return_tensors="pt")
        tokens = tokenizer([TEXT], return_tensors="pt")
        image = normalised(clip.get_image_features(**pixels))
        both = image + normalised(clip.get_text_features(**tokens))
        return np.asarray(both[0], np.float32)

    def in_numpy(photo: Path) -> list[int]:
        found: list[int] = (vectors @ by_hand(photo)).argsort()[::-1][:K].tolist()
        return found

    def in_lance(photo: Path) -> list[int]:
        query = table.search(by_hand(photo)).distance_type("dot").select(["row"]).limit(K)
        return [row["row"] for row in query.to_list()]

    def best(query: NDArray[np.float32]) -> list[int]:
        found: list[int] = nearest(vectors, query, K)[0].tolist()
        return found

    def by_torch(photo: Path) -> list[int]:
        return best(ours.compose([photo], [TEXT]).numpy()[0])

    def by_graphs(photo: Path) -> list[int]:
        return best(graphs.compose([photo], [TEXT])[0])

    return {
        "by hand, NumPy": in_numpy,
        "by hand, LanceDB": in_lance,
        "tmcir, torch": by_torch,
        "tmcir, onnx": by_graphs,
    }


if __name__ == "__main__":
    main()
