"""Figures of a shipped model: held-out garments, photos, wordings and references; time and size.

    python measurements/shipped_model.py --model mini --root data/fashion-products \\
        --clothing data/clothing

It draws the test split of the rendered catalogue into --catalogue where that is missing. --card
writes the figures into the README of a model's folder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cards import write_measured

from tmcir.core.shipped import MODEL_INDEX, shipped_folder
from tmcir.data.dataset import Dataset
from tmcir.data.datasets import open_dataset
from tmcir.evaluation import evaluate_methods
from tmcir.models.loading import load
from tmcir.models.tmcir import TMCIR

METHODS = {"model": "TMCIR", "sum": "sum", "image": "image only", "text": "text only"}
RUNS = 50
OVER_CLOTHING = "Phone photos as references, the colour of a product of the same kind asked"


def figures(model: TMCIR, dataset: Dataset) -> list[str]:
    """Return a table of all metrics of a dataset, a line a method."""
    lines: list[str] = []
    for title, report in zip(
        METHODS.values(), evaluate_methods(model, dataset, [*METHODS]), strict=True
    ):
        metrics = report.overall.metrics
        if not lines:
            lines += [
                f"| queries by | {' | '.join(metrics)} |",
                "| --- " * (len(metrics) + 1) + "|",
            ]
        lines.append(f"| {title} | {' | '.join(str(one) for one in metrics.values())} |")
    return lines


def photos(root: Path) -> dict[str, Dataset]:
    """Return the test split of the product photos, asked in several ways."""
    options: dict[str, dict[str, Any]] = {
        "Product photos, test split": {},
        "The same queries in wordings that no training text has": {"wordings": "held-out"},
        "Product photos, another usage (more formal, for sports)": {
            "changes": "usage",
            "queries": 500,
        },
        "Another usage in wordings that no training text has": {
            "changes": "usage",
            "queries": 500,
            "wordings": "held-out",
        },
    }
    return {
        title: open_dataset("fashion-products", root, "test", **chosen)
        for title, chosen in options.items()
    }


def counts(dataset: Dataset) -> str:
    """Return how many queries ask how many images."""
    images = {name for task in dataset.tasks() for name in task.gallery}
    return f"{len(dataset.triplets):,} queries over {len(images):,} images"


def milliseconds(call: Callable[[], object]) -> float:
    """Return the median time of a call."""
    times = []
    call()
    for _ in range(RUNS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1000 * float(np.median(times))


def speed(model: TMCIR, image: Path) -> list[str]:
    """Return a table of what one image, one text and one query take."""
    text = "the same in navy, with longer sleeves"
    calls: dict[str, Callable[[], object]] = {
        "encode one image, decoding included": lambda: model.encode_images([image]),
        "encode one text": lambda: model.encode_texts([text]),
        "compose one query, both towers included": lambda: model.compose([image], [text]),
    }
    rows = [f"| {name} | {milliseconds(call):.1f} ms |" for name, call in calls.items()]
    return ["| what | median time |", "| --- | --- |", *rows]


def main() -> None:
    """Measure, print, and write the card where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--root", type=Path, help="folder of the product photos")
    parser.add_argument("--clothing", type=Path, help="folder of the phone photos")
    parser.add_argument("--catalogue", type=Path, default=Path("data/rendered"))
    parser.add_argument("--card", type=Path, help="README to write the figures to")
    arguments = parser.parse_args()
    folder = shipped_folder(arguments.model, MODEL_INDEX) or Path(arguments.model)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    model = load(arguments.model, device="cpu")
    rendered = open_dataset("rendered", arguments.catalogue, "test")
    measured = {"Rendered catalogue, test split": rendered}
    if arguments.root is not None:
        measured |= photos(arguments.root)
        if arguments.clothing is not None:
            measured[OVER_CLOTHING] = open_dataset(
                "clothing",
                arguments.clothing,
                "val",
                products=str(arguments.root.resolve()),
                products_split="test",
            )
    lines = ["By `measurements/shipped_model.py`, in percent, with 95 % intervals over queries."]
    for title, dataset in measured.items():
        lines += ["", f"{title}: {counts(dataset)}.", "", *figures(model, dataset)]
    image = rendered.image_path(rendered.tasks()[0].gallery[0])
    lines += ["", f"All files together: {size:.1f} MB. On two CPU cores:", ""]
    lines += speed(model, image)
    print("\n".join(lines))
    if arguments.card is not None:
        write_measured(arguments.card, lines)


if __name__ == "__main__":
    main()
