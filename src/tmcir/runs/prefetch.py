"""Work done by threads ahead of its use: decoding beside encoding, batches beside steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    work: Callable[[Item], Result], items: Iterable[Item], ahead: int = 1, threads: int = 1
) -> Generator[Result, None, None]:
    """Yield ``work(item)`` for every item, in order, while threads compute the next ones.

    Close the generator if it may not be exhausted (``contextlib.closing``): pending calls are
    cancelled, running ones are waited for.

    Args:
        work: Called in a thread. What it raises, the generator raises at that item.
        items: Read one by one, never further ahead than ``ahead``.
        ahead: Maximum number of results computed or waiting while the caller uses one.
        threads: Maximum number of calls at a time.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="tmcir-prefetch")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
