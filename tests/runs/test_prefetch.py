from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from tmcir.runs.prefetch import prefetch


def test_results_come_in_order_from_other_threads() -> None:
    here = threading.get_ident()
    found = list(prefetch(lambda n: (n * n, threading.get_ident()), range(20), 4, 3))
    assert [square for square, _ in found] == [n * n for n in range(20)]
    assert here not in {thread for _, thread in found}


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_no_more_items_are_read_than_may_wait(ahead: int) -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for n in range(10):
            read.append(n)
            yield n

    with closing(prefetch(lambda n: n, items(), ahead)) as results:
        for n, result in enumerate(results):
            assert result == n
            assert len(read) == min(10, n + 1 + ahead)


def test_the_next_result_is_computed_meanwhile() -> None:
    second = threading.Event()

    def work(n: int) -> int:
        if n == 1:
            second.set()
        return n

    with closing(prefetch(work, range(3))) as results:
        assert next(results) == 0
        assert second.wait(timeout=10)


def test_an_error_is_raised_at_its_item() -> None:
    with closing(prefetch(lambda n: 1 // (2 - n), range(5), ahead=4)) as results:
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_closing_cancels_what_has_not_begun() -> None:
    begun: list[int] = []
    release = threading.Event()

    def work(n: int) -> int:
        begun.append(n)
        if n == 1:
            release.wait(timeout=10)
        return n

    results = prefetch(work, range(10), ahead=8)
    assert next(results) == 0
    threading.Timer(0.05, release.set).start()
    results.close()
    assert set(begun) <= {0, 1, 2}


def test_nothing_gives_nothing() -> None:
    assert list(prefetch(str, [])) == []
