"""Train on your own data: from a table of attributes to a model of your catalogue.

    python examples/train_on_your_data.py photos garments.csv --same kind pattern --changes colour

Every two photos that agree in the columns ``--same`` and differ in the column ``--changes`` make a
triplet: the first photo, "in {value}", the second photo. With sentences of your own, write
``triplets.jsonl`` yourself (docs/own-triplets.md) and start at ``train_and_measure``.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path

import tmcir
from tmcir.data.datasets import open_dataset
from tmcir.evaluation import Report, score_weights, validation_score
from tmcir.training import load_recipe, train

FORMS = ("in {}", "the same in {}", "make it {}", "{} instead")
RECIPE = """\
name: my-model
description: a model of my own catalogue
dataset: {{name: jsonl, root: {photos}}}
model: {{source: mini}}
stages:
  fuse: {{epochs: {epochs}, batch_size: {batch}, learning_rate: 1.0e-4}}
"""


def write_triplets(rows: list[dict[str, str]], same: list[str], changes: str, photos: Path) -> int:
    """Write ``triplets.jsonl``: up to three partners a photo; every fifth photo validates.

    The third split, ``test``, has every tenth photo. It chooses no weights, so that its figure is
    fair.
    """
    generator = random.Random(0)
    lines = []
    for number, row in enumerate(rows):
        partners = [
            other
            for other in rows
            if all(other[name] == row[name] for name in same) and other[changes] != row[changes]
        ]
        split = {0: "test", 5: "val"}.get(number % 10, "train")
        for other in generator.sample(partners, min(3, len(partners))):
            triplet = {
                "reference": row["image"],
                "text": generator.choice(FORMS).format(other[changes]),
                "target": other["image"],
                "split": split,
            }
            lines.append(json.dumps(triplet))
    (photos / "triplets.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def train_and_measure(photos: Path, epochs: int, batch: int) -> tuple[Report, Report]:
    """Return the report of ``mini`` and that of the trained model, on the split ``test``."""
    recipe = Path("my-model.yaml")
    recipe.write_text(RECIPE.format(photos=photos, epochs=epochs, batch=batch), encoding="utf-8")
    folder = train(load_recipe(str(recipe), []), validation_score, score_weights)
    dataset = open_dataset("jsonl", photos, "test")
    before = tmcir.evaluate(tmcir.load("mini"), dataset)
    return before, tmcir.evaluate(tmcir.load(str(folder)), dataset)


def main() -> None:
    """Write the triplets, train, and print the figures before and after."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path, help="a folder of photos")
    parser.add_argument("table", type=Path, help="a CSV whose column image names the photos")
    parser.add_argument("--same", nargs="+", required=True, help="columns that must agree")
    parser.add_argument("--changes", required=True, help="the column that differs")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()

    with options.table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (options.photos / row["image"]).exists()]
    print(f"{write_triplets(rows, options.same, options.changes, options.photos):,} triplets")
    before, after = train_and_measure(options.photos, options.epochs, options.batch)
    print(before)
    print(after)


if __name__ == "__main__":
    main()
