from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.commands import run
from tests.layouts import draw, write_circo, write_fashion_iq
from tmcir.data.check import TaskCount, check_dataset
from tmcir.data.circo import CIRCO
from tmcir.data.fashion_iq import FashionIQ


def test_counts_and_files_by_name(tmp_path: Path) -> None:
    write_fashion_iq(tmp_path)
    for name in "ABC":
        draw(tmp_path / "images" / f"{name}.jpg")
    (tmp_path / "images" / "B.jpg").write_bytes(b"not a photo")
    steps: list[tuple[int, int]] = []
    found = check_dataset(FashionIQ(tmp_path, categories="dress"), lambda *step: steps.append(step))
    assert found.tasks == (
        TaskCount("original", "dress", 2, 4),
        TaskCount("original-no-reference", "dress", 2, 4),
        TaskCount("val", "dress", 2, 3),
    )
    assert (found.queries, found.images, found.missing, list(found.broken)) == (2, 4, ("D",), ["B"])
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert not found.good
    text = str(found)
    assert "4 named, 1 missing, 1 broken" in text
    assert "missing: D" in text
    assert "broken: B: not an image" in text
    content = json.loads(json.dumps(found.as_dict()))
    assert content["missing"] == ["D"]
    assert content["tasks"][0] == {
        "protocol": "original",
        "task": "dress",
        "queries": 2,
        "gallery": 4,
    }


def test_a_dataset_without_images_says_where_it_looked(tmp_path: Path) -> None:
    write_fashion_iq(tmp_path)
    text = str(check_dataset(FashionIQ(tmp_path, categories="dress")))
    folder = tmp_path / "images"
    assert f"none of the 4 named is there (looked in {folder}, {folder / 'dress'});" in text


def test_the_check_command_opens_the_same_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_fashion_iq(tmp_path / "a folder")  # has no shirts and no tops
    dataset = FashionIQ(root, categories="dress")
    program, *arguments = shlex.split(dataset.check_command)
    assert program == "tmcir" and run(*arguments) == 0
    assert capsys.readouterr().out.startswith(f"fashion-iq val in {root}: 2 queries")


def test_a_whole_dataset_is_good(tmp_path: Path) -> None:
    write_fashion_iq(tmp_path)
    for name in "ABCD":
        draw(tmp_path / "images" / f"{name}.png")
    found = check_dataset(FashionIQ(tmp_path, categories="dress"))
    assert found.good
    assert not found.annotation_only
    assert "images: 4 named, 0 missing, 0 broken" in str(found)


def test_annotation_without_images_is_one_line(tmp_path: Path) -> None:
    found = check_dataset(CIRCO(write_circo(tmp_path)))
    assert found.annotation_only
    lines = str(found).splitlines()
    folder = tmp_path / "COCO2017_unlabeled" / "unlabeled2017"
    assert lines[-2] == (
        f"images: none of the 3 named is there (looked in {folder});"
        " only the annotation was checked"
    )
    assert lines[-1].startswith("note: COCO2017_unlabeled")
    content = found.as_dict()
    assert (content["missing"], content["missing_count"]) == ([], 3)


def test_long_lists_are_cut_and_say_so(tmp_path: Path) -> None:
    queries = [
        {"candidate": "A", "target": "B", "captions": ["x", f"text {number}"]}
        for number in range(3)
    ]
    write_fashion_iq(tmp_path, queries)
    (tmp_path / "image_splits" / "split.dress.val.json").write_text(
        json.dumps(["A", "B", *(f"N{number:02d}" for number in range(30))])
    )
    draw(tmp_path / "images" / "A.png")
    text = str(check_dataset(FashionIQ(tmp_path, categories="dress")))
    assert text.count("missing: ") == 20
    assert text.endswith("... and 11 more (--json)")
