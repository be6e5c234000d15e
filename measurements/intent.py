"""What changed@10 and kept@10 can be: at random, at best, and by each method of a model.

    python measurements/intent.py fashion-products --root data/fashion-products --model runs/model

The best is a ranking by the true attributes: every image by the sum of its two shares.
Most queries have fewer right answers than ten, so it does not reach 100. It judges the whole
gallery for every query, which takes minutes.
"""

from __future__ import annotations

import argparse
from statistics import fmean

import torch
from torch.nn.functional import normalize

import tmcir
from tmcir.data.dataset import Dataset, Judgement
from tmcir.data.datasets import open_dataset
from tmcir.evaluation import Embeddings, evaluate_methods, score
from tmcir.evaluation.intent import LENGTH

SIZE = 64
METHODS = ("image", "text", "sum", "model")
FIGURES = (f"changed@{LENGTH}", f"kept@{LENGTH}")
Pair = tuple[float, float]


def at_random(dataset: Dataset) -> Pair:
    """Return both figures, in percent, of random embeddings."""
    generator = torch.Generator().manual_seed(0)
    names, queries = dataset.image_names(), dataset.triplets
    embeddings = Embeddings(
        images=normalize(torch.randn(len(names), SIZE, generator=generator), dim=1),
        image_rows={name: row for row, name in enumerate(names)},
        queries=normalize(torch.randn(len(queries), SIZE, generator=generator), dim=1),
        query_rows={triplet.id: row for row, triplet in enumerate(queries)},
    )
    metrics = score(embeddings, dataset).overall.metrics
    return metrics[FIGURES[0]].value, metrics[FIGURES[1]].value


def at_best(dataset: Dataset) -> Pair:
    """Return both figures, in percent, of a ranking by the truth."""
    (task,) = dataset.tasks()
    known = [name for name in task.gallery if dataset.can_judge(name)]
    found: list[Judgement] = []
    for triplet in task.triplets:
        judged = [dataset.judge(triplet, name) for name in known if name != triplet.reference]
        found += sorted(judged, key=lambda one: -one.changed - one.kept)[:LENGTH]
    return 100 * fmean(one.changed for one in found), 100 * fmean(one.kept for one in found)


def by_model(dataset: Dataset, source: str) -> dict[str, Pair]:
    """Return both figures, in percent, of every method."""
    found = {}
    reports = evaluate_methods(tmcir.load(source), dataset, METHODS)
    for method, report in zip(METHODS, reports, strict=True):
        metrics = report.overall.metrics
        found[method] = (metrics[FIGURES[0]].value, metrics[FIGURES[1]].value)
    return found


def main() -> None:
    """Print a row a method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="rendered or fashion-products")
    parser.add_argument("--root", required=True, help="folder of the dataset")
    parser.add_argument("--model", help="model directory, for the rows of its methods")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.dataset, arguments.root, "test")
    rows = {"random": at_random(dataset)}
    if arguments.model is not None:
        rows |= by_model(dataset, arguments.model)
    rows["best"] = at_best(dataset)
    print(f"{'':8}  {FIGURES[0]:>10}  {FIGURES[1]:>8}")
    for name, (changed, kept) in rows.items():
        print(f"{name:8}  {changed:10.1f}  {kept:8.1f}")


if __name__ == "__main__":
    main()
