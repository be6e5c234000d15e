"""The one thread that runs the model: queries that arrive together are encoded as one batch."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError
from tmcir.gallery import Query
from tmcir.models.explained import Explanation

T = TypeVar("T")


class Embedder(Protocol):
    """The part of a gallery that the worker uses."""

    def embed(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """Return float32 [N, D]."""

    def explain(self, query: Query) -> Explanation:
        """Explain a query."""


class BusyError(Exception):
    """The queue is full."""


class ClosedError(Exception):
    """The worker is shutting down."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The result of a query.

    Attributes:
        value: Its vector [D], or its explanation.
        waited: Seconds in the queue.
        took: Seconds of the model, for the whole batch.
        batch: Queries in the batch.
    """

    value: T
    waited: float
    took: float
    batch: int


@dataclass(slots=True)
class _Job:
    query: Query
    explain: bool
    future: Future[Any] = field(default_factory=Future)
    arrived: float = field(default_factory=time.perf_counter)
    began: float = 0.0


class Worker:
    """Runs the model in one thread; other threads submit queries and get futures.

    Args:
        gallery: Embeds and explains queries.
        capacity: Queries that may wait; one more raises `BusyError`.
        batch_size: Queries encoded at once.
        window: Seconds that the first query of a batch waits for others.
    """

    def __init__(
        self, gallery: Embedder, capacity: int = 64, batch_size: int = 16, window: float = 0.004
    ) -> None:
        self._gallery = gallery
        self._batch_size = batch_size
        self._window = window
        self._jobs: queue.Queue[_Job | None] = queue.Queue(capacity)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tmcir-model", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def embed(self, query: Query) -> Future[Done[NDArray[np.float32]]]:
        """Encode a checked query, together with others that wait.

        Raises:
            BusyError: Too many queries are waiting.
            ClosedError: The worker has been closed.
        """
        return self._put(_Job(query, explain=False))

    def explain(self, query: Query) -> Future[Done[Explanation]]:
        """Explain a checked query, in turn with the others.

        Raises:
            BusyError: Too many queries are waiting.
            ClosedError: The worker has been closed.
        """
        return self._put(_Job(query, explain=True))

    @property
    def waiting(self) -> int:
        """Queries in the queue."""
        return self._jobs.qsize()

    @property
    def alive(self) -> bool:
        """Whether queries are taken."""
        return self._thread.is_alive() and not self._closing.is_set()

    def close(self, timeout: float = 30.0) -> None:
        """Finish the queued queries, and stop; those left after ``timeout`` seconds are dropped."""
        if self.alive:
            self._closing.set()
            deadline = time.monotonic() + timeout
            try:
                self._jobs.put(None, timeout=timeout)
            except queue.Full:  # the model hangs; the thread is a daemon and ends with the process
                return
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def _put(self, job: _Job) -> Future[Any]:
        if self._closing.is_set():
            raise ClosedError
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise BusyError from None
        return job.future

    def _run(self) -> None:
        last = False
        while not last:
            first = self._jobs.get()
            if first is None:
                break
            jobs, last = self._collect(first)
            # those whose client has gone or whose time is up are not worth encoding
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            began = time.perf_counter()
            for job in jobs:
                job.began = began
            self._embed([job for job in jobs if not job.explain])
            for job in jobs:
                if job.explain:
                    self._answer([job], self._explained)

    def _collect(self, first: _Job) -> tuple[list[_Job], bool]:
        """Return a batch, and whether it is the last."""
        jobs = [first]
        deadline = time.perf_counter() + self._window
        while len(jobs) < self._batch_size:
            try:
                job = self._jobs.get(timeout=max(0.0, deadline - time.perf_counter()))
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False

    def _embed(self, jobs: Sequence[_Job]) -> None:
        if not jobs:
            return
        error = self._answer(jobs, self._gallery.embed)
        if error is not None:  # one query is at fault: answer the others
            for job in jobs:
                self._answer([job], self._gallery.embed)

    def _explained(self, queries: Sequence[Query]) -> list[Explanation]:
        return [self._gallery.explain(query) for query in queries]

    def _answer(
        self, jobs: Sequence[_Job], work: Callable[[Sequence[Query]], Iterable[Any]]
    ) -> TMCIRError | None:
        """Settle jobs with what ``work`` makes of their queries.

        Where it fails for several of them, nothing is settled, and the error is returned.
        """
        began = time.perf_counter()
        try:
            values = work([job.query for job in jobs])
        except Exception as error:
            if len(jobs) > 1 and isinstance(error, TMCIRError):
                return error
            for job in jobs:
                job.future.set_exception(error)
            return None
        took = time.perf_counter() - began
        for job, value in zip(jobs, values, strict=True):
            job.future.set_result(Done(value, job.began - job.arrived, took, len(jobs)))
        return None
