"""Metrics for Prometheus: requests, times by step, batch sizes, the queue, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The figures of one app, in a registry of their own.

    Args:
        waiting: Returns how many queries wait for the model.
    """

    def __init__(self, waiting: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "tmcir_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "tmcir_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.step_seconds = Histogram(
            "tmcir_step_seconds",
            "Time of the steps of a search: decode, wait (for the model), encode, search.",
            ("step",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.batch_size = Histogram(
            "tmcir_batch_size",
            "Queries encoded together, counted once a query.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self._registry,
        )
        self.under_way = Gauge(
            "tmcir_under_way", "Searches and explanations under way.", registry=self._registry
        )
        depth = Gauge("tmcir_waiting", "Queries that wait for the model.", registry=self._registry)
        depth.set_function(waiting)
        self.photos = Gauge("tmcir_photos", "Photos of the gallery.", registry=self._registry)

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)


class Steps:
    """The times of one request's steps, for metrics and for the header ``Server-Timing``."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seconds: dict[str, float] = {}

    def add(self, step: str, seconds: float) -> None:
        """Note how long a step took."""
        self._seconds[step] = seconds
        self._metrics.step_seconds.labels(step).observe(seconds)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long a ``with`` takes."""
        began = perf_counter()
        yield
        self.add(step, perf_counter() - began)

    @property
    def header(self) -> str:
        """The value of ``Server-Timing``, milliseconds by step."""
        return ", ".join(f"{step};dur={1000 * took:.1f}" for step, took in self._seconds.items())
