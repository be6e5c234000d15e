"""The site is built without a warning, and reading it fetches nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

_ELSEWHERE = r"[\"']?\s*(?:https?:)?//"
#: What a browser loads by itself: scripts, pictures, frames, styles and fonts.
LOADED = (
    re.compile(rf"<(?:script|img|iframe|source|video)\b[^>]*\bsrc={_ELSEWHERE}", re.IGNORECASE),
    re.compile(
        rf"<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|pre|icon|dns))[^>]*\bhref={_ELSEWHERE}",
        re.IGNORECASE,
    ),
    re.compile(rf"(?:url\(|@import)\s*{_ELSEWHERE}", re.IGNORECASE),
)


def loads(text: str) -> list[str]:
    """Return what a browser would fetch from elsewhere for a page or a style sheet."""
    return [match.group() for pattern in LOADED for match in pattern.finditer(text)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a broken link, or a name that left the API, is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    "text",
    [
        '<script async src="https://example.org/a.js">',
        '<img alt="x" src=//example.org/a.png>',
        '<link href="https://example.org/a.css" rel="stylesheet">',
        "@import 'https://example.org/a.css'",
        "src: url(https://example.org/a.woff2)",
    ],
)
def test_what_comes_from_elsewhere_is_seen(text: str) -> None:
    assert loads(text)
    assert not loads(re.sub(r"(https:)?//example\.org/", "", text))


@pytest.mark.slow
def test_nothing_comes_from_elsewhere(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert len(files) > 20
    assert not {path.name: found for path in files if (found := loads(path.read_text("utf-8")))}


@pytest.mark.slow
def test_every_module_is_in_the_list_of_files(site: Path) -> None:
    page = (site / "files.html").read_text(encoding="utf-8")
    modules = [path.name for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py"]
    assert not [name for name in modules if f"<code>{name}</code>" not in page]


@pytest.mark.slow
def test_the_public_names_are_in_the_api(site: Path) -> None:
    page = (site / "api" / "gallery.html").read_text(encoding="utf-8")
    assert 'id="tmcir.gallery.Gallery.search"' in page


@pytest.mark.slow
def test_links_within_the_site_lead_to_a_place_that_is_there(site: Path) -> None:
    # mkdocs itself overlooks some anchors: its check ends where another plugin resolves links.
    pages = {
        path.resolve(): path.read_text("utf-8")
        for path in site.rglob("*.html")
        if path.name != "404.html"  # its links begin at the root of the host
    }
    places = {path: set(re.findall(r'\bid="([^"]+)"', page)) for path, page in pages.items()}
    broken = set()
    for path, page in pages.items():
        for link in re.findall(r'\bhref="([^"]*)"', page):
            address, _, anchor = unescape(link).partition("#")
            target = (path.parent / address).resolve() if address else path
            if re.match(r"[a-z]+:", link) or target.suffix != ".html":
                continue
            if target not in places or (anchor and anchor not in places[target]):
                broken.add(f"{path.name}: {link}")
    assert not broken
