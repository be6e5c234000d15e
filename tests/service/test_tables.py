"""Tables as shops have them: whole numbers of 18 digits, dates, thousands of columns, changes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.service.conftest import error_code, make_gallery, make_table
from tmcir.gallery import Gallery
from tmcir.service.shared import MAXIMUM_AGE, Shared

SKUS = (100000000000000007, 100000000000000005, -(10**17) - 1, 10**18 - 1, 2**53, 2**53 - 1, 12)


def found(client: TestClient, **condition: Any) -> list[int]:
    """Return the numbers of the photos that a condition keeps."""
    search = {"turns": [{"text": "x"}], "filters": [condition], "k": 100}
    response = client.post("/api/v1/search", json=search)
    assert response.status_code == 200, response.text
    return sorted(int(hit["id"][-7:-4]) for hit in response.json()["hits"])


def facets(client: TestClient, limit: int = 20) -> dict[str, Any]:
    answer = client.get(f"/api/v1/facets?limit={limit}").json()["facets"]
    return {facet["name"]: facet for facet in answer}


# Whole numbers beyond 2**53


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return make_table(tmp_path_factory.mktemp("coded"), "sku", [str(sku) for sku in SKUS])


@pytest.mark.slow
def test_whole_numbers_that_javascript_rounds_are_text(
    coded: Gallery, serve: Callable[..., TestClient]
) -> None:
    client = serve(coded)
    facet = facets(client)["sku"]
    values = [pair["value"] for pair in facet["values"]]
    large = {value for value in values if isinstance(value, str)}
    assert large == {str(sku) for sku in SKUS if abs(sku) > 2**53 - 1}
    assert {value for value in values if not isinstance(value, str)} == {2**53 - 1, 12}
    assert (facet["minimum"], facet["maximum"]) == (str(SKUS[2]), str(SKUS[3]))
    for number, sku in enumerate(SKUS):
        name = f"shoes/{number:03}.png" if number % 3 == 0 else f"{number:03}.png"
        cell = client.get(f"/api/v1/items/{name}").json()["metadata"]["sku"]
        assert cell in values and int(cell) == sku
        assert found(client, column="sku", operator="in", value=[cell]) == [number]
        assert found(client, column="sku", operator="=", value=sku) == [number]
    assert found(client, column="sku", operator="<=", value=str(2**53)) == [2, 4, 5, 6]


@pytest.mark.parametrize("value", ["", "1 OR 1=1", "12 13", "0x10", "nan", "9" * 200, "twelve"])
def test_a_text_that_is_no_number_says_so(
    coded: Gallery, serve: Callable[..., TestClient], value: str
) -> None:
    search = {"turns": [{"text": "x"}]}
    condition = {"column": "sku", "operator": "=", "value": value}
    response = serve(coded).post("/api/v1/search", json={**search, "filters": [condition]})
    assert (response.status_code, error_code(response)) == (422, "invalid_filter")
    assert "takes a whole number" in response.json()["error"]["message"]


# What columns hold


def test_facets_say_what_a_column_holds(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    rows = ["9.5,2024-01-31,5", "20,2023-12-01,10", ",2024-02-29,10", "9.5,2024-01-31,"]
    gallery = make_table(tmp_path, "price,added,size", rows)
    answers = facets(serve(gallery))
    price, added, size = answers["price"], answers["added"], answers["size"]
    assert (price["minimum"], price["maximum"], price["filled"], price["distinct"]) == (
        9.5,
        20,
        3,
        2,
    )
    assert (added["minimum"], added["maximum"]) == ("2023-12-01", "2024-02-29")
    assert [facet["is_date"] for facet in (price, added, size)] == [False, True, False]
    assert size["values"] == [{"value": 10, "count": 2}, {"value": 5, "count": 1}]
    assert facets(serve(gallery), 1)["size"]["complete"] is False and size["complete"]


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["2024-01-31", "2024-02-01T10:00:00Z"], True),
        (["2024-01-31 10:00", "2024-01-31"], True),
        (["2024-01-31", "soon"], False),
        (["2024-13-01", "2024-01-01"], False),
        (["31.01.2024", "01.02.2024"], False),
    ],
)
def test_dates_are_known_by_their_shape(
    tmp_path: Path, serve: Callable[..., TestClient], dates: list[str], expected: bool
) -> None:
    assert facets(serve(make_table(tmp_path, "added", dates)))["added"]["is_date"] is expected


def test_texts_too_long_to_filter_by_are_no_values(
    tmp_path: Path, serve: Callable[..., TestClient]
) -> None:
    gallery = make_table(tmp_path, "note", ["x" * 201, "x" * 201, "y" * 200])
    client = serve(gallery)
    note = facets(client)["note"]
    assert note["values"] == [{"value": "y" * 200, "count": 1}] and not note["complete"]
    assert found(client, column="note", operator="=", value="y" * 200) == [2]


# Many columns


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    header = ",".join(f"column_{number}" for number in range(1_000))
    rows = [",".join(str((row * number) % 7) for number in range(1_000)) for row in range(12)]
    return make_table(tmp_path_factory.mktemp("wide"), header, rows)


@pytest.mark.slow
def test_a_table_of_1000_columns_is_served(wide: Gallery, serve: Callable[..., TestClient]) -> None:
    client = serve(wide)
    for path, limit in (("facets", 3.0), ("items", 3.0), ("gallery", 3.0)):
        began = time.monotonic()
        assert client.get(f"/api/v1/{path}").status_code == 200
        assert time.monotonic() - began < limit, path
    assert list(facets(client)) == [f"column_{number}" for number in range(200)]
    answer = client.post("/api/v1/search", json={"turns": [{"text": "x"}], "k": 5}).json()
    assert len(answer["hits"][0]["metadata"]) == 1_000


def test_messages_do_not_list_1000_columns(wide: Gallery, serve: Callable[..., TestClient]) -> None:
    condition = {"column": "colunm_7", "operator": "=", "value": 1}
    search = {"turns": [{"text": "x"}], "filters": [condition]}
    message = serve(wide).post("/api/v1/search", json=search).json()["error"]["message"]
    assert len(message) < 2_000
    assert "did you mean 'column_7'" in message and message.endswith("..., and 981 more")
    with pytest.raises(Exception, match="and 982 more") as caught:
        wide.search(text="x", where="nothing_7 = 1")
    assert len(str(caught.value)) < 2_000


# Reads that are shared


@pytest.mark.slow
def test_facets_are_one_scan_for_all_who_ask(
    tmp_path: Path, serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = make_gallery(tmp_path, 4)
    real, scans = gallery.summarise, []

    def slow(*args: Any, **options: Any) -> Any:
        scans.append(time.monotonic())
        time.sleep(1.2)
        return real(*args, **options)

    monkeypatch.setattr(gallery, "summarise", slow)
    client = serve(gallery, timeout=0.5)
    statuses: list[int] = []
    visitors = [
        threading.Thread(target=lambda: statuses.append(client.get("/api/v1/facets").status_code))
        for _ in range(4)
    ]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert statuses == [504] * 4 and len(scans) == 1
    time.sleep(1.0)
    assert client.get("/api/v1/facets").status_code == 200 and len(scans) == 1  # its result stayed


@pytest.mark.slow
def test_the_count_of_photos_is_current(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    gallery = make_gallery(tmp_path, 3)
    client = serve(gallery)
    assert client.get("/api/v1/gallery").json()["photos"] == 3
    other = Gallery.open(tmp_path / "shop", gallery._model)
    Image.new("RGB", (16, 16), "yellow").save(tmp_path / "photos" / "new.png")
    other.add(tmp_path / "photos")
    assert client.get("/api/v1/gallery").json()["photos"] == 4
    assert "tmcir_photos 4.0" in client.get("/metrics").text
    other.remove(["new.png", "001.png"])
    assert "tmcir_photos 2.0" in client.get("/metrics").text  # without another request before
    time.sleep(0.5)
    names = [item["id"] for item in client.get("/api/v1/items").json()["items"]]
    assert len(names) == 2 and "001.png" not in names


def test_a_result_is_kept_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    now = 0.0

    async def read() -> int:
        nonlocal reads, now
        reads += 1
        now += 2.0
        return reads

    async def ask() -> list[int]:
        nonlocal now
        shared = Shared(read)
        answers = [await shared.get(1), await shared.get(1)]  # kept: nothing has changed
        answers.append(await shared.get(2))  # kept: its scan took 2 s, so it stays for 20
        now += 21
        answers.append(await shared.get(2))
        now += MAXIMUM_AGE + 1
        answers.append(await shared.get(2))
        return answers

    monkeypatch.setattr("tmcir.service.shared.time.monotonic", lambda: now)
    assert asyncio.run(ask()) == [1, 1, 1, 2, 3]


def test_a_read_that_fails_is_tried_again() -> None:
    answers: Iterator[Exception | int] = iter([ValueError("broken"), 7])

    async def read() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask() -> int:
        shared = Shared(read)
        with pytest.raises(ValueError, match="broken"):
            await shared.get(1)
        return await shared.get(1)

    assert asyncio.run(ask()) == 7
