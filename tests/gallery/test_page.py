from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.gallery.fake import FakeModel, draw_photos
from tests.service.conftest import make_table
from tmcir.gallery import Gallery, Hit, Query
from tmcir.gallery.page import render_page, write_page
from tmcir.gallery.roles import Roles
from tmcir.models import Explanation

HOSTILE = "<script>alert('x')</script>\"&"


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


RED: dict[str, Any] = {"colour": "Red", "year": 2012, "note": None}


@pytest.fixture
def hits(tmp_path: Path) -> list[Hit]:
    Image.new("RGBA", (600, 900), (200, 0, 0, 128)).save(tmp_path / "a.png")
    return [
        Hit(1, 0.91234, "a.png", tmp_path / "a.png", RED, relevance=0.567),
        Hit(2, 0.5, "gone.png", tmp_path / "gone.png", {}),
    ]


def test_the_page_shows_query_ranks_scores_and_metadata(hits: list[Hit], tmp_path: Path) -> None:
    page = render_page(hits, Query(tmp_path / "a.png", text="in blue"), "year > 2000")
    reader = read(page)
    words = " ".join(" ".join(reader.text).split())
    for shown in ("in blue", "2 results, starting from a.png", "year > 2000", "57 %", "gone.png"):
        assert shown in words
    assert "colour Red" in words and "2012" in words and "None" not in words
    assert "photo not readable" in words
    images = reader.named("img")
    assert [image["alt"] for image in images] == ["Query image a.png", "Result 1: a.png"]


def test_the_page_is_one_file_for_narrow_and_dark_screens(hits: list[Hit]) -> None:
    page = render_page(hits, Query(text="in blue"))
    reader = read(page)
    assert not reader.named("script") and not reader.named("link")
    assert all(
        str(image["src"]).startswith("data:image/jpeg;base64,") for image in reader.named("img")
    )
    assert not re.search(r"(https?:)?//[a-z]", page.replace("data:image", ""))
    assert "width=device-width" in page and "prefers-color-scheme: dark" in page
    assert reader.named("html")[0]["lang"] == "en"


def test_results_lead_to_the_product(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"name": "Blue shirt", "cost": 29.9, "page": "https://shop.example/1", "colour": "Blue"},
        {"name": None, "cost": None, "page": "javascript:alert(1)", "colour": None},
    ]
    hits = [Hit(n + 1, 0.5, f"{n}.png", tmp_path / "x", row) for n, row in enumerate(rows)]
    roles = Roles("name", "page", "cost")
    reader = read(render_page(hits, Query(text="in blue"), roles=roles))
    words = " ".join(" ".join(reader.text).split())
    assert "Blue shirt 29.9 View product Details colour Blue photo 0.png" in words
    assert [link["href"] for link in reader.named("a")] == ["https://shop.example/1"]
    assert "2 0 % 1.png" in words and words.count("Details") == 1


def test_a_gallerys_own_columns_are_found(tmp_path: Path) -> None:
    rows = [f"https://shop.example/{n},Thing number {n},{n}" for n in range(4)]
    gallery = make_table(tmp_path, "url,title,price", rows)
    hits = gallery.search(text="x", k=4)
    write_page(tmp_path / "a.html", gallery, Query(text="x"), hits)
    reader = read((tmp_path / "a.html").read_text())
    assert reader.named("img")[0]["alt"] == f"Result 1: {hits[0].metadata['title']}"
    assert {link["href"] for link in reader.named("a")} == {row.split(",")[0] for row in rows}


def test_everything_is_escaped(tmp_path: Path) -> None:
    image = tmp_path / "<img src=x onerror=alert(1)>.png"
    Image.new("RGB", (8, 8)).save(image)
    hit = Hit(1, 1.0, HOSTILE, image, {HOSTILE: HOSTILE})
    reader = read(render_page([hit], Query(image, text=HOSTILE), HOSTILE))
    assert not reader.named("script")
    assert all("onerror" not in attributes for _, attributes in reader.tags)
    assert HOSTILE in reader.text
    assert reader.named("img")[1]["alt"] == f"Result 1: {HOSTILE}"


def test_no_results(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    write_page(tmp_path / "new" / "a.html", gallery, Query(text="x"), [])
    page = (tmp_path / "new" / "a.html").read_text()
    assert "0 results" in page and "Nothing was found" in page
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.html"]


def test_the_page_says_why(hits: list[Hit], tmp_path: Path) -> None:
    explanation = Explanation(
        (1.2, 0.8),
        ["in", "blue"],
        (2, 2),
        matched_share=0.25,
        merged=[[], [(0, 1, 1.0)]],
        image_share=[0.0, 0.4],
        threshold=0.1,
        fit="crop",
    )
    examples: dict[str, Any] = {"more_like": ("b.png",), "less_like": ("c.png", "d.png")}
    own = render_page(
        hits, Query(tmp_path / "a.png", text="in blue", **examples), None, {}, explanation
    )
    words = " ".join(" ".join(read(own).text).split())
    assert "image 60 % text 40 %" in words
    assert "blue 1 patch, 40 % image" in words
    assert "more like b.png" in words and "less like c.png, d.png" in words
    stored = {"a.png": (tmp_path / "a.png").read_bytes()}
    again = render_page(hits, Query(item="a.png", text="in blue"), None, stored, explanation)
    assert again.count("How the query was composed") == own.count("How the query was composed") == 2
    gone = render_page(hits, Query(item="a.png", text="in blue"), None, {}, explanation)
    assert "How the query was composed" not in gone


def test_stored_thumbnails_stand_in_for_photos_that_are_gone(tmp_path: Path) -> None:
    photos = draw_photos(tmp_path / "photos")
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    gallery.add(photos)
    query = Query(item="001.png", text="x")
    hits = gallery.find(gallery.embed([query])[0], 3)
    for path in photos.rglob("*.png"):
        path.unlink()
    write_page(tmp_path / "a.html", gallery, query, hits)
    page = (tmp_path / "a.html").read_text()
    assert "not readable" not in page and page.count("data:image/jpeg;base64,") == 4
