from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tmcir.gallery import Hit
from tmcir.gallery.page import render_page, write_page

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


@pytest.fixture
def hits(tmp_path: Path) -> list[Hit]:
    Image.new("RGBA", (600, 900), (200, 0, 0, 128)).save(tmp_path / "a.png")
    return [
        Hit(1, 0.91234, "a.png", tmp_path / "a.png", {"colour": "Red", "year": 2012, "note": None}),
        Hit(2, 0.5, "gone.png", tmp_path / "gone.png", {}),
    ]


def test_the_page_shows_query_ranks_scores_and_metadata(hits: list[Hit], tmp_path: Path) -> None:
    page = render_page(hits, image=tmp_path / "a.png", text="in blue", where="year > 2000")
    reader = read(page)
    words = " ".join(" ".join(reader.text).split())
    for shown in ("in blue", "2 results, starting from a.png", "year > 2000", "0.912", "gone.png"):
        assert shown in words
    assert "colour Red" in words and "2012" in words and "None" not in words
    assert "photo not readable" in words
    images = reader.named("img")
    assert [image["alt"] for image in images] == ["Query image a.png", "Result 1: a.png"]


def test_the_page_is_one_file_for_narrow_and_dark_screens(hits: list[Hit]) -> None:
    page = render_page(hits, text="in blue")
    reader = read(page)
    assert not reader.named("script") and not reader.named("link")
    assert all(
        str(image["src"]).startswith("data:image/jpeg;base64,") for image in reader.named("img")
    )
    assert not re.search(r"(https?:)?//[a-z]", page.replace("data:image", ""))
    assert "width=device-width" in page and "prefers-color-scheme: dark" in page
    assert reader.named("html")[0]["lang"] == "en"


def test_everything_is_escaped(tmp_path: Path) -> None:
    image = tmp_path / "<img src=x onerror=alert(1)>.png"
    Image.new("RGB", (8, 8)).save(image)
    hit = Hit(1, 1.0, HOSTILE, image, {HOSTILE: HOSTILE})
    reader = read(render_page([hit], image=image, text=HOSTILE, where=HOSTILE))
    assert not reader.named("script")
    assert all("onerror" not in attributes for _, attributes in reader.tags)
    assert HOSTILE in reader.text
    assert reader.named("img")[1]["alt"] == f"Result 1: {HOSTILE}"


def test_no_results(tmp_path: Path) -> None:
    write_page(tmp_path / "new" / "a.html", [], text="x")
    page = (tmp_path / "new" / "a.html").read_text()
    assert "0 results" in page and "Nothing was found" in page
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.html"]
