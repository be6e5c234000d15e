"""Removing photos over the API: admin keys alone, at once, and for good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.gallery.fake import FakeModel
from tests.service.conftest import error_code, make_gallery
from tmcir.gallery import Gallery

KEY = "a-key-of-enough-length"
ADMIN = "an-admin-key-of-enough-length"
SEARCH = {"turns": [{"text": "x"}], "k": 100}


@pytest.fixture
def shop(tmp_path: Path) -> Gallery:
    return make_gallery(tmp_path, 6)


def ids(client: TestClient) -> set[str]:
    response = client.post("/api/v1/search", json=SEARCH, headers={"X-API-Key": ADMIN})
    return {hit["id"] for hit in response.json()["hits"]}


def test_a_removed_photo_is_gone_at_once_and_for_good(
    tmp_path: Path, shop: Gallery, serve: Callable[..., TestClient]
) -> None:
    client = serve(shop, api_keys=(KEY,), admin_keys=(ADMIN,))
    headers = {"X-API-Key": ADMIN}
    assert "shoes/003.png" in ids(client)
    answer = client.delete("/api/v1/items/shoes/003.png", headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"photos": 1})
    assert "shoes/003.png" not in ids(client)
    assert client.get("/api/v1/gallery", headers=headers).json()["photos"] == 5
    assert client.get("/api/v1/removed", headers=headers).json() == {"ids": ["shoes/003.png"]}
    again = client.delete("/api/v1/items/shoes/003.png", headers=headers)
    assert (again.status_code, error_code(again)) == (404, "unknown_item")
    other = Gallery.open(tmp_path / "shop", FakeModel())
    other.add(tmp_path / "photos")
    assert "shoes/003.png" not in ids(client)
    answer = client.delete("/api/v1/removed/shoes/003.png", headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"photos": 1})
    assert client.get("/api/v1/removed", headers=headers).json() == {"ids": []}
    again = client.delete("/api/v1/removed/shoes/003.png", headers=headers)
    assert (again.status_code, error_code(again)) == (404, "unknown_item")
    other.add(tmp_path / "photos")
    assert "shoes/003.png" in ids(client)


@pytest.mark.parametrize(
    ("settings", "key", "status", "code"),
    [
        ({}, None, 403, "forbidden"),
        ({"api_keys": (KEY,)}, KEY, 403, "forbidden"),
        ({"api_keys": (KEY,)}, ADMIN, 403, "forbidden"),
        ({"admin_keys": (ADMIN,)}, None, 401, "unauthorized"),
        ({"admin_keys": (ADMIN,)}, KEY, 401, "unauthorized"),
        ({"api_keys": (KEY,), "admin_keys": (ADMIN,)}, KEY, 403, "forbidden"),
        ({"api_keys": (KEY,), "admin_keys": (ADMIN,)}, None, 401, "unauthorized"),
    ],
)
def test_no_other_key_changes_anything(
    shop: Gallery,
    serve: Callable[..., TestClient],
    settings: dict[str, tuple[str, ...]],
    key: str | None,
    status: int,
    code: str,
) -> None:
    client = serve(shop, **settings)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    for method, path in (
        ("DELETE", "/api/v1/items/001.png"),
        ("DELETE", "/api/v1/removed/001.png"),
        ("GET", "/api/v1/removed"),
    ):
        response = client.request(method, path, headers=headers)
        assert (response.status_code, error_code(response)) == (status, code), (method, path)
    assert len(shop) == 6


def test_an_admin_key_searches_too(shop: Gallery, serve: Callable[..., TestClient]) -> None:
    client = serve(shop, api_keys=(KEY,), admin_keys=(ADMIN,))
    assert len(ids(client)) == 6
    assert client.get("/metrics", headers={"X-API-Key": ADMIN}).status_code == 200
    assert client.post("/api/v1/search", json=SEARCH).status_code == 401


def test_other_sites_may_ask_for_it_where_there_is_an_admin_key(
    shop: Gallery, serve: Callable[..., TestClient]
) -> None:
    preflight = {"Access-Control-Request-Method": "DELETE", "Origin": "https://shop.example"}
    origins = ("https://shop.example",)
    allowed = serve(shop, cors_origins=origins, admin_keys=(ADMIN,))
    assert allowed.options("/api/v1/items/001.png", headers=preflight).status_code == 200
    closed = serve(shop, cors_origins=origins)
    assert closed.options("/api/v1/items/001.png", headers=preflight).status_code == 400
