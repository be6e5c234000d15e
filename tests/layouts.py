"""Tiny datasets in the official folder layouts, for tests that have no real annotation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

FASHION_IQ = [
    {"candidate": "A", "target": "B", "captions": [" is Red.", "with long sleeves?"]},
    {"candidate": "B", "target": "C", "captions": ["is shorter", "no print, "]},
]
CIRR = [
    {
        "pairid": 7,
        "reference": "dev-0",
        "target_hard": "dev-1",
        "target_soft": {"dev-1": 1.0},
        "caption": "two dogs",
        "img_set": {"id": 1, "members": [f"dev-{number}" for number in range(6)]},
    }
]
CIRCO = [
    {
        "id": 0,
        "reference_img_id": 3,
        "target_img_id": 5,
        "gt_img_ids": [5, 9],
        "relative_caption": "is at night",
        "shared_concept": "a bus",
    }
]


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def draw(path: Path, colour: tuple[int, int, int] = (10, 20, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


def write_fashion_iq(
    root: Path, queries: Any = None, split: str = "val", category: str = "dress"
) -> Path:
    write(root / "captions" / f"cap.{category}.{split}.json", queries or FASHION_IQ)
    write(root / "image_splits" / f"split.{category}.{split}.json", ["D", "C", "B", "A"])
    return root


def write_cirr(root: Path, queries: Any = None, split: str = "val", images: int = 8) -> Path:
    write(root / "captions" / f"cap.rc2.{split}.json", queries or CIRR)
    paths = {f"dev-{number}": f"./dev/dev-{number}.png" for number in range(images)}
    write(root / "image_splits" / f"split.rc2.{split}.json", paths)
    return root


def write_circo(root: Path, queries: Any = None, split: str = "val") -> Path:
    write(root / "annotations" / f"{split}.json", queries or CIRCO)
    return root


def write_coco_list(root: Path, ids: list[int]) -> Path:
    content = {"images": [{"id": number, "file_name": f"{number:012d}.jpg"} for number in ids]}
    path = root / "COCO2017_unlabeled" / "annotations" / "image_info_unlabeled2017.json"
    return write(path, content)
