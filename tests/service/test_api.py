from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.gallery.fake import WORDS, FakeModel
from tests.service.conftest import error_code, make_gallery, make_table
from tests.tiny import build_model, draw_catalogue
from tmcir.data.fashion_products import FashionProducts
from tmcir.gallery import Gallery, Hit, Term
from tmcir.service.searcher import page


def search(client: TestClient, turns: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    response = client.post("/api/v1/search", json={"turns": turns, **options})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["id"] for hit in answer["hits"]]


def jpeg(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "JPEG")
    return buffer.getvalue()


# Searching


def test_search_answers_as_the_gallery_does(client: TestClient, gallery: Gallery) -> None:
    answer = search(client, [{"text": "in red"}], k=5)
    expected = gallery.search(text="in red", k=5)
    assert ids(answer) == [hit.id for hit in expected]
    assert [hit["score"] for hit in answer["hits"]] == pytest.approx([h.score for h in expected])
    assert answer["hits"][0]["metadata"] == expected[0].metadata
    assert answer["query"]["text"] == "in red" and answer["query"]["item"] is None
    assert not any("path" in hit for hit in answer["hits"])


def test_search_from_an_item_leaves_it_out(client: TestClient, gallery: Gallery) -> None:
    turns = [{"item": "001.png", "text": "in red", "balance": -1}]
    answer = search(client, turns, k=100)
    everything = gallery.search(item="001.png", text="in red", balance=-1, k=100)
    assert everything[0].id == "001.png"
    assert ids(answer) == [hit.id for hit in everything[1:]]
    assert answer["next_offset"] is None


def test_an_upload_finds_the_photo_it_is(client: TestClient, gallery: Gallery) -> None:
    photo = gallery.item("002.png").path.read_bytes()
    response = client.post(
        "/api/v1/search/upload",
        files={"image": ("a.png", photo, "image/png")},
        data={"query": json.dumps({"turns": [{"upload": True}], "k": 1})},
    )
    answer = response.json()
    assert ids(answer) == ["002.png"] and answer["query"]["upload"] is True
    assert answer["hits"][0]["score"] == pytest.approx(1)
    timing = response.headers["server-timing"]
    assert [part.split(";")[0] for part in timing.split(", ")] == [
        "decode", "wait", "encode", "search",
    ]  # fmt: skip


def test_turns_amount_to_one_query(client: TestClient) -> None:
    turns: list[dict[str, Any]] = [
        {"text": "forgotten"},
        {"item": "001.png"},
        {"text": "in navy"},
        {"text": "shorter", "balance": 0.5, "less_like": ["002.png"]},
    ]
    answer = search(client, turns, k=100)
    assert answer["query"] == {
        "item": "001.png",
        "upload": False,
        "text": "shorter, in navy",
        "balance": 0.5,
        "more_like": [],
        "less_like": ["002.png"],
        "terms": [],
        "unread": "",
    }
    assert not {"001.png", "002.png"} & set(ids(answer)) and len(ids(answer)) == 18


def test_pages_are_the_whole_list_without_gaps(client: TestClient) -> None:
    turns = [{"item": "001.png", "less_like": ["004.png", "shoes/003.png"]}]
    whole = ids(search(client, turns, k=100))
    assert len(whole) == 17
    collected: list[str] = []
    offset: int | None = 0
    while offset is not None:
        answer = search(client, turns, k=3, offset=offset)
        assert 1 <= len(answer["hits"]) <= 3
        collected += ids(answer)
        offset = answer["next_offset"]
    assert collected == whole


def test_a_page_counts_what_it_leaves_out() -> None:
    found = [Hit(n, 1 - n / 10, name, Path(name), {}) for n, name in enumerate("abcdef")]
    hits, following = page(found, {"b", "d"}, k=2, offset=10)
    assert [hit.id for hit in hits] == ["a", "c"]
    assert following == 14  # a 10, b 11, c 12, d 13: e comes next
    hits, following = page(found[4:], {"b", "d"}, k=2, offset=14)
    assert [hit.id for hit in hits] == ["e", "f"] and following is None


def test_filters_hold_together(client: TestClient) -> None:
    filters = [
        {"column": "baseColour", "operator": "in", "value": ["Red", "O'Green"]},
        {"column": "year", "operator": ">=", "value": 2003},
    ]
    answer = search(client, [{"text": "shoes"}], k=100, filters=filters)
    rows = [hit["metadata"] for hit in answer["hits"]]
    assert {row["baseColour"] for row in rows} == {"Red", "O'Green"}
    assert {row["year"] for row in rows} == {2003, 2004}


def test_duplicates_are_merged_on_request(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    gallery = make_gallery(tmp_path, 6)
    twin = tmp_path / "photos" / "twin.png"
    twin.write_bytes((tmp_path / "photos" / "001.png").read_bytes())
    gallery.add(tmp_path / "photos")
    client = serve(gallery)
    merged = search(client, [{"text": "x"}], k=10, deduplicate=True)
    (pair,) = [hit for hit in merged["hits"] if hit["duplicates"]]
    assert {pair["id"], *pair["duplicates"]} == {"001.png", "twin.png"}
    assert len(search(client, [{"text": "x"}], k=10)["hits"]) == 7


@pytest.mark.parametrize(
    ("turns", "code", "status"),
    [
        ([{}], "invalid_query", 422),
        ([{"text": "  "}], "invalid_query", 422),
        ([{"less_like": ["001.png"]}], "invalid_query", 422),
        ([{"more_like": ["001.png"], "less_like": ["001.png"]}], "invalid_query", 422),
        ([{"item": "none.png"}], "unknown_item", 404),
        ([{"text": "x", "more_like": ["none.png"]}], "unknown_item", 404),
        ([{"item": "001.png", "upload": True}], "invalid_query", 422),
        ([{"upload": True}], "image_missing", 422),
        ([{"text": "x", "balance": 2}], "invalid_request", 422),
        ([{"text": "x", "uri": "http://127.0.0.1/"}], "invalid_request", 422),
        ([], "invalid_request", 422),
        ([{"text": "x"}] * 51, "invalid_request", 422),
    ],
)
def test_a_query_that_is_no_good_says_why(
    client: TestClient, turns: list[dict[str, Any]], code: str, status: int
) -> None:
    response = client.post("/api/v1/search", json={"turns": turns})
    assert (response.status_code, error_code(response)) == (status, code)


def test_an_upload_of_an_earlier_start_need_not_be_sent_again(client: TestClient) -> None:
    answer = search(client, [{"upload": True}, {"text": "red"}, {"item": "001.png"}], k=1)
    assert answer["query"]["item"] == "001.png" and not answer["query"]["upload"]


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ({"column": "colour", "operator": "=", "value": "x"}, "valid: baseColour, id, title, year"),
        ({"column": "path", "operator": "contains", "value": "/"}, "unknown filter column"),
        ({"column": "year", "operator": "=", "value": "1 OR 1=1"}, "takes a whole number"),
        ({"column": "baseColour", "operator": "=", "value": 3}, "takes text"),
        ({"column": "1=1; --", "operator": "=", "value": 3}, "unknown filter column"),
    ],
)
def test_a_filter_that_is_no_good_says_why(
    client: TestClient, condition: dict[str, Any], problem: str
) -> None:
    response = client.post(
        "/api/v1/search", json={"turns": [{"text": "x"}], "filters": [condition]}
    )
    assert (response.status_code, error_code(response)) == (422, "invalid_filter")
    assert problem in response.json()["error"]["message"]


def test_quotes_in_values_are_values(client: TestClient) -> None:
    value = "' OR '1'='1"
    filters = [{"column": "baseColour", "operator": "=", "value": value}]
    assert search(client, [{"text": "x"}], filters=filters)["hits"] == []


def test_the_end_that_is_not_read_is_named(client: TestClient) -> None:
    long = " ".join(["red"] * WORDS)
    assert search(client, [{"text": long}], k=1)["query"]["unread"] == ""
    turns = [{"item": "001.png", "text": long}, {"text": "with pockets"}]
    assert search(client, turns, k=1)["query"]["unread"] == "red red"  # the later text comes first
    answer = client.post("/api/v1/explain", json={"turns": turns}).json()
    assert answer["unread"] == "red red"


def test_terms_move_the_results(client: TestClient, gallery: Gallery) -> None:
    turns = [
        {"item": "001.png", "terms": [{"text": "buttons", "weight": -0.5}]},
        {"text": "in red", "terms": [{"item": "002.png", "weight": 0.3}, {"text": "wool"}]},
    ]
    answer = search(client, turns, k=5)
    terms = [Term(-0.5, "buttons"), Term(0.3, item="002.png"), Term(1.0, "wool")]
    where = "id != '001.png'"
    expected = gallery.search(item="001.png", text="in red", terms=terms, k=5, where=where)
    assert ids(answer) == [hit.id for hit in expected]
    assert answer["query"]["terms"] == [
        {"text": "buttons", "item": None, "weight": -0.5},
        {"text": None, "item": "002.png", "weight": 0.3},
        {"text": "wool", "item": None, "weight": 1.0},
    ]
    assert ids(answer) != ids(search(client, [{"item": "001.png"}, {"text": "in red"}], k=5))


@pytest.mark.parametrize(
    ("term", "status", "problem"),
    [
        ({"text": "a", "item": "001.png"}, 422, "one of them"),
        ({}, 422, "one of them"),
        ({"text": "a", "weight": 0}, 422, "not be 0"),
        ({"text": "a", "weight": 11}, 422, "turns.0.terms.0.weight: must be at most 10"),
        ({"text": ""}, 422, "turns.0.terms.0.text: must not be empty"),
        ({"item": "none.png"}, 404, "none.png"),
    ],
)
def test_a_term_that_is_wrong_says_why(
    client: TestClient, term: dict[str, Any], status: int, problem: str
) -> None:
    search = {"turns": [{"text": "x", "terms": [term]}]}
    response = client.post("/api/v1/search", json=search)
    assert response.status_code == status and problem in response.json()["error"]["message"]


def test_words_count_on_request(client: TestClient) -> None:
    about = client.get("/api/v1/gallery").json()
    assert about["words"] == ["id", "title"]
    plain = search(client, [{"text": "thing 013"}], k=20)
    found = search(client, [{"text": "thing 013"}], k=20, words=about["words"])
    assert ids(found)[0] == "013.png" and set(ids(found)) == set(ids(plain))
    turns = [{"item": "001.png"}, {"text": "number 7"}]
    assert ids(search(client, turns, k=19, words=["title"])) != ids(search(client, turns, k=19))


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["titel"], "invalid_words", "did you mean 'title'"),
        (["x" * 300], "invalid_request", "words.0"),
        (["id"] * 17, "invalid_request", "words"),
        ("title", "invalid_request", "words"),
    ],
)
def test_words_of_unknown_columns_are_errors(
    client: TestClient, words: Any, code: str, problem: str
) -> None:
    response = client.post("/api/v1/search", json={"turns": [{"text": "x"}], "words": words})
    assert (response.status_code, error_code(response)) == (422, code)
    assert problem in response.json()["error"]["message"]


def test_a_minimum_of_relevance_ends_the_results(client: TestClient) -> None:
    whole = search(client, [{"text": "in red"}], k=20)["hits"]
    assert [hit["rank"] for hit in whole] == list(range(1, 21))
    limit = (whole[4]["relevance"] + whole[5]["relevance"]) / 2
    answer = search(client, [{"text": "in red"}], k=3, min_relevance=limit)
    assert answer["hits"] == whole[:3]
    rest = search(client, [{"text": "in red"}], k=3, offset=3, min_relevance=limit)
    assert rest["hits"] == whole[3:5] and rest["next_offset"] is None
    assert search(client, [{"text": "in red"}], min_relevance=1)["hits"] == []
    for wrong in (-1, 2, "much"):
        given = {"turns": [{"text": "x"}], "min_relevance": wrong}
        response = client.post("/api/v1/search", json=given)
        assert (
            response.status_code == 422 and "min_relevance" in response.json()["error"]["message"]
        )


# Grouping and sorting


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    rows = [
        f"P{number // 2},Thing number {number},{50 - number},https://shop.example/{number}"
        for number in range(40)
    ]
    return make_table(tmp_path_factory.mktemp("shop"), "product_id,title,price,url", rows)


def test_the_gallery_says_what_columns_are_for(
    shop: Gallery, serve: Callable[..., TestClient], client: TestClient
) -> None:
    roles = serve(shop).get("/api/v1/gallery").json()["roles"]
    assert roles == {"title": "title", "link": "url", "price": "price", "group": "product_id"}
    roles = client.get("/api/v1/gallery").json()["roles"]
    assert roles == {"title": "title", "link": None, "price": None, "group": None}


def test_a_product_is_one_hit_on_request(shop: Gallery, serve: Callable[..., TestClient]) -> None:
    client = serve(shop)
    whole = search(client, [{"text": "x"}], k=40, group="product_id")
    assert len(whole["hits"]) == 20 and whole["next_offset"] is None
    for hit in whole["hits"]:
        (other,) = hit["grouped"]
        numbers = {int(name[-7:-4]) // 2 for name in (hit["id"], other)}
        assert len(numbers) == 1
    answer = search(client, [{"text": "x"}], k=6, group="product_id")
    pages = ids(answer)
    while answer["next_offset"] is not None:
        options = {"k": 6, "group": "product_id", "offset": answer["next_offset"]}
        answer = search(client, [{"text": "x"}], **options)
        pages += ids(answer)
    assert pages == ids(whole)


def test_other_photos_of_the_reference_are_skipped(
    shop: Gallery, serve: Callable[..., TestClient]
) -> None:
    client = serve(shop)
    turns = [{"item": "001.png"}, {"less_like": ["004.png"]}]
    products = [hit["metadata"]["product_id"] for hit in search(client, turns, k=40)["hits"]]
    assert "P0" in products and "P2" in products
    answer = search(client, turns, k=40, group="product_id")
    products = [hit["metadata"]["product_id"] for hit in answer["hits"]]
    assert len(products) == 18 and not {"P0", "P2"} & set(products)


def test_relevant_hits_are_sorted_on_request(
    shop: Gallery, serve: Callable[..., TestClient]
) -> None:
    client = serve(shop)
    up = search(client, [{"text": "x"}], k=40, sort={"column": "price"})
    prices = [hit["metadata"]["price"] for hit in up["hits"]]
    assert prices == sorted(prices) and 24 <= len(prices) <= 40
    down = search(client, [{"text": "x"}], k=40, sort={"column": "price", "descending": True})
    assert ids(down) == ids(up)[::-1]
    titles = search(client, [{"text": "x"}], k=5, sort={"column": "title"})
    names = [hit["metadata"]["title"] for hit in titles["hits"]]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sort": {"column": "cost"}}, "invalid_sort"),
        ({"sort": {"column": "path"}}, "invalid_sort"),
        ({"group": "productid"}, "invalid_group"),
        ({"sort": "price"}, "invalid_request"),
        ({"sort": {"column": "price", "order": "asc"}}, "invalid_request"),
        ({"group": ""}, "invalid_group"),
    ],
)
def test_a_column_that_is_not_there_is_named(
    shop: Gallery, serve: Callable[..., TestClient], change: dict[str, Any], code: str
) -> None:
    response = serve(shop).post("/api/v1/search", json={"turns": [{"text": "x"}], **change})
    assert (response.status_code, error_code(response)) == (422, code)


# Explaining


def test_explain_names_gate_words_and_grid(client: TestClient) -> None:
    turns = [{"item": "001.png"}, {"text": "in navy"}]
    answer = client.post("/api/v1/explain", json={"turns": turns}).json()
    assert answer["gate"] == {"image": 1.2, "text": 0.8}
    assert [word["text"] for word in answer["words"]] == ["in", "navy"]
    assert answer["grid"] == {"rows": 2, "columns": 2}
    response = client.post("/api/v1/explain", json={"turns": [{"text": "in navy"}]})
    assert (response.status_code, error_code(response)) == (422, "invalid_query")


def test_explain_takes_an_upload(client: TestClient) -> None:
    response = client.post(
        "/api/v1/explain/upload",
        files={"image": jpeg()},
        data={"query": '{"turns": [{"upload": true, "text": "in navy"}]}'},
    )
    assert response.status_code == 200 and len(response.json()["words"]) == 2


@pytest.mark.slow
def test_a_model_of_ours_is_served(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    root = draw_catalogue(tmp_path / "products", items=12)
    model = build_model(FashionProducts(root, "train"))
    gallery = Gallery.open(tmp_path / "shop", model)
    gallery.add(root / "images", root / "styles.csv")
    client = serve(gallery)
    turns = [{"item": "100.jpg", "text": "red striped jeans", "balance": 0.4}]
    hits = search(client, turns, k=3)["hits"]
    expected = gallery.search(
        item="100.jpg", text="red striped jeans", balance=0.4, k=3, where="id != '100.jpg'"
    )
    assert [hit["id"] for hit in hits] == [hit.id for hit in expected]
    explained = client.post("/api/v1/explain", json={"turns": turns}).json()
    assert explained["grid"] == {"rows": 2, "columns": 2}
    assert explained["region"] == {"left": 0, "top": 0, "right": 1, "bottom": 1}
    assert explained["gate"]["image"] + explained["gate"]["text"] == pytest.approx(2)
    merged = sum(len(word["patches"]) for word in explained["words"])
    assert explained["matched_share"] == merged / 4


# The gallery


def test_the_gallery_says_what_there_is(client: TestClient) -> None:
    answer = client.get("/api/v1/gallery").json()
    assert answer["photos"] == 20 and answer["model"] == "fake"
    kinds = {column["name"]: column["kind"] for column in answer["columns"]}
    assert kinds == {"baseColour": "text", "year": "integer", "title": "text"}
    assert answer["limits"]["maximum_k"] == 100


def test_facets_count_values(client: TestClient) -> None:
    facets = {one["name"]: one for one in client.get("/api/v1/facets?limit=3").json()["facets"]}
    assert facets["baseColour"]["values"] == [
        {"value": "Navy Blue", "count": 7},
        {"value": "Red", "count": 7},
        {"value": "O'Green", "count": 6},
    ]
    assert facets["baseColour"]["complete"] and not facets["year"]["complete"]
    assert len(facets["title"]["values"]) == 3


def test_items_are_found_by_id_only(client: TestClient) -> None:
    answer = client.get("/api/v1/items/shoes/003.png").json()
    assert answer == {
        "id": "shoes/003.png",
        "metadata": {"baseColour": "Red", "year": 2003, "title": "Thing number 3"},
        "thumbnail": "api/v1/thumbnails/shoes/003.png",
    }
    some = client.get("/api/v1/items?limit=4").json()["items"]
    assert len({item["id"] for item in some}) == 4


@pytest.mark.parametrize(
    "name",
    ["none.png", "../styles.csv", "%2e%2e/styles.csv", "%2Fetc%2Fpasswd", "a%00b", "'", "%ff"],
)
@pytest.mark.parametrize("route", ["items", "thumbnails"])
def test_what_is_no_id_is_not_found(client: TestClient, route: str, name: str) -> None:
    response = client.get(f"/api/v1/{route}/{name}")
    assert response.status_code == 404
    assert error_code(response) in ("unknown_item", "not_found")
    assert "/photos" not in response.text and "tmp" not in response.text


def test_thumbnails_are_cached_by_their_tag(client: TestClient) -> None:
    first = client.get("/api/v1/thumbnails/shoes/003.png")
    assert first.headers["content-type"] == "image/jpeg"
    assert first.headers["cache-control"] == "public, max-age=300"
    Image.open(io.BytesIO(first.content)).load()
    tag = first.headers["etag"]
    again = client.get("/api/v1/thumbnails/shoes/003.png", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = client.get("/api/v1/thumbnails/001.png", headers={"If-None-Match": tag})
    assert other.status_code == 200


# Operations


def test_health_readiness_and_metrics(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    search(client, [{"text": "x"}])
    client.get("/api/v1/items/none.png")
    text = client.get("/metrics").text
    assert 'tmcir_requests_total{method="POST",route="/api/v1/search",status="200"} 1.0' in text
    assert 'tmcir_requests_total{method="GET",route="/api/v1/items/{id:path}",status="404"}' in text
    assert 'tmcir_step_seconds_count{step="encode"} 1.0' in text
    assert "tmcir_photos 20.0" in text and "process_resident_memory_bytes" in text
    assert "none.png" not in text


def test_an_empty_gallery_is_served(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    gallery = make_gallery(tmp_path, 1)
    gallery.remove(["shoes/000.png"])
    client = serve(gallery)
    assert client.get("/readyz").status_code == 200
    assert client.get("/api/v1/items").json() == {"items": []}
    assert search(client, [{"text": "x"}])["hits"] == []


def test_a_gallery_that_breaks_is_no_leak(
    tmp_path: Path, serve: Callable[..., TestClient], capfd: pytest.CaptureFixture[str]
) -> None:
    gallery = make_gallery(tmp_path, 3)
    client = serve(gallery)
    for path in (tmp_path / "shop").rglob("*.lance"):
        if path.is_file():
            path.unlink()
    response = client.get("/api/v1/thumbnails/001.png")
    assert (response.status_code, error_code(response)) == (503, "unavailable")
    assert str(tmp_path) not in response.text


def test_photos_added_later_are_found(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    gallery = make_gallery(tmp_path, 3)
    client = serve(Gallery.open(tmp_path / "shop", FakeModel()))
    make = tmp_path / "photos" / "new.png"
    Image.new("RGB", (16, 16), "yellow").save(make)
    gallery.add(tmp_path / "photos")
    assert client.get("/api/v1/items/new.png").status_code == 200
    assert "new.png" in ids(search(client, [{"text": "x"}], k=10))


def test_the_schema_has_examples_and_one_error_shape(client: TestClient) -> None:
    schema = client.get("/api/v1/openapi.json").json()
    assert len(schema["components"]["schemas"]["SearchRequest"]["examples"]) == 3
    for path, routes in schema["paths"].items():
        for method, route in routes.items():
            assert route["summary"] and route["tags"], path
            for status, answer in route["responses"].items():
                if int(status) >= 400:
                    content = answer["content"]["application/json"]["schema"]
                    assert content["$ref"].endswith("/ErrorAnswer"), (path, method, status)
    for example in schema["components"]["schemas"]["SearchRequest"]["examples"]:
        example = json.loads(json.dumps(example).replace("shoes/10015.jpg", "001.png"))
        example["filters"] = []
        search(client, **example)


def test_other_routes_are_errors_of_the_same_shape(client: TestClient) -> None:
    assert error_code(client.get("/none")) == "not_found"
    response = client.get("/api/v1/search")
    assert (response.status_code, error_code(response)) == (405, "method_not_allowed")
    response = client.post(
        "/api/v1/search", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, error_code(response)) == (422, "invalid_request")
