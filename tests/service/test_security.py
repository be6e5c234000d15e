from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from tests.service.conftest import error_code
from tmcir.core.errors import TMCIRError
from tmcir.service import ServiceSettings, allowed_hosts, check_address, keys_from_environment
from tmcir.service.logs import JSONFormatter

FIRST, SECOND = "a-key-of-enough-length", "another-key-of-enough-length"


# Keys


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {FIRST}"},
        {"authorization": f"bearer {SECOND}"},
        {"X-API-Key": SECOND},
    ],
)
def test_any_key_opens(serve: Callable[..., TestClient], headers: dict[str, str]) -> None:
    client = serve(api_keys=(FIRST, SECOND))
    for path in ("/api/v1/gallery", "/api/v1/thumbnails/001.png", "/metrics"):
        assert client.get(path, headers=headers).status_code == 200
    thumbnail = client.get("/api/v1/thumbnails/001.png", headers=headers)
    assert thumbnail.headers["cache-control"].startswith("private")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {FIRST}x"},
        {"Authorization": f"Bearer {FIRST[:-1]}"},
        {"Authorization": FIRST},
        {"Authorization": f"Basic {FIRST}"},
        {"X-API-Key": ""},
        {"X-API-Key": b"\xff\xfe"},
    ],
)
def test_nothing_else_opens(serve: Callable[..., TestClient], headers: dict[str, str]) -> None:
    client = serve(api_keys=(FIRST, SECOND))
    for path in (
        "/api/v1/gallery",
        "/api/v1/thumbnails/001.png",
        "/api/v1/none",
        "/metrics",
        "/api/v1/openapi.json",
    ):
        response = client.get(path, headers=headers)
        assert (response.status_code, error_code(response)) == (401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"
    for path in ("/", "/static/main.js", "/healthz", "/readyz"):
        assert client.get(path, headers=headers).status_code == 200


def test_settings_reject_what_would_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("short", "with a space in the middle", "schlüssel-schlüssel", "x" * 20 + "\n"):
        with pytest.raises(TMCIRError, match="an API key has at least 16"):
            ServiceSettings(api_keys=(key,))
    for origin in ("*", "shop.example", "https://shop.example/", "ftp://shop.example"):
        with pytest.raises(TMCIRError, match="write scheme and host"):
            ServiceSettings(cors_origins=(origin,))
    with pytest.raises(TMCIRError, match="timeout must be more than 0"):
        ServiceSettings(timeout=0)
    monkeypatch.setenv("TMCIR_API_KEYS", f" {FIRST}, ,{SECOND}")
    assert keys_from_environment() == (FIRST, SECOND)


def test_others_are_let_in_with_a_key_only() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.5"):
        check_address(host, ServiceSettings())
    for host in ("0.0.0.0", "::", "192.168.1.5", "127.example"):
        with pytest.raises(TMCIRError, match="--without-key"):
            check_address(host, ServiceSettings())
        check_address(host, ServiceSettings(api_keys=(FIRST,)))
        check_address(host, ServiceSettings(), without_key=True)


# Hosts and origins


def test_a_name_that_is_not_ours_is_rejected(serve: Callable[..., TestClient]) -> None:
    client = serve(allowed_hosts=allowed_hosts("127.0.0.1", ["Shop.example"]))
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "shop.example", "SHOP.example:443"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    for host in ("attacker.example", "localhost.attacker.example", ""):
        response = client.get("/api/v1/gallery", headers={"Host": host})
        assert (response.status_code, error_code(response)) == (400, "unknown_host")
    assert allowed_hosts("0.0.0.0", []) == ()


def test_other_sites_are_shut_out_unless_named(
    client: TestClient, serve: Callable[..., TestClient]
) -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Origin": "https://shop.example"}
    shut = client.options("/api/v1/search", headers=preflight)
    assert "access-control-allow-origin" not in shut.headers
    answer = client.get("/api/v1/gallery", headers={"Origin": "https://shop.example"})
    assert "access-control-allow-origin" not in answer.headers

    named = serve(cors_origins=("https://shop.example",), api_keys=(FIRST,))
    answer = named.get(
        "/api/v1/gallery", headers={"Origin": "https://shop.example", "X-API-Key": FIRST}
    )
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-credentials" not in answer.headers
    # a browser asks without the key first
    assert named.options("/api/v1/search", headers=preflight).status_code == 200
    other = {**preflight, "Origin": "https://other.example"}
    assert named.options("/api/v1/search", headers=other).status_code == 400


# Headers


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/v1/gallery", "/none", "/healthz"])
def test_every_answer_has_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    assert headers["x-request-id"]


def test_the_page_fetches_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/static/page.css", "/static/main.js"):
        text = client.get(path).text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "url(" not in text
        assert " style=" not in text and "innerHTML" not in text and "<script>" not in text
    tag = client.get("/static/main.js").headers["etag"]
    assert client.get("/static/main.js", headers={"If-None-Match": tag}).status_code == 304


# Logs


def test_logs_are_json_without_what_people_sent(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tmcir.service")
    client.post(
        "/api/v1/search",
        json={"turns": [{"text": "secret words"}]},
        headers={"X-Request-ID": "request-7"},
    )
    client.get("/api/v1/items/secret.png?secret=1", headers={"X-Request-ID": "bad\tid"})
    lines = [json.loads(JSONFormatter().format(record)) for record in caplog.records]
    lines = [line for line in lines if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", "/api/v1/search", 200),
        ("GET", "/api/v1/items/{id:path}", 404),
    ]
    assert lines[0]["request"] == "request-7" and lines[1]["request"].isalnum()
    assert set(lines[0]) == {
        "time", "level", "event", "request", "method", "route", "status", "milliseconds",
    }  # fmt: skip
    assert "secret" not in json.dumps(lines)


def test_a_logged_exception_names_its_place_only() -> None:
    try:
        raise ValueError("secret words")
    except ValueError as error:
        record = logging.LogRecord(
            "uvicorn", 40, "x.py", 1, "failed", (), (type(error), error, error.__traceback__)
        )
    line = JSONFormatter().format(record)
    assert "secret" not in line and json.loads(line)["exception"] == "ValueError"
    assert json.loads(line)["at"][0].startswith("test_security.py:")
