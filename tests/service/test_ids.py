"""Every id that `Gallery.add` accepts can be addressed: items, thumbnails, searches, filters."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.gallery.fake import FakeModel
from tests.service.conftest import Server
from tmcir.gallery import Gallery

ODD = (
    "plain.png",
    "with space.png",
    "percent%20sign.png",
    "%2e%2e.png",
    "a+b&c=d;e,f.png",
    "quote'and\"double.png",
    "back\\slash.png",
    "question?.png",
    "hash#tag.png",
    "line\nend.png",
    "two\r\nline ends\n.png",
    "tab\t.png",
    "line\u2028separator.png",
    "gr\u00f6\u00dfe\u00a05.png",
    "u\u0308ber.png",
    "\U0001f469\u200d\U0001f467.png",
    "\u202egnp.png",
    "semi:colon.png",
    "deep/er/and/deeper.png",
    "deep/line\nend/x.png",
    "upload.png",
)
LONG = "/".join(["f" * 200] * 7)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("odd")
    for number, name in enumerate([*ODD, f"{LONG}/{'g' * 200}.png"]):
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number * 9, 255 - number * 9, 80)).save(path, "PNG")
    gallery = Gallery.open(folder / "shop", FakeModel())
    gallery.add(folder / "photos")
    return gallery


@pytest.fixture(scope="module")
def real_client(odd: Gallery) -> Iterator[httpx.Client]:
    """A client of a real server: the test client decodes addresses twice."""
    server = Server(odd)
    with httpx.Client(base_url=server.start()) as client:
        yield client
    server.stop()


@pytest.mark.slow
def test_every_id_is_addressed(real_client: httpx.Client) -> None:
    client = real_client
    body = {"turns": [{"text": "x"}], "k": 100}
    ids = [hit["id"] for hit in client.post("/api/v1/search", json=body).json()["hits"]]
    assert len(ids) == len(ODD) + 1 and max(map(len, ids)) > 1_500
    for name in ids:
        address = quote(name)
        item = client.get(f"/api/v1/items/{address}")
        assert item.status_code == 200 and item.json()["id"] == name, name
        assert client.get(f"/api/v1/thumbnails/{address}").status_code == 200, name
        search = {"turns": [{"item": name, "text": "in red"}, {"more_like": [name]}], "k": 5}
        answer = client.post("/api/v1/search", json=search)
        assert answer.status_code == 200 and answer.json()["query"]["item"] == name, name
        condition = {"column": "id", "operator": "in", "value": [name]}
        found = client.post("/api/v1/search", json={**body, "filters": [condition]})
        assert [hit["id"] for hit in found.json()["hits"]] == [name], name


def test_the_longest_trail_of_the_longest_ids_fits(client: TestClient) -> None:
    turns = [{"item": "x" * 4_096}] * 50
    response = client.post("/api/v1/search", json={"turns": turns})
    assert response.status_code == 404, response.text  # read, and not found
