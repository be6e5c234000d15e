"""Slow clients get 408, slow answers 504, and half a head is closed without an answer."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.service.conftest import Server, error_code, make_gallery
from tmcir.gallery import Gallery

pytestmark = pytest.mark.slow

QUERY = json.dumps({"turns": [{"text": "x"}], "k": 1}).encode()


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    """A gallery whose reads take longer than the time limit of these tests."""
    gallery = make_gallery(tmp_path, 4)

    def wait(*args: Any, **options: Any) -> Any:
        time.sleep(1.5)
        raise AssertionError("nobody waits for this")

    for name in ("item", "thumbnail", "columns"):
        monkeypatch.setattr(gallery, name, wait)
    return gallery


@pytest.fixture
def limited(slow: Gallery, serve: Callable[..., TestClient]) -> TestClient:
    return serve(slow, timeout=0.5)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/api/v1/items/001.png", "/api/v1/thumbnails/001.png", "/readyz"])
@pytest.mark.parametrize("headers", [{}, {"Content-Length": "0"}, {"Content-Type": "text/plain"}])
def test_a_slow_answer_to_a_request_without_body_is_504(
    limited: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    response = limited.request(method, path, headers=headers)
    assert response.status_code == 504
    if method == "GET":
        assert error_code(response) == "timeout"
        assert response.json()["error"]["message"].startswith("no answer within 0.5 s")


def test_a_slow_answer_to_a_body_that_is_not_read_is_504(limited: TestClient) -> None:
    response = limited.request("GET", "/api/v1/items/001.png", content=b"unread")
    assert (response.status_code, error_code(response)) == (504, "timeout")


def test_a_slow_answer_to_a_search_is_504(limited: TestClient) -> None:
    search = {"turns": [{"item": "001.png"}]}
    response = limited.post("/api/v1/search", json=search)
    assert (response.status_code, error_code(response)) == (504, "timeout")


@pytest.fixture
def server(gallery: Gallery) -> Iterator[Server]:
    running = Server(gallery, timeout=1.0)
    running.start()
    yield running
    running.stop()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=8)


def receive(connection: socket.socket, end: bytes) -> bytes:
    """Return what the other side sends, up to and with ``end``."""
    received = b""
    while end not in received:
        part = connection.recv(65_536)
        assert part, received
        received += part
    return received


def closed_after(connection: socket.socket) -> tuple[float, bytes]:
    """Return the seconds until the other side closes, and what it sent."""
    began, received = time.monotonic(), b""
    while part := connection.recv(65_536):
        received += part
    return time.monotonic() - began, received


def test_a_body_that_stalls_is_408(server: Server) -> None:
    head = b"POST /api/v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for framing in (
        b"Content-Length: 500\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ):
        with connect(server) as connection:
            connection.sendall(head + framing)
            seconds, answer = closed_after(connection)
        assert answer.startswith(b"HTTP/1.1 408 ") and b"did not arrive within 1 s" in answer
        assert 0.8 < seconds < 4


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 4_000,
        b"POST /api/v1/search HTTP/1.1\r\nContent-Length: 5\r\n",
        b"\r\n",
    ],
)
def test_half_a_head_is_closed_in_time(server: Server, start: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(start)
        seconds, _ = closed_after(connection)
    assert seconds < 4


def test_a_head_that_trickles_in_is_closed_in_time(server: Server) -> None:
    began = time.monotonic()
    with connect(server) as connection, pytest.raises(OSError):
        for byte in b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)
    assert time.monotonic() - began < 4


def test_half_a_head_after_an_answer_is_closed_in_time(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert receive(connection, b'"ok"}').startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        seconds, answer = closed_after(connection)
    assert seconds < 4 and answer == b""


def test_a_connection_lives_on_over_many_requests(server: Server) -> None:
    with connect(server) as connection:
        for _ in range(8):  # 1.6 s in all, more than the limit of one head
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert receive(connection, b'"ok"}').startswith(b"HTTP/1.1 200 ")
            time.sleep(0.2)


def test_a_slow_search_is_not_cut_off_by_the_limit_of_its_head(tmp_path: Path) -> None:
    gallery = make_gallery(tmp_path, 3)
    server = Server(gallery, timeout=1.0)
    server.start()
    try:
        with connect(server) as connection:
            connection.sendall(b"POST /api/v1/search HTTP/1.1\r\nHost: x\r\n")
            time.sleep(0.7)  # a slow head, then a whole time limit for the rest
            rest = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(QUERY)
            connection.sendall(rest)
            time.sleep(0.7)
            connection.sendall(QUERY)
            assert receive(connection, b'"unread":""}}').startswith(b"HTTP/1.1 200 ")
    finally:
        server.stop()
