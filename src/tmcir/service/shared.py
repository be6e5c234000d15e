"""The result of a slow read, made once for all who ask at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: Maximum age of a result in seconds, even if nothing seems to have changed.
MAXIMUM_AGE = 60.0
#: Reads take at most this share of the time, however often the gallery changes.
MAXIMUM_SHARE = 0.1
# An old result is better than waiting longer than this for a new one.
_PATIENCE = 1.0


class Shared(Generic[T]):
    """Runs one read at a time and keeps its result.

    A request whose time is up leaves the read running, so the next one finds its result.

    Args:
        read: The slow read.
    """

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._kept: list[T] = []  # one result, or none yet
        self._running: asyncio.Task[T] | None = None
        self._version: Hashable = None
        self._ended = 0.0
        self._seconds = 0.0

    def begin(self, version: Hashable) -> None:
        """Start a read where `get` would, and do not wait for it."""
        if self._running is None and self._is_outdated(version):
            self._running = asyncio.create_task(self._run(version))
            self._running.add_done_callback(_retrieve)

    async def get(self, version: Hashable) -> T:
        """Return the result; a new one where it is too old or another ``version`` is asked for.

        Raises:
            Exception: Whatever the read raised; the next call tries again.
        """
        self.begin(version)
        if self._running is not None:
            patience = _PATIENCE if self._kept else None
            running = self._running
            await asyncio.wait({running}, timeout=patience)  # continues if this call is cancelled
            if running.done():
                return running.result()
        return self._kept[0]

    async def close(self) -> None:
        """Cancel a read under way."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    def _is_outdated(self, version: Hashable) -> bool:
        age = time.monotonic() - self._ended
        if not self._kept or age > MAXIMUM_AGE:
            return True
        return version != self._version and age > self._seconds / MAXIMUM_SHARE

    async def _run(self, version: Hashable) -> T:
        began = time.monotonic()
        try:
            result = await self._read()
            self._kept, self._version = [result], version
            return result
        finally:
            self._ended = time.monotonic()
            self._seconds = self._ended - began
            self._running = None


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve an error even if nobody waits for the result any more."""
    if not task.cancelled():
        task.exception()
