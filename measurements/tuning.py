"""What `tmcir tune` gains: by the size of a catalogue, and outside of fashion.

Run from the root of the repository, with the extras ``train`` and ``serve``::

    python measurements/tuning.py sizes --photos data/fashion-products/images \\
        --metadata data/fashion-products/styles.csv --columns gender,articleType,baseColour,usage
    python measurements/tuning.py shapes --count 600
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import tmcir
from tmcir.core.cache_folder import cache_folder
from tmcir.data.catalogue import Catalogue
from tmcir.tuning.features import EncodedPhotos
from tmcir.tuning.figures import Comparison, compare
from tmcir.tuning.result import Tuned

SIDE = 160
COLOURS = {
    "red": (200, 40, 40),
    "blue": (40, 70, 200),
    "green": (40, 150, 60),
    "yellow": (220, 190, 40),
    "purple": (120, 50, 150),
    "grey": (120, 120, 120),
}
SHAPES = ("ball", "cube", "cylinder", "cone")
FINISHES = ("matt", "shiny", "striped")
GROUNDS = {"wooden table": (170, 130, 90), "white paper": (240, 240, 240)}


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sizes = commands.add_parser("sizes", help="gain beside the size of a catalogue")
    sizes.add_argument("--photos", type=Path, required=True)
    sizes.add_argument("--metadata", type=Path, required=True)
    sizes.add_argument("--columns", required=True)
    sizes.add_argument("--sizes", type=int, nargs="+", default=[100, 300, 1000, 3000])
    shapes = commands.add_parser("shapes", help="a drawn catalogue that is no fashion")
    shapes.add_argument("--count", type=int, default=600)
    for command in (sizes, shapes):
        command.add_argument("--model", default="mini")
        command.add_argument("--output", type=Path, default=Path("runs/tuning"))
    options = parser.parse_args()
    if options.command == "sizes":
        measure_sizes(options)
    else:
        measure_shapes(options)


def measure_sizes(options: argparse.Namespace) -> None:
    """Tune on random parts of the training and validation photos, and measure on one test split."""
    columns = options.columns.split(",")
    test = Catalogue(options.photos, "test", options.metadata, columns=columns, queries=2000)
    names = [item.name for item in test.products.items if test.splits[item.name] != "test"]
    found = []
    for size in options.sizes:
        folder = options.output / f"{size}"
        photos, table = take(options, random.Random(0).sample(sorted(names), size), folder)
        tuned = tmcir.tune(
            photos, table, output=folder / "model", model=options.model, columns=columns
        )
        row = {"size": size, **summary(tuned), "common": common(options.model, tuned, test)}
        found.append(row)
        print(json.dumps(row), flush=True)
    plot(found, options.output / "sizes.png")


def take(options: argparse.Namespace, names: Sequence[str], folder: Path) -> tuple[Path, Path]:
    """Copy some photos into a folder of their own; the table stays as it is.

    In a deeper folder, so that the split by their names is another one than that of all photos.
    """
    photos = folder / "photos"
    for name in names:
        target = photos / "part" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy2(options.photos / name, target)
    return photos, options.metadata


def common(model: str, tuned: Tuned, test: Catalogue) -> dict[str, list[float]]:
    """Measure start model and tuned model on a test split that is the same for all sizes."""
    photos = EncodedPhotos(tmcir.load(model), cache_folder())
    after = tmcir.load(tuned.output)
    own = photos.by(after)
    return figures(compare(photos.model, after, test, (photos.features, own.features)))


def figures(compared: Comparison) -> dict[str, list[float]]:
    """Return R@1, R@10 and mAP@10 before and after, and the gain with its interval."""
    found = {
        metric: [
            compared.reports[name].overall.metrics[metric].value for name in ("before", "after")
        ]
        for metric in ("R@1", "R@10", "mAP@10")
    }
    return found | {"gain": [compared.gain.value, compared.gain.low, compared.gain.high]}


def summary(tuned: Tuned) -> dict[str, object]:
    """Return what a person reads of a tuning."""
    overall = {
        name: {
            metric: round(report["overall"]["metrics"][metric]["value"], 2)
            for metric in ("R@1", "R@10", "mAP@10")
        }
        for name, report in tuned.reports.items()
    }
    return {
        "products": tuned.products,
        "better": tuned.better,
        "gain": [round(value, 2) for value in tuned.gain],
        "columns": tuned.columns,
        "left_out": tuned.left_out,
        "seconds": round(tuned.seconds),
        **overall,
    }


def plot(rows: Sequence[dict[str, object]], path: Path) -> None:
    """Plot the gain on the common test split beside the number of products."""
    sizes = [int(str(row["size"])) for row in rows]
    gains = np.array([row["common"]["gain"] for row in rows])  # type: ignore[index]
    figure, axes = plt.subplots(figsize=(6, 3.6))
    errors = np.abs(gains[:, 1:].T - gains[:, 0])
    axes.errorbar(sizes, gains[:, 0], yerr=errors, marker="o", capsize=3)
    axes.axhline(0, color="grey", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xlabel("products in the catalogue")
    axes.set_ylabel("mAP@10, after - before, points")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def measure_shapes(options: argparse.Namespace) -> None:
    """Draw a catalogue of solids and tune on it."""
    folder = options.output / "shapes"
    photos, table = draw_shapes(folder, options.count)
    tuned = tmcir.tune(photos, table, output=folder / "model", model=options.model)
    print(json.dumps(summary(tuned)))


def draw_shapes(folder: Path, count: int) -> tuple[Path, Path]:
    """Draw solids under one lamp, with a table of what can be seen and of what cannot."""
    generator = random.Random(0)
    photos = folder / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    table = folder / "solids.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "solid", "colour", "finish", "ground", "supplier", "price"])
        for number in range(count):
            row = [
                generator.choice(SHAPES),
                generator.choice(list(COLOURS)),
                generator.choice(FINISHES),
                generator.choice(list(GROUNDS)),
            ]
            supplier, price = generator.choice("ABC"), f"{generator.uniform(1, 99):.2f}"
            writer.writerow([f"{number}.jpg", *row, f"Supplier {supplier}", price])
            solid, colour, finish, ground = row
            image = Image.fromarray(draw(solid, colour, finish, ground, number))
            image.save(photos / f"{number}.jpg", quality=92)
    return photos, table


def draw(solid: str, colour: str, finish: str, ground: str, seed: int) -> NDArray[np.uint8]:
    """Draw one solid, uint8 [S, S, 3]."""
    random_numbers = np.random.default_rng(seed)
    size, dx, dy = 0.45 + 0.3 * random_numbers.random(), *(0.4 * random_numbers.random(2) - 0.2)
    line = np.linspace(-1, 1, SIDE)
    x, y = np.meshgrid((line - dx) / size, (line - dy) / size)
    half = {"ball": np.sqrt(np.clip(1 - y**2, 0, None)), "cone": (y + 1) / 2}.get(solid)
    width = np.full_like(y, 0.75) if half is None else half
    inside = (np.abs(x) < width) & (np.abs(y) < 1)
    across = np.divide(x, width, out=np.zeros_like(x), where=width > 0)
    depth = np.sqrt(np.clip(1 - across**2, 0, None))
    light = np.clip(0.25 + 0.75 * (0.6 * depth - 0.5 * across), 0.1, 1)
    if solid == "cube":
        light = np.where(across < 0.3, 0.9, 0.5)
    if solid == "ball":
        light = light * np.clip(1.1 - 0.4 * y, 0.3, 1)
    image = np.empty((SIDE, SIDE, 3))
    image[:] = GROUNDS[ground]
    image += random_numbers.normal(0, 6, (SIDE, SIDE, 1))
    if ground == "wooden table":
        image += 12 * np.sin(8 * y + 2 * np.sin(3 * x))[..., None]
    body = np.array(COLOURS[colour]) * light[..., None]
    if finish == "striped":
        body = np.where((np.sin(14 * y) > 0)[..., None], body, 245 * light[..., None])
    if finish == "shiny":
        glint = np.exp(-((across + 0.4) ** 2 + (y + 0.4) ** 2) / 0.02)
        body = body + 200 * glint[..., None]
    image = np.where(inside[..., None], body, image)
    return np.clip(image, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
