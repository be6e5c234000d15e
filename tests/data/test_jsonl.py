from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.layouts import draw
from tmcir.core.errors import TMCIRError
from tmcir.data.jsonl import JSONLines

LINE: dict[str, Any] = {"reference": "a.jpg", "text": "with short sleeves", "target": "shop/b.jpg"}


def write_lines(root: Path, *lines: Any, name: str = "triplets.jsonl") -> Path:
    rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (root / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root / name


def test_the_shortest_line_is_a_triplet(tmp_path: Path) -> None:
    write_lines(tmp_path, LINE, "", LINE | {"reference": "./c.jpg", "text": " in ré\u2028d "})
    first, second = JSONLines(tmp_path).triplets
    assert (first.id, first.reference, first.target, first.answers) == (
        "1",
        "a.jpg",
        "shop/b.jpg",
        (),
    )
    assert (second.id, second.reference, second.text) == ("3", "c.jpg", "in ré\u2028d")


def test_optional_fields(tmp_path: Path) -> None:
    write_lines(tmp_path, LINE | {"id": "q", "answers": ["c.jpg", "c.jpg"], "kind": "sleeves"})
    (triplet,) = JSONLines(tmp_path).triplets
    assert (triplet.id, triplet.kind) == ("q", "sleeves")
    assert triplet.answers == ("shop/b.jpg", "c.jpg")


def test_the_gallery_is_every_image_under_the_root(tmp_path: Path) -> None:
    for name in ("z.png", "a.jpg", "shop/b.jpg", ".hidden/x.jpg"):
        draw(tmp_path / name)
    write_lines(tmp_path, LINE, LINE | {"target": "gone.jpg"})
    dataset = JSONLines(tmp_path)
    (task,) = dataset.tasks()
    assert task.gallery == ["a.jpg", "gone.jpg", "shop/b.jpg", "z.png"]
    assert task.remove_reference
    assert dataset.find_image("shop/b.jpg") == tmp_path / "shop" / "b.jpg"
    assert dataset.find_image("gone.jpg") is None
    (named,) = JSONLines(tmp_path, gallery="named").tasks()
    assert named.gallery == ["a.jpg", "gone.jpg", "shop/b.jpg"]


def test_the_root_may_be_the_file_itself(tmp_path: Path) -> None:
    dataset = JSONLines(write_lines(tmp_path, LINE, name="mine.jsonl"))
    assert dataset.root == tmp_path
    assert len(dataset.triplets) == 1


def test_a_link_cannot_lead_out_of_the_root(tmp_path: Path) -> None:
    secret = draw(tmp_path / "elsewhere" / "secret.jpg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.jpg").symlink_to(secret)
    write_lines(root, LINE)
    assert JSONLines(root).find_image("a.jpg") is None
    assert JSONLines(root).find_image("../elsewhere/secret.jpg") is None


def test_a_name_is_found_in_another_spelling(tmp_path: Path) -> None:
    for name in ("gro\u0308\u00dfe.jpg", "shop/B.JPG", "c.jpg"):
        draw(tmp_path / name)
    write_lines(tmp_path, {"reference": "gr\u00f6\u00dfe.jpg", "text": "x", "target": "shop/b.jpg"})
    dataset = JSONLines(tmp_path)
    (triplet,) = dataset.triplets
    assert (triplet.reference, triplet.target) == ("gro\u0308\u00dfe.jpg", "shop/B.JPG")
    assert dataset.find_image("gr\u00f6\u00dfe.jpg") == tmp_path / "gro\u0308\u00dfe.jpg"
    (task,) = dataset.tasks()
    assert len(task.gallery) == 3  # each photo once
    draw(tmp_path / "shop" / "b.Jpg")
    assert JSONLines(tmp_path).find_image("shop/b.jpg") is None  # either may be meant


def test_a_folder_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jpg", "b.jpg", "shop/c.jpg"):
        draw(tmp_path / name)
    write_lines(tmp_path, LINE)
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(path).name == "shop":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(TMCIRError, match="shop: permission denied"):
        JSONLines(tmp_path).tasks()


def test_what_of_the_folder_is_skipped_is_noted(tmp_path: Path) -> None:
    draw(tmp_path / "a.jpg")
    (tmp_path / "b.heic").touch()
    write_lines(tmp_path, LINE)
    assert JSONLines(tmp_path).notes == ("skipped: 1 .heic",)
    assert JSONLines(tmp_path, gallery="named").notes == ()


def test_splits_keep_their_lines(tmp_path: Path) -> None:
    write_lines(tmp_path, LINE | {"split": "train"}, LINE | {"split": "val"}, LINE)
    assert [len(JSONLines(tmp_path, split).triplets) for split in ("train", "val", "all")] == [
        1,
        1,
        3,
    ]
    with pytest.raises(TMCIRError, match="did you mean 'train'"):
        JSONLines(tmp_path, "trian")


def test_a_split_that_no_line_states_is_rejected(tmp_path: Path) -> None:
    # Otherwise training and validation would silently be the same queries.
    write_lines(tmp_path, LINE)
    with pytest.raises(TMCIRError, match="no line has a 'split': 'train' cannot be selected"):
        JSONLines(tmp_path, "train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON: .* at column"),
        ("[" * 100_000, "not JSON that can be read"),
        ('{"text": ' + "9" * 5000 + "}", "not JSON that can be read"),
        ("[1]", "must be an object with reference, text and target"),
        ({"reference": "a.jpg", "text": "x"}, "'target' is missing"),
        (LINE | {"txt": "x"}, "unknown key 'txt': did you mean 'text'"),
        (LINE | {"text": " "}, "'text' is empty"),
        (LINE | {"text": 5}, "'text' must be a text"),
        (LINE | {"target": ""}, "'target' is empty"),
        (LINE | {"target": "../b.jpg"}, "'../b.jpg' must be a path below the root"),
        (LINE | {"target": "shop/../../b.jpg"}, "must be a path below the root"),
        (LINE | {"reference": "/a.jpg"}, "'/a.jpg' must be a path below the root"),
        (LINE | {"answers": ["../c.jpg"]}, "'../c.jpg' must be a path below the root"),
        (LINE | {"answers": "c.jpg"}, "'answers' must be a list of texts"),
        (LINE | {"target": "a.jpg"}, "the reference 'a.jpg' is also a right answer"),
        (LINE | {"answers": ["a.jpg"]}, "the reference 'a.jpg' is also a right answer"),
        (LINE, "the same query as line 1"),
        (LINE | {"id": "1", "text": "other"}, "the same id as line 1"),
        (LINE | {"id": ""}, "'id' is empty"),
        (LINE | {"kind": 1}, "'kind' must be a text"),
    ],
)
def test_a_malformed_line_is_named_by_its_number(tmp_path: Path, line: Any, message: str) -> None:
    write_lines(tmp_path, LINE, "", line)
    with pytest.raises(TMCIRError, match=message) as caught:
        JSONLines(tmp_path)
    assert f"{tmp_path / 'triplets.jsonl'}, line 3" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_without_triplets_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match=r"triplets\.jsonl: no such file"):
        JSONLines(tmp_path)
    write_lines(tmp_path, "")
    with pytest.raises(TMCIRError, match="has no triplets"):
        JSONLines(tmp_path)
    (tmp_path / "triplets.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(TMCIRError, match="not readable as text"):
        JSONLines(tmp_path)
    with pytest.raises(TMCIRError, match="unknown jsonl gallery 'every'"):
        JSONLines(tmp_path, gallery="every")
