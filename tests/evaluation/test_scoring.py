from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from tests.evaluation.fake import FakeModel
from tests.layouts import draw, write_cirr, write_fashion_iq
from tests.tiny import build_model, draw_catalogue
from tmcir.core.errors import ImageError, TMCIRError
from tmcir.data.cirr import CIRR
from tmcir.data.fashion_iq import FashionIQ
from tmcir.data.fashion_products import FashionProducts
from tmcir.evaluation import embed, evaluate, evaluate_methods, score, validation_score
from tmcir.models.baselines import UNTRAINED_METHODS
from tmcir.models.features import ImageFeatures

IMAGES = {"A": [1.0, 0.0], "B": [0.0, 1.0], "C": [0.6, 0.8], "D": [-1.0, 0.0]}
TEXTS = {"Is red and with long sleeves": [0.0, 1.0], "Is shorter and no print": [1.0, 0.0]}


@pytest.fixture
def dataset(tmp_path: Path) -> FashionIQ:
    for name in IMAGES:
        draw(tmp_path / "images" / f"{name}.jpg")
    return FashionIQ(write_fashion_iq(tmp_path), categories="dress")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> FashionProducts:
    return FashionProducts(draw_catalogue(tmp_path_factory.mktemp("catalogue") / "p"), queries=40)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_every_image_is_encoded_once_and_every_query_composed(
    dataset: FashionIQ, batch_size: int
) -> None:
    model = FakeModel(IMAGES, TEXTS)
    steps: list[tuple[int, int]] = []
    tasks = dataset.tasks()
    embeddings = embed(model, dataset, tasks, "model", batch_size, lambda *s: steps.append(s))
    encoded = [name for batch in model.encoded for name in batch]
    assert sorted(encoded) == ["A", "B", "C", "D"]
    assert max(map(len, model.encoded)) <= batch_size
    assert steps[-1] == (4, 4)
    assert embeddings.of_gallery(tasks[0]).tolist() == [
        pytest.approx(IMAGES[name]) for name in "DCBA"
    ]
    # A + 2 * (0, 1) and B + 2 * (1, 0), normalised
    expected = functional.normalize(torch.tensor([[1.0, 2.0], [2.0, 1.0]]), dim=-1)
    torch.testing.assert_close(embeddings.of_queries(tasks[0]), expected)


def test_many_queries_of_one_image_are_composed_in_batches(tmp_path: Path) -> None:
    queries = [
        {"candidate": "A", "target": "B", "captions": [f"text {number}", "x"]}
        for number in range(5)
    ]
    draw(tmp_path / "images" / "A.jpg")
    draw(tmp_path / "images" / "B.jpg")
    dataset = FashionIQ(write_fashion_iq(tmp_path, queries), categories="dress")
    model = FakeModel(IMAGES)
    embed(model, dataset, dataset.tasks("val"), batch_size=2)
    assert model.composed == [2, 2, 1]


def test_evaluate_reports_what_was_measured(dataset: FashionIQ) -> None:
    report = evaluate(FakeModel(IMAGES, TEXTS), dataset, "val")
    assert (report.dataset, report.split, report.protocol) == ("fashion-iq", "val", "val")
    assert (report.model, report.method, report.headline) == ("fake", "tmcir", "mean")
    assert (report.overall.queries, report.overall.gallery) == (2, 3)
    assert report.score == 100  # three images are always among the first ten
    assert validation_score(FakeModel(IMAGES, TEXTS), dataset) == ("mean", 100)


def test_the_method_composes_the_queries(dataset: FashionIQ) -> None:
    model, tasks = FakeModel(IMAGES, TEXTS), dataset.tasks()
    image = embed(model, dataset, tasks, "image").of_queries(tasks[0])
    assert image.tolist() == [IMAGES["A"], IMAGES["B"]]
    text = embed(model, dataset, tasks, "text").of_queries(tasks[0])
    assert text.tolist() == list(TEXTS.values())
    assert model.composed == []
    with pytest.raises(TMCIRError, match="unknown method 'summ': did you mean 'sum'"):
        evaluate(model, dataset, method="summ")


def test_missing_images_are_named_before_anything_is_encoded(dataset: FashionIQ) -> None:
    for name in "CD":
        (dataset.root / "images" / f"{name}.jpg").unlink()
    model = FakeModel(IMAGES, TEXTS)
    with pytest.raises(ImageError, match=r"2 of 4 images are missing under .*: (D, C|C, D);"):
        evaluate(model, dataset)
    for name in "AB":
        (dataset.root / "images" / f"{name}.jpg").unlink()
    with pytest.raises(ImageError, match=r"none of the 4 images is under .*; docs/data.md says"):
        evaluate(model, FashionIQ(dataset.root, "val", "dress"))
    assert model.encoded == []


def test_hidden_labels_are_said_before_anything_is_encoded(tmp_path: Path) -> None:
    dataset = CIRR(write_cirr(tmp_path, split="test1"), "test1")
    with pytest.raises(TMCIRError, match=r"hidden; .* use `tmcir submit`"):
        evaluate(FakeModel(IMAGES), dataset)


def test_an_unknown_protocol_is_named(dataset: FashionIQ) -> None:
    with pytest.raises(TMCIRError, match="unknown fashion-iq protocol 'orignal'"):
        evaluate(FakeModel(IMAGES), dataset, "orignal")


def test_a_broken_model_is_an_error_and_not_a_figure(dataset: FashionIQ) -> None:
    model = FakeModel(IMAGES | {"C": [float("nan"), 1.0]}, TEXTS)
    with pytest.raises(TMCIRError, match="a gallery embedding is not finite"):
        evaluate(model, dataset)


# With the real model, tiny


def test_embeddings_are_those_of_the_model(catalogue: FashionProducts) -> None:
    model, tasks = build_model(catalogue), catalogue.tasks()
    embeddings = embed(model, catalogue, tasks, batch_size=7)
    chosen = random.Random(0).sample(list(tasks[0].triplets), 9)
    composed = model.compose(
        [catalogue.image_path(triplet.reference) for triplet in chosen],
        [triplet.text for triplet in chosen],
    )
    rows = [embeddings.query_rows[triplet.id] for triplet in chosen]
    torch.testing.assert_close(embeddings.queries[rows], composed)
    gallery = model.encode_images([catalogue.image_path(name) for name in tasks[0].gallery])
    torch.testing.assert_close(embeddings.of_gallery(tasks[0]), gallery)


@pytest.mark.parametrize("method", ["model", *UNTRAINED_METHODS])
def test_a_catalogue_is_measured_by_kind(catalogue: FashionProducts, method: str) -> None:
    report = evaluate(build_model(catalogue), catalogue, method=method, batch_size=16)
    assert (report.overall.name, report.overall.queries) == ("all", 40)
    assert {part.name for part in report.parts} <= {"gender", "colour", "pattern", "type"}
    assert sum(part.queries for part in report.parts) == 40
    recalls = [report.overall.metrics[f"R@{k}"].value for k in (1, 10, 50)]
    assert recalls == sorted(recalls)
    assert recalls[-1] == 100  # the gallery has 36 images


def test_several_methods_are_measured_as_each_alone(
    catalogue: FashionProducts, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, methods = build_model(catalogue), ["sum", "model", "text", "image"]
    apart = [evaluate(model, catalogue, method=method) for method in methods]
    encoded: list[int] = []
    image_features = model.image_features

    def counted(pixels: torch.Tensor) -> ImageFeatures:
        encoded.append(len(pixels))
        return image_features(pixels)

    monkeypatch.setattr(model, "image_features", counted)
    assert evaluate_methods(model, catalogue, methods) == apart
    assert sum(encoded) == 36  # each image of the gallery once
    with pytest.raises(TMCIRError, match="unknown method 'summ'"):
        evaluate_methods(model, catalogue, ["summ"])


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    root = draw_catalogue(tmp_path / "p")
    dataset = FashionProducts(root, queries=10)
    (root / "images" / "105.jpg").write_bytes(b"not a photo")
    with pytest.raises(ImageError, match=r"105\.jpg"):
        evaluate(build_model(dataset), dataset)


def test_the_same_embeddings_serve_every_protocol(dataset: FashionIQ) -> None:
    embeddings = embed(FakeModel(IMAGES, TEXTS), dataset, dataset.tasks())
    galleries = [score(embeddings, dataset, name).overall.gallery for name in dataset.protocols]
    assert galleries == [4, 4, 3]
