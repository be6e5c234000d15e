from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.layouts import CIRCO as QUERIES
from tests.layouts import draw, write, write_circo, write_coco_list
from tmcir.core.errors import TMCIRError
from tmcir.data.circo import CIRCO, IMAGE_LIST


def test_the_gallery_is_the_list_of_coco(tmp_path: Path) -> None:
    write_coco_list(write_circo(tmp_path), [9, 5, 3, 12])
    dataset = CIRCO(tmp_path)
    (task,) = dataset.tasks()
    assert task.gallery == ["9", "5", "3", "12"]
    assert not task.remove_reference
    assert dataset.complete
    assert dataset.notes == ()
    (triplet,) = dataset.triplets
    assert (triplet.reference, triplet.target, triplet.answers) == ("3", "5", ("5", "9"))


def test_without_that_list_the_gallery_says_that_it_is_partial(tmp_path: Path) -> None:
    dataset = CIRCO(write_circo(tmp_path))
    assert dataset.tasks()[0].gallery == ["3", "5", "9"]
    assert not dataset.complete
    assert dataset.notes == (
        f"{IMAGE_LIST} is missing: the gallery is only the images that the annotation names",
    )


def test_images_are_found_by_twelve_digits(tmp_path: Path) -> None:
    write_circo(tmp_path)
    image = draw(tmp_path / "COCO2017_unlabeled" / "unlabeled2017" / "000000000005.jpg")
    dataset = CIRCO(tmp_path)
    assert dataset.find_image("5") == image
    assert dataset.find_image("3") is None


def test_labels_of_the_test_split_are_hidden(tmp_path: Path) -> None:
    query = {key: QUERIES[0][key] for key in ("id", "reference_img_id", "relative_caption")}
    (triplet,) = CIRCO(write_circo(tmp_path, [query], "test"), "test").triplets
    assert (triplet.target, triplet.answers) == (None, ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference_img_id": "3"}, "'reference_img_id' must be a whole number"),
        ({"gt_img_ids": [5, "9"]}, "'gt_img_ids' must be a list of whole numbers"),
        ({"gt_img_ids": [9]}, "must have the target, and no image twice"),
        ({"gt_img_ids": [5, 9, 9]}, "must have the target, and no image twice"),
        ({"relative_caption": 1}, "'relative_caption' must be a text"),
    ],
)
def test_malformed_annotation_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_circo(tmp_path, [QUERIES[0] | changes])
    with pytest.raises(TMCIRError, match=message) as caught:
        CIRCO(tmp_path)
    assert "val.json, entry 0" in str(caught.value)


def test_other_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match=r"val\.json: no such file.*github\.com"):
        CIRCO(tmp_path)
    write_circo(tmp_path, QUERIES * 2)
    with pytest.raises(TMCIRError, match="an 'id' occurs twice"):
        CIRCO(tmp_path)
    write_circo(tmp_path)
    with pytest.raises(TMCIRError, match="unknown circo split 'test1'"):
        CIRCO(tmp_path, "test1")
    write_coco_list(tmp_path, [3, 5])
    with pytest.raises(TMCIRError, match="lacks image 9"):
        CIRCO(tmp_path).tasks()
    wrong: list[Any] = [[], {"images": [1]}, {"images": [{"file_name": "x"}]}]
    for content in wrong:
        write(tmp_path / IMAGE_LIST, content)
        with pytest.raises(TMCIRError, match="image_info_unlabeled2017"):
            CIRCO(tmp_path).tasks()


@pytest.mark.shared_data
@pytest.mark.parametrize(("split", "queries"), [("val", 220), ("test", 800)])
def test_counts_of_the_real_annotation(shared_data: Path, split: str, queries: int) -> None:
    assert len(CIRCO(shared_data / "circo", split).triplets) == queries
