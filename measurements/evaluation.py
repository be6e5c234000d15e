"""Time of an evaluation, beside the full sort that research code usually does.

Fashion-IQ's annotation with fixed random features, so that neither images nor a model are needed:

    python measurements/evaluation.py --root data/fashion-iq

The other side sorts the whole gallery for every query and compares names, as most published
evaluation scripts do. Both find the same recalls, which is checked.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import torch

from tmcir.data.dataset import Dataset
from tmcir.data.datasets import open_dataset
from tmcir.data.fashion_iq import CATEGORIES
from tmcir.evaluation import Embeddings, score

SIZE = 768


def random_embeddings(dataset: Dataset) -> Embeddings:
    """Return float32 embeddings of every image and query, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    names = dataset.image_names()
    images = torch.randn(len(names), SIZE, generator=generator)
    queries = torch.randn(len(dataset.triplets), SIZE, generator=generator)
    return Embeddings(
        images=torch.nn.functional.normalize(images, dim=-1),
        image_rows={name: row for row, name in enumerate(names)},
        queries=torch.nn.functional.normalize(queries, dim=-1),
        query_rows={triplet.id: row for row, triplet in enumerate(dataset.triplets)},
    )


def sort_everything(embeddings: Embeddings, dataset: Dataset) -> tuple[float, float]:
    """Return R@10 and R@50 in percent by sorting the names of the gallery for every query."""
    (task,) = dataset.tasks()
    distances = 1 - embeddings.of_queries(task) @ embeddings.of_gallery(task).T
    names = np.array(task.gallery)[distances.argsort(dim=1, stable=True).numpy()]  # [Q, G]
    found = names == np.array([triplet.target for triplet in task.triplets])[:, None]
    return 100 * found[:, :10].any(axis=1).mean(), 100 * found[:, :50].any(axis=1).mean()


def timed(function: Callable[[], object], runs: int) -> float:
    """Return the median of seconds."""
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def main() -> None:
    """Print a row per category."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of Fashion-IQ's annotation")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    print("category  queries  gallery  tmcir, with 1,000 resamples   full sort   ratio")
    for category in CATEGORIES:
        dataset = open_dataset("fashion-iq", arguments.root, "val", categories=category)
        embeddings = random_embeddings(dataset)
        metrics = score(embeddings, dataset).overall.metrics
        expected = sort_everything(embeddings, dataset)
        assert np.allclose((metrics["R@10"].value, metrics["R@50"].value), expected)
        ours = timed(partial(score, embeddings, dataset), arguments.runs)
        theirs = timed(partial(sort_everything, embeddings, dataset), arguments.runs)
        (task,) = dataset.tasks()
        print(
            f"{category:8}  {len(task.triplets):7,}  {len(task.gallery):7,}"
            f"  {ours:24.2f} s  {theirs:8.2f} s  {theirs / ours:5.1f}x"
        )


if __name__ == "__main__":
    main()
