"""Does "without the belt" find more as a text, as a negative term, or as both?

Drawn garments whose queries take one part away. Each way to ask is scored against the same answers
(the garments without the part that are otherwise like the reference); the reference is no result.

    python measurements/negative_terms.py --root runs/rendered-local
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import tmcir
from tmcir.evaluation.bootstrap import interval, resampled_means
from tmcir.gallery.stores.base import unit
from tmcir.rendered.catalogue import NEGATION, RenderedCatalogue

#: What a person would name, by the attribute that the query takes away.
PARTS = {"belt": "a belt", "pockets": "pockets", "trim": "trimming", "closure": "buttons"}
WEIGHTS = (-0.25, -0.5, -1.0)


def main() -> None:
    """Print a row for each way to ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder for the drawn garments")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--queries", type=int, default=1_000, help="of which those that take away")
    arguments = parser.parse_args()
    dataset = RenderedCatalogue(
        arguments.root, items=arguments.items, queries=arguments.queries, changes="local"
    )
    dataset.prepare()
    model = tmcir.load(arguments.model)
    (task,) = dataset.tasks()
    queries = [triplet for triplet in task.triplets if triplet.kind == NEGATION]
    parts = [next((v for k, v in PARTS.items() if k in t.text or v in t.text), "") for t in queries]
    queries = [triplet for triplet, part in zip(queries, parts, strict=True) if part]
    parts = [part for part in parts if part]
    gallery = list(task.gallery)
    rows = {name: row for row, name in enumerate(gallery)}
    paths = [dataset.image_path(name) for name in gallery]
    images = np.concatenate(
        [model.encode_images(paths[at : at + 64]).numpy() for at in range(0, len(paths), 64)]
    )  # [G, D]
    references = [rows[triplet.reference] for triplet in queries]
    image = images[references]  # [Q, D]
    term = model.encode_texts(parts).numpy()  # [Q, D]
    reference_paths = [paths[row] for row in references]
    composed = np.concatenate(
        [
            model.compose(
                reference_paths[at : at + 64], [t.text for t in queries[at : at + 64]]
            ).numpy()
            for at in range(0, len(queries), 64)
        ]
    )
    asked = {"photo alone": image, 'photo, text "without the ..."': composed}
    for weight in WEIGHTS:
        asked[f"photo, term {weight}"] = unit(image + weight * term)
    for weight in WEIGHTS:
        asked[f"photo, text, term {weight}"] = unit(composed + weight * term)
    print(f"{len(queries)} queries over {len(gallery):,} garments   R@10 with its 95% interval")
    for name, vectors in asked.items():
        scores = vectors @ images.T  # [Q, G]
        scores[np.arange(len(queries)), references] = -np.inf
        first = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        found = [
            any(gallery[column] in triplet.answers for column in row)
            for row, triplet in zip(first, queries, strict=True)
        ]
        values = torch.tensor(found, dtype=torch.float64)
        low, high = interval(resampled_means(values[:, None]))
        shown = f"[{100 * float(low):.1f}, {100 * float(high):.1f}]"
        print(f"{name:32} {100 * float(values.mean()):5.1f} {shown}")


if __name__ == "__main__":
    main()
