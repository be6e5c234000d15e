from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.service.conftest import error_code

QUERY = '{"turns": [{"upload": true}], "k": 1}'


def upload(client: TestClient, content: bytes, query: str = QUERY) -> Any:
    return client.post("/api/v1/search/upload", files={"image": content}, data={"query": query})


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of a few hundred bytes that says it has 900 million pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BLOCKS = np.random.default_rng(1).integers(0, 256, (24, 36, 3), dtype=np.uint8)
PHOTO = Image.fromarray(BLOCKS)
NOISE = np.random.default_rng(2).integers(0, 65536, (20, 20), dtype=np.uint16)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bomb(), "pixels"),
        (bomb(100_000, 1), "pixels"),
        (saved(PHOTO, "JPEG")[:-300], "broken image"),
        (saved(PHOTO, "PNG")[:60], "broken image"),
        (SVG, "JPEG, PNG, WEBP"),
        (b"%PDF-1.7 hello", "is a PDF file"),
        (b"<html><script>alert(1)</script></html>", "is an HTML page"),
        (b"\0" * 1000, "not an image"),
        (b"", "empty file"),
        (saved(PHOTO, "ICO"), "is an icon file"),
        (b"GIF89a" + b"\xff" * 50, ""),
        (b"\xff\xd8\xff\xe0" + b"\0" * 40, ""),
        (b"II*\0" + b"\xff" * 100, ""),
    ],
    ids=[
        "bomb", "long bomb", "cut JPEG", "cut PNG", "SVG", "PDF", "HTML", "zeros", "empty", "icon",
        "bad GIF", "bad JPEG", "bad TIFF",
    ],
)  # fmt: skip
def test_a_hostile_image_is_rejected(client: TestClient, content: bytes, reason: str) -> None:
    response = upload(client, content)
    assert (response.status_code, error_code(response)) == (422, "invalid_image")
    assert reason in response.json()["error"]["message"]
    assert client.get("/readyz").status_code == 200


def cmyk() -> bytes:
    return saved(PHOTO.convert("CMYK"), "JPEG")


def animation() -> bytes:
    return saved(PHOTO, "GIF", save_all=True, append_images=[Image.new("RGB", PHOTO.size)] * 30)


@pytest.mark.parametrize(
    "content",
    [
        cmyk(),
        saved(Image.fromarray(NOISE), "PNG"),
        saved(Image.fromarray(NOISE), "TIFF"),
        animation(),
        saved(PHOTO.convert("RGBA"), "PNG"),
        saved(PHOTO.convert("1"), "PNG"),
        saved(PHOTO.convert("P"), "GIF"),
        saved(PHOTO, "WEBP"),
        saved(PHOTO, "BMP"),
        saved(Image.new("RGB", (1, 1)), "PNG"),
    ],
    ids=["CMYK", "16-bit PNG", "16-bit TIFF", "animation", "RGBA", "1-bit", "palette", "WebP",
         "BMP", "one pixel"],
)  # fmt: skip
def test_a_strange_image_is_read(client: TestClient, content: bytes) -> None:
    response = upload(client, content)
    assert response.status_code == 200, response.text


def test_an_upload_is_turned_upright(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned = PHOTO.rotate(90, expand=True)  # undone by the above
    query = '{"turns": [{"upload": true}], "k": 20}'
    plain = upload(client, saved(PHOTO, "PNG"), query).json()["hits"]
    rotated = upload(client, saved(turned, "PNG", exif=exif), query).json()["hits"]
    lying = upload(client, saved(turned, "PNG"), query).json()["hits"]
    assert rotated == plain and lying != plain


# Bytes


def test_too_many_bytes_are_rejected_by_their_head(serve: Callable[..., TestClient]) -> None:
    client = serve(maximum_upload=10_000)
    response = upload(client, b"x" * 20_000)
    assert (response.status_code, error_code(response)) == (413, "too_large")
    assert "10,000 bytes" in response.json()["error"]["message"]
    assert upload(client, saved(PHOTO, "JPEG")).status_code == 200


def test_too_many_bytes_are_rejected_while_they_come(serve: Callable[..., TestClient]) -> None:
    client = serve(maximum_upload=10_000)
    sent = 0

    def stream() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(1000):
            sent += 1000
            yield b"x" * 1000

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = client.post("/api/v1/search/upload", content=stream(), headers=headers)
    assert (response.status_code, error_code(response)) == (413, "too_large")


def test_json_has_a_limit_of_its_own(client: TestClient) -> None:
    body = json.dumps({"turns": [{"text": "x"}], "filters": [], "padding": "x" * 300_000})
    response = client.post(
        "/api/v1/search", content=body, headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, error_code(response)) == (413, "too_large")


def test_pixels_have_a_limit(serve: Callable[..., TestClient]) -> None:
    client = serve(maximum_pixels=1_000)
    assert upload(client, saved(Image.new("RGB", (30, 30)), "PNG")).status_code == 200
    response = upload(client, saved(Image.new("RGB", (40, 30)), "PNG"))
    assert (response.status_code, error_code(response)) == (422, "invalid_image")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"k": 0}, "k:"),
        ({"k": 101}, "k:"),
        ({"k": "many"}, "k:"),
        ({"offset": -1}, "offset:"),
        ({"offset": 10_001}, "offset:"),
        ({"turns": [{"text": "x" * 2_001}]}, "turns.0.text:"),
        ({"turns": [{"item": "x" * 4_097}]}, "turns.0.item:"),
        ({"turns": [{"more_like": ["x"] * 33}]}, "turns.0.more_like:"),
        ({"filters": [{"column": "year", "operator": "=", "value": 1}] * 21}, "filters:"),
        ({"filters": [{"column": "year", "operator": "LIKE", "value": 1}]}, "filters.0.operator:"),
        ({"where": "1=1"}, "where:"),
    ],
)
def test_limits_are_named(client: TestClient, change: dict[str, Any], problem: str) -> None:
    response = client.post("/api/v1/search", json={"turns": [{"text": "x"}], **change})
    assert (response.status_code, error_code(response)) == (422, "invalid_request")
    assert response.json()["error"]["message"].startswith(problem)


@pytest.mark.parametrize(
    "body",
    [
        b'{"turns": [{"text": "\\ud800"}]}',
        b'{"turns": [{"text": "\xff"}]}',
        b'{"turns": [{"text": "x", "balance": NaN}]}',
        b'{"turns": ' + b"[" * 50_000,
        b'{"turns": [{"text": "x"}], "k": ' + b"9" * 5_000 + b"}",
        b'{"turns":[{"text":"x"}],"filters":[{"column":"year","operator":"=","value":'
        + b"9" * 4_000
        + b"}]}",
        b'{"turns":[{"text":"x"}],"filters":[{"column":"\\ud800","operator":"=","value":1}]}',
        b'{"turns":[{"item":"\\ud800"}]}',
        b'{"turns":[{"item":"a\\u0000b"}]}',
        b"null",
        b"",
    ],
)
def test_malformed_json_is_the_clients_fault(client: TestClient, body: bytes) -> None:
    response = client.post(
        "/api/v1/search", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code in (400, 404, 422)
    error_code(response)
