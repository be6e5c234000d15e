"""A small gallery, and clients of its service."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# what the extra `serve` installs
pytest.importorskip("fastapi", reason='needs pip install ".[serve]"')
pytest.importorskip("httpx", reason="needs httpx")

import uvicorn
from fastapi.testclient import TestClient

from tests.gallery.fake import FakeModel, draw_photos
from tmcir.gallery import Gallery
from tmcir.service import ServiceSettings, create_app
from tmcir.service.server import server_config

CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
COLOURS = ("Red", "Navy Blue", "O'Green")


def make_gallery(folder: Path, count: int = 20, model: FakeModel | None = None) -> Gallery:
    """Index photos 000.png, 001.png, ... a third of them in shoes/, with colour, year, title."""
    draw_photos(folder / "photos", count)
    rows = [f"{n:03},{COLOURS[n % 3]},{2000 + n % 5},Thing number {n}" for n in range(count)]
    (folder / "styles.csv").write_text("\n".join(["id,baseColour,year,title", *rows]) + "\n")
    gallery = Gallery.open(folder / "shop", model or FakeModel())
    gallery.add(folder / "photos", folder / "styles.csv")
    return gallery


def make_table(folder: Path, header: str, rows: Sequence[str]) -> Gallery:
    """Index photos 000.png, 001.png, ... with a row of a CSV each, without its ``id``."""
    draw_photos(folder / "photos", len(rows))
    lines = [f"{number:03},{row}" for number, row in enumerate(rows)]
    (folder / "table.csv").write_text("\n".join([f"id,{header}", *lines]) + "\n")
    gallery = Gallery.open(folder / "shop", FakeModel())
    gallery.add(folder / "photos", folder / "table.csv")
    return gallery


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """A gallery that tests do not change."""
    return make_gallery(tmp_path_factory.mktemp("service"))


@pytest.fixture
def serve(gallery: Gallery) -> Iterator[Callable[..., TestClient]]:
    """Start a service with these settings and return its client."""
    with ExitStack() as stack:

        def start(given: Gallery | None = None, **settings: Any) -> TestClient:
            app = create_app(gallery if given is None else given, ServiceSettings(**settings))
            client = TestClient(app, raise_server_exceptions=False)
            return stack.enter_context(client)

        yield start


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> TestClient:
    """A client of a service with default settings."""
    return serve()


class Server:
    """A service on a port of its own, in a thread."""

    def __init__(self, gallery: Gallery, **settings: Any) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}/"
        self.port = port
        given = ServiceSettings(title="Shop", **settings)
        self.server = uvicorn.Server(server_config(gallery, given, "127.0.0.1", port))
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def start(self) -> str:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self.address

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)


def error_code(response: Any) -> str:
    """Return the code of an error answer, and see that it has the one shape."""
    body = response.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message"}
    assert response.headers["content-type"] == "application/json"
    return str(body["error"]["code"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; skips where playwright or the browser is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs a browser: chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic"]
        )
        yield chromium
        chromium.close()
