from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.layouts import CIRR as QUERIES
from tests.layouts import draw, write, write_cirr
from tmcir.core.errors import TMCIRError
from tmcir.data.cirr import CIRR


def test_a_query_has_its_image_set_without_the_reference(tmp_path: Path) -> None:
    dataset = CIRR(write_cirr(tmp_path))
    (triplet,) = dataset.triplets
    assert (triplet.id, triplet.reference, triplet.target) == ("7", "dev-0", "dev-1")
    assert triplet.subset == ("dev-1", "dev-2", "dev-3", "dev-4", "dev-5")
    (task,) = dataset.tasks()
    assert task.gallery == [f"dev-{number}" for number in range(8)]
    assert task.remove_reference


def test_labels_of_test1_are_hidden(tmp_path: Path) -> None:
    assert CIRR(write_cirr(tmp_path, split="test1"), "test1").triplets[0].target is None


@pytest.mark.parametrize("folder", ["dev", "img_raw/dev"])
def test_images_are_found_where_projects_keep_them(tmp_path: Path, folder: str) -> None:
    write_cirr(tmp_path)
    png = draw(tmp_path / folder / "dev-0.png")
    jpg = draw(tmp_path / folder / "dev-1.jpg")
    dataset = CIRR(tmp_path)
    assert [dataset.find_image(f"dev-{number}") for number in range(3)] == [png, jpg, None]
    assert dataset.find_image("../dev/dev-0") is None


@pytest.mark.parametrize("folder", ["train", "img_raw/train"])
def test_the_hundred_folders_of_train_may_be_one(tmp_path: Path, folder: str) -> None:
    write_cirr(tmp_path)
    names = [f"train-{number}-0-img0" for number in range(6)]
    paths = {name: f"./train/{10 + place}/{name}.png" for place, name in enumerate(names)}
    write(tmp_path / "image_splits" / "split.rc2.train.json", paths)
    members = {"id": 1, "members": names}
    query = QUERIES[0] | {"reference": names[0], "target_hard": names[1], "img_set": members}
    write(tmp_path / "captions" / "cap.rc2.train.json", [query])
    files = [draw(tmp_path / folder / f"{name}.png") for name in names]
    dataset = CIRR(tmp_path, "train")
    assert [dataset.find_image(name) for name in names] == files
    assert tmp_path / folder in dataset.image_folders


def test_the_annotation_may_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    write_cirr(tmp_path / "cirr")
    image = draw(tmp_path / "dev" / "dev-0.png")
    assert CIRR(tmp_path).find_image("dev-0") == image


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "dev/../../x.png", "", 3])
def test_paths_that_leave_the_root_are_rejected(tmp_path: Path, path: Any) -> None:
    write_cirr(tmp_path)
    write(tmp_path / "image_splits" / "split.rc2.val.json", {"dev-0": path})
    with pytest.raises(TMCIRError, match=r"split\.rc2\.val\.json: the path of 'dev-0'"):
        CIRR(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairid": "7"}, "'pairid' must be a whole number"),
        ({"pairid": True}, "'pairid' is True, but must be a whole number"),
        ({"pairid": -1}, "'pairid' is -1"),
        ({"reference": "dev-99"}, "image 'dev-99' is not in the split file"),
        ({"target_hard": "dev-7"}, "'dev-7' is not a member of its image set"),
        ({"img_set": []}, "'img_set' must be an object"),
        ({"img_set": {}}, "'img_set': 'members' is missing"),
        ({"caption": None}, "'caption' must be a text"),
    ],
)
def test_malformed_captions_are_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_cirr(tmp_path, [QUERIES[0] | changes])
    with pytest.raises(TMCIRError, match=message) as caught:
        CIRR(tmp_path)
    assert "cap.rc2.val.json, entry 0" in str(caught.value)


def test_a_query_cannot_occur_twice(tmp_path: Path) -> None:
    write_cirr(tmp_path, QUERIES * 2)
    with pytest.raises(TMCIRError, match="a 'pairid' occurs twice"):
        CIRR(tmp_path)


def test_a_missing_file_and_an_unknown_split_are_named(tmp_path: Path) -> None:
    write_cirr(tmp_path)
    with pytest.raises(TMCIRError, match=r"split\.rc2\.train\.json: no such file.*github\.com"):
        CIRR(tmp_path, "train")
    with pytest.raises(TMCIRError, match="unknown cirr split 'test': did you mean 'test1'"):
        CIRR(tmp_path, "test")
    write(tmp_path / "image_splits" / "split.rc2.val.json", [])
    with pytest.raises(TMCIRError, match="must be an object of image names and paths"):
        CIRR(tmp_path)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("split", "queries", "images"), [("val", 4181, 2297), ("test1", 4148, 2315)]
)
def test_counts_of_the_real_annotation(
    shared_data: Path, split: str, queries: int, images: int
) -> None:
    (task,) = CIRR(shared_data / "cirr", split).tasks()
    assert (len(task.triplets), len(task.gallery)) == (queries, images)
    assert {len(triplet.subset) for triplet in task.triplets} == {5}
