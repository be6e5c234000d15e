from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from tests.service.conftest import error_code
from tmcir.core.errors import QueryError
from tmcir.gallery import Gallery, Query
from tmcir.models import Explanation
from tmcir.service.worker import BusyError, ClosedError, Worker


class Embedder:
    """Embeds a query as its text's length; "bad" is rejected. Waits where asked."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def embed(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.go_on.wait(10)
        texts = [query.text for query in queries]
        self.batches.append(texts)
        if "bad" in texts:
            raise QueryError("points nowhere")
        return np.array([[len(text)] for text in texts], np.float32)

    def explain(self, query: Query) -> Explanation:
        self.threads.add(threading.get_ident())
        return Explanation(None, query.text.split(), (1, 1))


def held(embedder: Embedder, worker: Worker) -> Future[Any]:
    """Make the worker busy with one query, so that others gather behind it."""
    embedder.go_on.clear()
    embedder.entered.clear()
    future = worker.embed(Query(text="first"))
    assert embedder.entered.wait(10)
    return future


@pytest.fixture
def embedder() -> Embedder:
    return Embedder()


def start(embedder: Embedder, **options: Any) -> Worker:
    worker = Worker(embedder, **{"window": 0.0, **options})
    worker.start()
    return worker


def test_what_arrives_together_is_one_batch_in_one_thread(embedder: Embedder) -> None:
    worker = start(embedder, batch_size=3)
    held(embedder, worker)
    futures = [worker.embed(Query(text="x" * n)) for n in range(1, 6)]
    explained = worker.explain(Query(text="in red"))
    embedder.go_on.set()
    done = [future.result(10) for future in futures]
    assert [one.value.tolist() for one in done] == [[1], [2], [3], [4], [5]]
    assert embedder.batches == [["first"], ["x", "xx", "xxx"], ["xxxx", "xxxxx"]]
    assert [one.batch for one in done] == [3, 3, 3, 2, 2]
    assert all(one.waited > 0 for one in done)
    assert explained.result(10).value.words == ["in", "red"]
    assert len(embedder.threads) == 1 and threading.get_ident() not in embedder.threads
    worker.close()


def test_a_query_waits_a_moment_for_others(embedder: Embedder) -> None:
    worker = start(embedder, window=0.3, batch_size=2)
    first = worker.embed(Query(text="a"))
    time.sleep(0.02)
    second = worker.embed(Query(text="b"))
    assert first.result(10).batch == second.result(10).batch == 2
    assert first.result().waited < 0.25  # a full batch does not wait for the window to end
    worker.close()


def test_one_bad_query_does_not_spoil_its_batch(embedder: Embedder) -> None:
    worker = start(embedder)
    held(embedder, worker)
    futures = [worker.embed(Query(text=text)) for text in ("a", "bad", "bb")]
    embedder.go_on.set()
    assert futures[0].result(10).value.tolist() == [1]
    assert futures[2].result(10).value.tolist() == [2]
    with pytest.raises(QueryError, match="points nowhere"):
        futures[1].result(10)
    worker.close()


def test_a_full_queue_rejects_and_recovers(embedder: Embedder) -> None:
    worker = start(embedder, capacity=2)
    first = held(embedder, worker)
    waiting = [worker.embed(Query(text="x")) for _ in range(2)]
    assert worker.waiting == 2
    with pytest.raises(BusyError):
        worker.embed(Query(text="x"))
    embedder.go_on.set()
    for future in (first, *waiting):
        future.result(10)
    worker.embed(Query(text="x")).result(10)
    worker.close()


def test_what_nobody_waits_for_is_not_encoded(embedder: Embedder) -> None:
    worker = start(embedder)
    held(embedder, worker)
    gone, kept = worker.embed(Query(text="gone")), worker.embed(Query(text="kept"))
    assert gone.cancel()
    embedder.go_on.set()
    kept.result(10)
    assert embedder.batches == [["first"], ["kept"]]
    worker.close()


def test_closing_finishes_what_waits(embedder: Embedder) -> None:
    worker = start(embedder)
    first = held(embedder, worker)
    second = worker.embed(Query(text="second"))
    threading.Timer(0.1, embedder.go_on.set).start()
    worker.close(10)
    assert first.done() and second.done() and not worker.alive
    with pytest.raises(ClosedError):
        worker.embed(Query(text="late"))
    worker.close()  # again does no harm


# Through the API


class Slow:
    """Makes a gallery's model wait for an event."""

    def __init__(self, gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        self.entered = threading.Event()
        self.sizes: list[int] = []
        embed = gallery.embed

        def slow(queries: Sequence[Query]) -> NDArray[np.float32]:
            if queries[0].text != "a photo":  # warming up
                self.sizes.append(len(queries))
                self.entered.set()
                assert self.go_on.wait(10)
            return embed(queries)

        monkeypatch.setattr(gallery, "embed", slow)


@pytest.fixture
def slow(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(gallery, monkeypatch)


def ask(client: TestClient, text: str = "x") -> Any:
    return client.post("/api/v1/search", json={"turns": [{"text": text}]})


def test_too_many_requests_are_turned_away(serve: Callable[..., TestClient], slow: Slow) -> None:
    client = serve(queue_size=3, timeout=10)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, client)
        assert slow.entered.wait(10)
        others = [pool.submit(ask, client) for _ in range(2)]
        while "tmcir_waiting 2.0" not in client.get("/metrics").text:
            time.sleep(0.01)
        rejected = ask(client)
        assert (rejected.status_code, error_code(rejected)) == (503, "busy")
        assert rejected.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200  # looking is always allowed
        slow.go_on.set()
        assert [one.result(10).status_code for one in (first, *others)] == [200] * 3
    assert slow.sizes == [1, 2]  # the two that waited were one batch
    assert ask(client).status_code == 200


def test_a_request_has_its_time(serve: Callable[..., TestClient], slow: Slow) -> None:
    client = serve(timeout=0.3)
    response = ask(client)
    assert (response.status_code, error_code(response)) == (504, "timeout")
    slow.go_on.set()
    assert ask(client).status_code == 200


def test_what_goes_wrong_is_named_but_not_told(
    serve: Callable[..., TestClient], gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()

    def broken(queries: Sequence[Query]) -> NDArray[np.float32]:
        raise RuntimeError(f"cannot embed {queries[0].text}")

    monkeypatch.setattr(gallery, "embed", broken)
    response = ask(client, "secret words")
    assert (response.status_code, error_code(response)) == (500, "internal")
    assert "secret" not in response.text
    assert response.headers["x-request-id"] in response.json()["error"]["message"]
    assert client.get("/readyz").status_code == 200
