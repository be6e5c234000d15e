"""The real annotations with fixed features, against a slow computation that shares no code.

The slow side reads the JSON files itself and sorts with numpy. Features are small whole numbers,
so that scores are exact and thousands of them tie; queries are noisy copies of their targets, so
that recalls are far from 0 and from 100.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.layouts import write_circo, write_coco_list
from tmcir.data.dataset import Dataset
from tmcir.data.datasets import open_dataset
from tmcir.evaluation import Embeddings, score

SIZE = 12
pytestmark = [pytest.mark.shared_data, pytest.mark.slow]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def draw_features(names: list[str]) -> dict[str, np.ndarray]:
    """Feature of every image, the same for the same names."""
    generator = np.random.default_rng(0)
    table = generator.integers(-3, 4, size=(len(names), SIZE))
    return dict(zip(sorted(names), table, strict=True))


def draw_queries(targets: list[np.ndarray]) -> np.ndarray:
    noise = np.random.default_rng(1).integers(-3, 4, size=(len(targets), SIZE))
    return np.stack(targets) + noise


def as_embeddings(
    images: dict[str, np.ndarray], queries: np.ndarray, dataset: Dataset
) -> Embeddings:
    return Embeddings(
        images=torch.tensor(np.stack(list(images.values()))).float(),
        image_rows={name: row for row, name in enumerate(images)},
        queries=torch.tensor(queries).float(),
        query_rows={triplet.id: row for row, triplet in enumerate(dataset.triplets)},
    )


def rank_gallery(
    query: np.ndarray, gallery: list[str], features: np.ndarray, removed: str | None
) -> list[str]:
    """Names, best first; equal scores in gallery order."""
    order = np.argsort(-(features @ query), kind="stable")
    return [gallery[place] for place in order if gallery[place] != removed]


def average(values: list[float]) -> float:
    return 100 * sum(values) / len(values)


@pytest.mark.parametrize("protocol", ["original", "original-no-reference", "val"])
@pytest.mark.parametrize("category", ["dress", "shirt", "toptee"])
def test_fashion_iq(shared_data: Path, category: str, protocol: str) -> None:
    folder = shared_data / "fashion-iq"
    captions = read(folder / "captions" / f"cap.{category}.val.json")
    gallery = read(folder / "image_splits" / f"split.{category}.val.json")
    images = draw_features(gallery)
    if protocol == "val":
        named = {query[key] for query in captions for key in ("candidate", "target")}
        gallery = [name for name in gallery if name in named]
    queries = draw_queries([images[query["target"]] for query in captions])
    features = np.stack([images[name] for name in gallery])
    found: dict[int, list[float]] = {10: [], 50: []}
    for query, caption in zip(queries, captions, strict=True):
        removed = None if protocol == "original" else caption["candidate"]
        ranking = rank_gallery(query, gallery, features, removed)
        for k, hits in found.items():
            hits.append(float(caption["target"] in ranking[:k]))

    dataset = open_dataset("fashion-iq", folder, "val", categories=category)
    report = score(as_embeddings(images, queries, dataset), dataset, protocol)
    metrics = report.overall.metrics
    assert 2 < average(found[10]) < average(found[50]) < 98
    assert metrics["R@10"].value == pytest.approx(average(found[10]))
    assert metrics["R@50"].value == pytest.approx(average(found[50]))
    assert metrics["mean"].value == pytest.approx((average(found[10]) + average(found[50])) / 2)
    assert (report.overall.queries, report.overall.gallery) == (len(captions), len(gallery))


def test_fashion_iq_averages_its_categories(shared_data: Path) -> None:
    dataset = open_dataset("fashion-iq", shared_data / "fashion-iq", "val")
    images = draw_features(dataset.image_names())
    queries = draw_queries([images[str(triplet.target)] for triplet in dataset.triplets])
    report = score(as_embeddings(images, queries, dataset), dataset)
    for name in ("R@10", "R@50"):
        parts = [part.metrics[name].value for part in report.parts]
        assert len(parts) == 3
        assert report.overall.metrics[name].value == pytest.approx(sum(parts) / 3)


def test_cirr(shared_data: Path) -> None:
    folder = shared_data / "cirr"
    captions = read(folder / "captions" / "cap.rc2.val.json")
    gallery = list(read(folder / "image_splits" / "split.rc2.val.json"))
    images = draw_features(gallery)
    queries = draw_queries([images[query["target_hard"]] for query in captions])
    features = np.stack([images[name] for name in gallery])
    keys = ["R@1", "R@5", "R@10", "R@50", "R_subset@1", "R_subset@2", "R_subset@3"]
    found: dict[str, list[float]] = {key: [] for key in keys}
    for query, caption in zip(queries, captions, strict=True):
        ranking = rank_gallery(query, gallery, features, caption["reference"])
        members = [name for name in ranking if name in caption["img_set"]["members"]]
        assert len(members) == 5
        for key, hits in found.items():
            names = members if "subset" in key else ranking
            hits.append(float(caption["target_hard"] in names[: int(key.split("@")[1])]))

    dataset = open_dataset("cirr", folder, "val")
    report = score(as_embeddings(images, queries, dataset), dataset)
    expected = {key: average(hits) for key, hits in found.items()}
    expected["(R@5 + R_subset@1)/2"] = (expected["R@5"] + expected["R_subset@1"]) / 2
    assert {name: metric.value for name, metric in report.overall.metrics.items()} == pytest.approx(
        expected
    )
    assert 5 < expected["R@5"] < expected["R_subset@1"] < 98


@pytest.mark.parametrize("strangers", [0, 4000])
def test_circo(shared_data: Path, tmp_path: Path, strangers: int) -> None:
    annotation = read(shared_data / "circo" / "annotations" / "val.json")
    named = {query["reference_img_id"] for query in annotation}
    named |= {number for query in annotation for number in query["gt_img_ids"]}
    folder = write_circo(tmp_path, annotation)
    numbers = sorted(named)
    if strangers:
        numbers = [*range(1_000_000, 1_000_000 + strangers), *sorted(named, reverse=True)]
        write_coco_list(folder, numbers)
    gallery = [str(number) for number in numbers]
    images = draw_features(gallery)
    queries = draw_queries([images[str(query["target_img_id"])] for query in annotation])
    features = np.stack([images[name] for name in gallery])
    lengths = (5, 10, 25, 50)
    found: dict[str, list[float]] = {f"{m}@{k}": [] for m in ("mAP", "R") for k in lengths}
    for query, entry in zip(queries, annotation, strict=True):
        ranking = [int(name) for name in rank_gallery(query, gallery, features, None)]
        for k in lengths:
            hits, total = 0, 0.0
            for place, number in enumerate(ranking[:k], start=1):
                if number in entry["gt_img_ids"]:
                    hits += 1
                    total += hits / place
            found[f"mAP@{k}"].append(total / min(len(entry["gt_img_ids"]), k))
            found[f"R@{k}"].append(float(entry["target_img_id"] in ranking[:k]))

    dataset = open_dataset("circo", folder, "val")
    report = score(as_embeddings(images, queries, dataset), dataset)
    assert {name: metric.value for name, metric in report.overall.metrics.items()} == pytest.approx(
        {name: average(values) for name, values in found.items()}
    )
    assert 2 < average(found["mAP@10"]) < 98
    assert bool(report.notes) == (strangers == 0)
