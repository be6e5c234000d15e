"""Which images a folder holds, and what is said of all else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tmcir.core.errors import TMCIRError
from tmcir.core.folders import is_below, list_images, scan_images


def test_list_images(tmp_path: Path) -> None:
    root, outside = tmp_path / "photos", tmp_path / "outside"
    for name in ["b.JPG", "a.png", "c/d.webp", "c-1.gif", ".hidden.jpg", ".cache/e.jpg", "f.txt"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    outside.mkdir()
    (outside / "secret.jpg").touch()
    (root / "leaves.jpg").symlink_to(outside / "secret.jpg")
    (root / "leaves").symlink_to(outside)
    (root / "circle").symlink_to(root)
    (root / "circle.jpg").symlink_to(root / "circle.jpg")
    (root / "dangling.jpg").symlink_to(root / "none.jpg")
    (root / "stays.jpg").symlink_to(root / "a.png")
    (root / "folder.jpg").mkdir()
    found = [path.relative_to(root).as_posix() for path in list_images(root)]
    assert found == ["a.png", "b.JPG", "c-1.gif", "c/d.webp", "stays.jpg"]
    assert list_images(str(root)) == list_images(root)


def test_list_images_of_a_linked_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert list_images(tmp_path / "link") == [tmp_path / "link" / "a.jpg"]


def test_list_images_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match="none: no such folder"):
        list_images(tmp_path / "none")
    assert list_images(tmp_path) == []


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_what_is_skipped_is_counted(tmp_path: Path) -> None:
    heic = [f"{number}.HEIC" for number in range(5)]
    root = fill(tmp_path / "photos", *heic, "a.jxl", "b.jpg", "sub/c.jxl", "README", "d.jpg/e.png")
    outside = fill(tmp_path / "elsewhere", "x.jpg", "y.jpg")
    for number, target in enumerate([outside / "x.jpg", outside / "y.jpg"]):
        (root / f"link{number}.jpg").symlink_to(target)
    (root / "folder").symlink_to(outside)
    (root / "nowhere.jpg").symlink_to(root / "none.jpg")
    found = scan_images(root)
    assert [path.name for path in found.files] == ["b.jpg", "e.png"]
    assert found.skipped_note == (
        "skipped: 5 .heic, 2 .jxl, 2 links that lead out of the folder, 1 without an ending,"
        " 1 link that leads nowhere, 1 link to a folder"
    )


def test_hidden_leftovers_need_no_word(tmp_path: Path) -> None:
    fill(tmp_path, ".DS_Store", ".cache/a.heic", "Thumbs.db", "desktop.ini", "._a.jpg", "a.jpg")
    found = scan_images(tmp_path)
    assert [path.name for path in found.files] == ["a.jpg"] and found.skipped_note == ""


def test_many_kinds_are_cut(tmp_path: Path) -> None:
    fill(tmp_path, *(f"a.x{number:02}" for number in range(20)))
    note = scan_images(tmp_path).skipped_note
    assert note.count(",") == 8 and note.endswith("12 of other kinds")


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose subfolder ``b`` cannot be listed, whoever asks."""
    fill(tmp_path / "photos", "a.jpg", "b/c.jpg", "b/d/e.jpg", "f/g.jpg")
    real = os.scandir

    def scandir(path: Any = ".") -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return tmp_path / "photos"


def test_a_folder_that_cannot_be_listed_is_named(locked: Path) -> None:
    found = scan_images(locked)
    assert [path.name for path in found.files] == ["a.jpg", "g.jpg"]
    assert found.unreadable == [("b", "permission denied")]
    with pytest.raises(TMCIRError, match="photos/b: permission denied"):
        list_images(locked)


def test_a_file_that_cannot_be_looked_at_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "a.jpg", "b/c.jpg")
    real = Path.stat

    def stat(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self.name == "c.jpg":
            raise OSError(5, "Input/output error")
        return real(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    assert scan_images(tmp_path).unreadable == [("b/c.jpg", "input/output error")]


def test_what_lies_below_what() -> None:
    below = [is_below(name, {"b", "c/d.jpg"}) for name in ("b/a.jpg", "b/x/y.jpg", "c/d.jpg")]
    assert all(below)
    assert not any(is_below(name, {"b", "c/d.jpg"}) for name in ("bb/a.jpg", "a.jpg", "c/e.jpg"))
