"""Thumbnails on pages of other sites: named origins, and addresses that work without a key."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from tests.service.conftest import CHROMIUM, Server, error_code
from tmcir.gallery import Gallery
from tmcir.service.signing import SIGNED_SECONDS, Signer

KEY = "a-key-of-enough-length"
OTHER = "another-key-of-enough-length"
ORIGIN = "https://shop.example"
ODD = "shoes/\u00e4 b?c#d%20'&.png"


def test_a_signed_address_is_for_one_photo_and_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("tmcir.service.signing.time.time", lambda: now)
    signer = Signer([KEY, OTHER])
    address = signer.address("a.jpg")
    path, _, query = address.partition("?")
    assert path == "api/v1/thumbnails/a.jpg"
    assert signer.accepts(f"/{path}", query)
    assert Signer([OTHER, KEY]).accepts(f"/{path}", query)  # another process
    assert not Signer([KEY]).accepts(f"/{path}", query)  # a key was taken away
    assert not signer.accepts("/api/v1/thumbnails/b.jpg", query)
    assert not signer.accepts("/api/v1/items/a.jpg", query)
    later = query.replace("expires=1", "expires=9")
    assert later != query and not signer.accepts(f"/{path}", later)
    for damaged in (
        "",
        query[:-1],
        query + "0",
        "expires=\u0661&signature=x",
        "expires=" + "9" * 99,
    ):
        assert not signer.accepts(f"/{path}", damaged)
    now += SIGNED_SECONDS
    assert signer.accepts(f"/{path}", query)
    assert signer.address("a.jpg") != address
    now += 300
    assert not signer.accepts(f"/{path}", query)


def test_addresses_are_the_same_for_a_while_so_that_they_are_cached() -> None:
    signer = Signer([KEY])
    assert len({signer.address("a.jpg") for _ in range(5)}) <= 2
    assert Signer([]).address(ODD) == "api/v1/thumbnails/shoes/%C3%A4%20b%3Fc%23d%2520%27%26.png"
    assert not Signer([]).accepts("/api/v1/thumbnails/a.jpg", "expires=9&signature=")


@pytest.mark.slow
def test_hits_have_addresses_that_work_without_a_key(serve: Callable[..., TestClient]) -> None:
    client = serve(api_keys=(KEY,))
    headers = {"X-API-Key": KEY}
    body = {"turns": [{"text": "x"}], "k": 3}
    hits = client.post("/api/v1/search", json=body, headers=headers).json()["hits"]
    items = client.get("/api/v1/items?limit=2", headers=headers).json()["items"]
    one = client.get(f"/api/v1/items/{hits[0]['id']}", headers=headers).json()
    for found in [*hits, *items, one]:
        response = client.get(f"/{found['thumbnail']}")
        assert response.status_code == 200 and response.headers["content-type"] == "image/jpeg"
        assert response.headers["cache-control"].startswith("private")
        given = parse_qs(urlsplit(found["thumbnail"]).query)
        wrong = f"/api/v1/thumbnails/{found['id']}?expires={given['expires'][0]}&signature=0"
        rejected = client.get(wrong)
        assert (rejected.status_code, error_code(rejected)) == (401, "unauthorized")
    # it opens nothing else
    query = urlsplit(hits[0]["thumbnail"]).query
    assert client.get(f"/api/v1/items/{hits[0]['id']}?{query}").status_code == 401
    assert client.get(f"/api/v1/thumbnails/{hits[1]['id']}?{query}").status_code == 401
    assert client.post(f"/{hits[0]['thumbnail']}").status_code == 401
    assert client.head(f"/{hits[0]['thumbnail']}").status_code == 200


def test_thumbnails_are_shown_elsewhere_only_where_sites_are_named(
    client: TestClient, serve: Callable[..., TestClient]
) -> None:
    policy = "cross-origin-resource-policy"
    path = "/api/v1/thumbnails/001.png"
    assert client.get(path).headers[policy] == "same-origin"
    named = serve(cors_origins=(ORIGIN,))
    assert named.get(path).headers[policy] == "cross-origin"
    assert named.head(path).headers[policy] == "cross-origin"
    for other in ("/", "/api/v1/gallery", "/api/v1/items/001.png", "/static/main.js"):
        assert named.get(other).headers[policy] == "same-origin"
    answer = named.get(path, headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    answer = named.get(path, headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.fixture
def shop_page(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A site of its own: its address, and the folder of its pages."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args: Any) -> None:
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=site.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{site.server_port}", tmp_path
    site.shutdown()
    site.server_close()
    thread.join(10)


SCRIPT = """<!doctype html><script type="module">
const service = "%s";
const headers = { "Content-Type": "application/json", "X-API-Key": "%s" };
const body = JSON.stringify({ turns: [{ text: "in red" }], k: 2 });
const answer = await fetch(`${service}api/v1/search`, { method: "POST", headers, body });
for (const hit of (await answer.json()).hits) {
  const image = new Image();
  image.src = new URL(hit.thumbnail, service).href;
  document.body.append(image);
}
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: chromium")
def test_a_shops_own_page_shows_thumbnails_of_a_service_with_keys(
    browser: Any,
    gallery: Gallery,
    shop_page: tuple[str, Path],
) -> None:
    origin, folder = shop_page
    server = Server(gallery, api_keys=(KEY,), cors_origins=(origin,))
    context = browser.new_context()
    try:
        (folder / "index.html").write_text(SCRIPT % (server.start(), KEY))
        page = context.new_page()
        page.goto(f"{origin}/index.html")
        loaded = "[...document.images].filter((image) => image.naturalWidth > 0).length === 2"
        page.wait_for_function(loaded, timeout=15_000)
    finally:
        context.close()
        server.stop()
