from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.evaluation.fake import FakeModel, make_embeddings
from tests.layouts import CIRCO as CIRCO_QUERIES
from tests.layouts import draw, write_circo, write_cirr, write_coco_list, write_fashion_iq
from tmcir.core.errors import TMCIRError
from tmcir.data.circo import CIRCO
from tmcir.data.cirr import CIRR
from tmcir.data.dataset import Dataset
from tmcir.data.fashion_iq import FashionIQ
from tmcir.evaluation.submission import (
    build_submission,
    check_submission,
    open_hidden_split,
    submit,
    write_submission,
)

QUERY = torch.ones(1, 1)


@pytest.fixture
def cirr(tmp_path: Path) -> CIRR:
    return CIRR(write_cirr(tmp_path / "cirr", images=60))


@pytest.fixture
def circo(tmp_path: Path) -> CIRCO:
    root = write_circo(tmp_path / "circo")
    write_coco_list(root, list(range(100)))
    return CIRCO(root)


def test_cirr_files(cirr: CIRR, tmp_path: Path) -> None:
    (task,) = cirr.tasks()
    # The later in the gallery, the better: 59 58 57 ...
    embeddings = make_embeddings(task, QUERY, torch.arange(60.0)[:, None])
    paths = write_submission(embeddings, cirr, tmp_path / "out")
    assert [path.name for path in paths] == [
        "val_pred_ranks_recall.json",
        "val_pred_ranks_recall_subset.json",
    ]
    recall, subset = (json.loads(path.read_text()) for path in paths)
    ranked = [f"dev-{number}" for number in range(59, 9, -1)]
    assert recall == {"version": "rc2", "metric": "recall", "7": ranked}
    # The set is 0 to 5, and 0 is the reference.
    assert subset == {
        "version": "rc2",
        "metric": "recall_subset",
        "7": ["dev-5", "dev-4", "dev-3"],
    }


def test_the_reference_is_not_in_a_cirr_file(cirr: CIRR) -> None:
    (task,) = cirr.tasks()
    files = build_submission(make_embeddings(task, QUERY, -torch.arange(60.0)[:, None]), cirr)
    recall, subset = files.values()
    assert recall["7"] == [f"dev-{number}" for number in range(1, 51)]
    assert subset["7"] == ["dev-1", "dev-2", "dev-3"]


def test_circo_file(circo: CIRCO, tmp_path: Path) -> None:
    (task,) = circo.tasks()
    embeddings = make_embeddings(task, QUERY, -torch.arange(100.0)[:, None])
    (path,) = write_submission(embeddings, circo, tmp_path)
    assert path.name == "submission_val.json"
    # The reference, 3, stays in the ranking.
    assert json.loads(path.read_text()) == {"0": list(range(50))}


def test_lists_are_as_long_as_a_small_gallery(tmp_path: Path) -> None:
    dataset = CIRR(write_cirr(tmp_path, images=8))
    for number in range(8):
        draw(tmp_path / "dev" / f"dev-{number}.png")
    images = {f"dev-{number}": [1.0, number / 10] for number in range(8)}
    first, _ = submit(FakeModel(images), dataset, tmp_path / "out")
    assert len(json.loads(first.read_text())["7"]) == 7


def test_a_submission_needs_the_whole_gallery(tmp_path: Path) -> None:
    query = {key: CIRCO_QUERIES[0][key] for key in ("id", "reference_img_id", "relative_caption")}
    write_circo(tmp_path, [query], "test")
    with pytest.raises(TMCIRError, match=r"image_info_unlabeled2017\.json: no such file"):
        open_hidden_split("circo", tmp_path)
    write_coco_list(tmp_path, [1, 2, 3])
    assert open_hidden_split("circo", tmp_path).split == "test"
    with pytest.raises(TMCIRError, match="unknown dataset with a test server 'fashion-iq'"):
        open_hidden_split("fashion-iq", tmp_path)
    other = FashionIQ(write_fashion_iq(tmp_path), categories="dress")
    with pytest.raises(TMCIRError, match="fashion-iq has no test server"):
        check_submission({}, other)
    with pytest.raises(TMCIRError, match="fashion-iq has no test server"):
        submit(FakeModel({"A": [1.0]}), other, tmp_path)


GOOD = [f"dev-{number}" for number in range(1, 51)]
HEAD = {"version": "rc2", "metric": "recall"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"metric": "recall", "7": GOOD}, "'version' must be 'rc2'"),
        ({**HEAD, "metric": "map", "7": GOOD}, "'metric' 'recall' or 'recall_subset'"),
        (HEAD, "every query and nothing else: see 7"),
        ({**HEAD, "7": GOOD, "8": GOOD}, "every query and nothing else: see 8"),
        ({**HEAD, "7": GOOD[1:]}, "query 7: has 49 images, but must have 50"),
        ({**HEAD, "7": [GOOD[1], *GOOD[1:]]}, "query 7: has an image twice"),
        ({**HEAD, "7": ["dev-0", *GOOD[1:]]}, "query 7: 'dev-0' is not an image that it may rank"),
        ({**HEAD, "7": ["dev-1.png", *GOOD[1:]]}, "'dev-1.png' is not an image"),
        ({**HEAD, "7": [1, *GOOD[1:]]}, "query 7: must have a list of image names"),
        ({**HEAD, "7": "dev-1"}, "query 7: must have a list of image names"),
        ({**HEAD, "metric": "recall_subset", "7": GOOD[3:6]}, "'dev-6' is not an image"),
    ],
)
def test_a_wrong_cirr_file_is_rejected(cirr: CIRR, content: dict[str, Any], message: str) -> None:
    check_submission({**HEAD, "7": GOOD}, cirr)
    with pytest.raises(TMCIRError, match=message):
        check_submission(content, cirr)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (list(range(51)), "has 51 images, but must have 50"),
        ([True, *range(2, 51)], "must have a list of image names"),
        ([str(number) for number in range(50)], "must have a list of image names"),
        ([100, *range(49)], "100 is not an image that it may rank"),
        ([0, *range(49)], "has an image twice"),
    ],
)
def test_a_wrong_circo_file_is_rejected(circo: CIRCO, names: list[Any], message: str) -> None:
    check_submission({"0": list(range(50))}, circo)
    with pytest.raises(TMCIRError, match=message):
        check_submission({"0": names}, circo)


def random_submission(dataset: Dataset) -> dict[str, dict[str, Any]]:
    (task,) = dataset.tasks()
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(len(task.triplets), 8, generator=generator)
    gallery = torch.randn(len(task.gallery), 8, generator=generator)
    return build_submission(make_embeddings(task, queries, gallery), dataset)


@pytest.mark.slow
@pytest.mark.shared_data
def test_cirr_files_have_the_form_of_the_authors_examples(shared_data: Path) -> None:
    dataset = CIRR(shared_data / "cirr", "test1")
    for name, ours in random_submission(dataset).items():
        example = json.loads((shared_data / "cirr" / "demo_files" / name).read_text())
        check_submission(example, dataset)
        check_submission(ours, dataset)
        assert ours.keys() == example.keys()
        assert {key: ours[key] for key in HEAD} == {key: example[key] for key in HEAD}
        assert {len(ours[key]) for key in ours.keys() - HEAD.keys()} == {
            len(example[key]) for key in example.keys() - HEAD.keys()
        }


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("split", ["val", "test"])
def test_circo_files_have_the_form_of_the_authors_examples(
    shared_data: Path, tmp_path: Path, split: str
) -> None:
    folder = shared_data / "circo"
    example = json.loads((folder / "submission_examples" / f"submission_{split}.json").read_text())
    check_submission(example, CIRCO(folder, split))
    # COCO's list is not at hand; the images that the example and the annotation name stand in.
    annotation = json.loads((folder / "annotations" / f"{split}.json").read_text())
    write_circo(tmp_path, annotation, split)
    named = {number for row in example.values() for number in row}
    named |= {query["reference_img_id"] for query in annotation}
    named |= {number for query in annotation for number in query.get("gt_img_ids", [])}
    write_coco_list(tmp_path, sorted(named))
    dataset = CIRCO(tmp_path, split)
    check_submission(example, dataset)
    (ours,) = random_submission(dataset).values()
    check_submission(ours, dataset)
    assert ours.keys() == example.keys()
    assert {type(number) for row in ours.values() for number in row} == {int}
