"""What HTTP clients get wrong most often is answered with the way out."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.service.conftest import error_code

SEARCH = "/api/v1/search"
QUERY = json.dumps({"turns": [{"text": "in red"}], "k": 1})
UPLOAD = json.dumps({"turns": [{"upload": True}], "k": 1})
JSON = {"Content-Type": "application/json"}
#: Words of the libraries underneath, which say nothing to a client.
INNER_WORDS = (
    "UploadFile",
    "<class",
    "dictionary or object",
    "Input should",
    "Value error",
    "pydantic",
)


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, "PNG")
    return buffer.getvalue()


def message(response: Any, status: int, code: str) -> str:
    assert (response.status_code, error_code(response)) == (status, code), response.text
    text: str = response.json()["error"]["message"]
    assert not any(word in text for word in INNER_WORDS), text
    return text


# JSON


@pytest.mark.parametrize("route", ["search", "explain"])
@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "text/plain; charset=utf-8", "text/json", "", None,
     "multipart/form-data; boundary=b", "application/octet-stream"],
)  # fmt: skip
def test_json_of_another_type_is_asked_for(
    client: TestClient, route: str, kind: str | None
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    response = client.post(f"/api/v1/{route}", content=QUERY.encode(), headers=headers)
    text = message(response, 415, "unsupported_media_type")
    assert text == "send the search as JSON, with Content-Type: application/json"


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/ld+json"]
)
def test_json_is_known_however_its_type_is_written(client: TestClient, kind: str) -> None:
    response = client.post(SEARCH, content=QUERY, headers={"Content-Type": kind})
    assert response.status_code == 200


@pytest.mark.parametrize("route", [SEARCH, f"{SEARCH}/upload", "/api/v1/explain"])
@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", bytes), ("GZIP", gzip.compress)],
)
def test_a_compressed_body_is_not_read(
    client: TestClient, route: str, encoding: str, compress: Any
) -> None:
    headers = {**JSON, "Content-Encoding": encoding}
    response = client.post(route, content=compress(QUERY.encode()), headers=headers)
    text = message(response, 415, "unsupported_media_type")
    assert text.startswith("compressed bodies are not read")


def test_an_encoding_that_changes_nothing_is_read(client: TestClient) -> None:
    headers = {**JSON, "Content-Encoding": "identity"}
    assert client.post(SEARCH, content=QUERY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the request has no body"),
        (json.dumps(QUERY).encode(), "is it encoded as JSON twice?"),
        (b'[{"text": "in red"}]', "must be a JSON object"),
        (b"{'turns': [{'text': 'in red'}]}", "not JSON: Expecting property name"),
        (b"turns=1", "not JSON: Expecting value (character 0)"),
        (b'{"turns": [{"text": "r\xf6t"}]}', "not JSON: not valid UTF-8"),
        (b"\x1f\x8b\x08\x00", "not JSON: "),
        (b'{"turns": ' + b"[" * 60_000, "nested too deeply"),
        (b'{"turns": [], "k": ' + b"9" * 6_000 + b"}", "too large a number"),
    ],
)
def test_a_body_that_is_no_search_says_why(client: TestClient, body: bytes, expected: str) -> None:
    response = client.post(SEARCH, content=body, headers=JSON)
    assert expected in message(response, 422, "invalid_request")


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({"text": "in red"}, "turns: is missing; text: there is no such field (fields: turns,"),
        ({"turns": [{"text": "x"}], "filter": []}, "did you mean 'filters'?"),
        ({"turns": {"text": "x"}}, "turns: must be a list, [...]"),
        ({"turns": ["in red"]}, "turns.0: must be an object, {...}"),
        ({"turns": []}, "turns: needs at least 1"),
        ({"turns": [{"text": None}]}, "turns.0.text: must be text"),
        ({"turns": [{"text": "x", "image": "a.jpg"}]}, "turns.0.image: there is no such field"),
        ({"turns": [{"text": "x", "more_like": "001.png"}]}, "turns.0.more_like: must be a list"),
        ({"turns": [{"text": "x", "upload": "maybe"}]}, "turns.0.upload: must be true or false"),
        ({"turns": [{"text": "x", "balance": "much"}]}, "turns.0.balance: must be a number"),
        ({"turns": [{"item": ""}]}, "turns.0.item: must not be empty"),
        ({"turns": [{"text": "x"}], "k": 1.5}, "k: must be a whole number"),
        ({"turns": [{"text": "x"}], "k": 500}, "k: must be at most 100"),
        (
            {"turns": [{"text": "x"}], "filters": [{"column": "a", "operator": "=", "value": {}}]},
            "filters.0.value: must be a number, a text, or a list of them",
        ),
        (
            {"turns": [{"text": "x"}], "filters": [{"column": "a", "operator": "=="}]},
            "filters.0.operator: must be one of '=', '!='",
        ),
        ({"turns": [{"text": "x"}], "filters": [{}]}, "filters.0.value: is missing"),
    ],
)
def test_a_field_that_is_wrong_is_named(
    client: TestClient, search: dict[str, Any], expected: str
) -> None:
    text = message(client.post(SEARCH, json=search), 422, "invalid_request")
    assert expected in text
    places = [line.partition(":")[0] for line in text.split("; ")]
    assert len(places) == len(set(places)), text  # each place once
    form = client.post(
        f"{SEARCH}/upload", files={"image": picture()}, data={"query": json.dumps(search)}
    )
    assert message(form, 422, "invalid_request") == text


def test_a_figure_in_the_address_is_named(client: TestClient) -> None:
    response = client.get("/api/v1/items?limit=many")
    assert message(response, 422, "invalid_request") == "limit: must be a whole number"


# Forms

TWICE = [("image", picture()), ("image", picture())]


def test_the_query_of_a_form_is_read_as_text_or_as_a_part_of_json(client: TestClient) -> None:
    answers = [
        client.post(f"{SEARCH}/upload", files={"image": picture(), "query": part})
        for part in (
            (None, UPLOAD),
            (None, UPLOAD, "application/json"),
            ("blob", UPLOAD, "application/json"),
            ("query.json", UPLOAD.encode()),
        )
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([("image", (None, "photo.jpg")), ("query", (None, UPLOAD))], "image: send a file, not a"),
        ([("image", (None, "https://x.example/a.jpg"))], "image: send a file, not a text or an"),
        ([*TWICE, ("query", (None, UPLOAD))], "image: send one, not 2"),
        ([("image", picture()), *[("query", (None, UPLOAD))] * 3], "query: send one, not 3"),
        ([("file", picture()), ("query", (None, UPLOAD))], "image: is missing; the form's parts"),
        ([("image", picture())], "query: is missing; the form's parts are: image"),
        ([("image", picture()), ("query", (None, ""))], "query: is empty"),
        ([("image", picture()), ("query", (None, "{"))], "query: not JSON: "),
        ([("image", picture()), ("query", ("q", b'"r\xf6t"'))], "query: not JSON: not valid UTF-8"),
        ([("image", picture()), ("query", (None, "[1]"))], "the request must be a JSON object"),
        ([("image", picture()), ("query", (None, "{}"))], "turns: is missing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("route", ["search", "explain"])
def test_a_form_that_is_wrong_says_why(
    client: TestClient, route: str, parts: list[Any], expected: str
) -> None:
    response = client.post(f"/api/v1/{route}/upload", files=parts)
    assert expected in message(response, 422, "invalid_request")


@pytest.mark.parametrize("kind", ["application/json", "image/png", "", None])
def test_a_picture_without_a_form_is_told_of_the_form(client: TestClient, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    response = client.post(f"{SEARCH}/upload", content=picture(), headers=headers)
    text = message(response, 415, "unsupported_media_type")
    assert (
        text == "send a form, multipart/form-data, of the parts `image` (a file) and `query` (JSON)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=other"])
def test_a_damaged_form_is_the_clients_fault(client: TestClient, kind: str) -> None:
    response = client.post(f"{SEARCH}/upload", content=picture(), headers={"Content-Type": kind})
    assert response.status_code in (400, 422)
    text = message(response, response.status_code, error_code(response))
    assert "the form cannot be read" in text or "image: is missing" in text


# Methods and addresses


def test_another_method_is_told_which_ones_there_are(client: TestClient) -> None:
    assert message(client.get(SEARCH), 405, "method_not_allowed") == "this route takes POST"
    response = client.post("/api/v1/gallery")
    assert message(response, 405, "method_not_allowed") == "this route takes GET, HEAD"
    assert response.headers["allow"] == "GET, HEAD"
    assert client.put("/api/v1/openapi.json").headers["allow"] == "GET, HEAD"


GETS = (
    "/",
    "/static/main.js",
    "/api/v1/gallery",
    "/api/v1/facets",
    "/api/v1/items?limit=2",
    "/api/v1/items/001.png",
    "/api/v1/items/none.png",
    "/api/v1/items?limit=none",
    "/api/v1/thumbnails/001.png",
    "/api/v1/openapi.json",
    "/api/v1/none",
    "/healthz",
    "/readyz",
    "/none",
)
CHANGING = {"x-request-id", "server-timing"}


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert head.status_code == got.status_code and head.content == b""
    same = [
        {name: value for name, value in response.headers.items() if name not in CHANGING}
        for response in (got, head)
    ]
    assert same[0] == same[1] and int(head.headers["content-length"]) == len(got.content)


def test_head_takes_a_tag_and_is_counted_by_its_route(client: TestClient) -> None:
    path = "/api/v1/thumbnails/001.png"
    tag = client.head(path).headers["etag"]
    assert client.head(path, headers={"If-None-Match": tag}).status_code == 304
    assert client.head("/metrics").status_code == 200
    counted = 'method="HEAD",route="/api/v1/thumbnails/{id:path}",status="200"'
    assert counted in client.get("/metrics").text


@pytest.mark.parametrize(
    "path",
    ["/api/v1/gallery/", "/api/v1/facets/", "/api/v1/search/", "/metrics/", "/static/main.js/"],
)
def test_a_slash_too_many_is_not_found(client: TestClient, path: str) -> None:
    response = client.get(path, follow_redirects=False)
    assert (response.status_code, error_code(response)) == (404, "not_found")
