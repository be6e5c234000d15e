"""The world of the pages: the quickstart's catalogue, small, and tiny datasets."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.commands import run
from tests.docs.pages import pages
from tests.layouts import draw, write_circo, write_cirr, write_coco_list, write_fashion_iq
from tests.tiny import draw_catalogue
from tmcir.quickstart.garments import write_garments
from tmcir.rendered.catalogue import RenderedCatalogue

#: Photos that are drawn beside those that the pages name.
GARMENTS = 36
QUERIES = 12


@pytest.fixture
def small_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rendered catalogue have few garments where a command does not say how many."""
    monkeypatch.setattr(
        RenderedCatalogue.__init__, "__defaults__", ("test", 0, GARMENTS, QUERIES, 224, 0.0, "all")
    )


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `make quickstart` leaves: pictures, the table, and a gallery of them."""
    folder = tmp_path_factory.mktemp("quickstart")
    root = folder / "runs" / "quickstart"
    catalogue = RenderedCatalogue(root / "catalogue", "test", items=1000, queries=QUERIES)
    text = "".join(page.read_text(encoding="utf-8") for page in pages())
    names = sorted({*_names(range(GARMENTS)), *re.findall(r"test-\d{6}", text)})
    for name in names:
        assert catalogue.find_image(name) is not None, f"the quickstart draws no {name}"
    write_garments(root / "garments.csv", catalogue, names)
    photos = str(root / "catalogue" / "images")
    table = ("--metadata", str(root / "garments.csv"))
    assert run("index", str(root / "gallery"), photos, *table, "--model", "mini") == 0
    return folder


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny datasets in the folders that the pages name, with photos."""
    folder = tmp_path_factory.mktemp("data")
    fashion_iq = folder / "fashion-iq"
    for category in ("dress", "shirt", "toptee"):
        write_fashion_iq(fashion_iq, category=category)
    for name in "ABCD":
        draw(fashion_iq / "images" / f"{name}.png")
    for split, images in (("val", "dev"), ("test1", "dev")):
        write_cirr(folder / "cirr", split=split)
        for number in range(8):
            draw(folder / "cirr" / images / f"dev-{number}.png")
    for split in ("val", "test"):
        write_circo(folder / "circo", split=split)
    ids = [3, 5, 9, 11]
    write_coco_list(folder / "circo", ids)
    for number in ids:
        draw(folder / "circo" / "COCO2017_unlabeled" / "unlabeled2017" / f"{number:012d}.jpg")
    draw_catalogue(folder / "fashion-products")
    return folder


@pytest.fixture
def world(
    quickstart: Path,
    datasets: Path,
    small_catalogue: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The current folder of a reader who has done what the page "Quickstart" says."""
    shutil.copytree(quickstart, tmp_path, dirs_exist_ok=True)
    shutil.copytree(datasets, tmp_path / "data")
    root = tmp_path / "runs" / "quickstart"
    shutil.copytree(root / "catalogue" / "images", tmp_path / "photos")
    shutil.copy(root / "garments.csv", tmp_path)
    shutil.copytree(root / "gallery", tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("TMCIR_API_KEYS", raising=False)
    return tmp_path


def _names(numbers: range) -> list[str]:
    return [f"test-{number:06d}" for number in numbers]
