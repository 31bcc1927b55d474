"""What the server counts, for Prometheus. One registry per application, so that two can live in one process."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from wavepaint.server.work import WorkPool

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters and gauges of one application.

    Args:
        pool: whose queue is shown.
    """

    media_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, pool: WorkPool) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "wavepaint_requests", "Answered requests.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "wavepaint_request_seconds",
            "Time from a request's header to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._received = Counter("wavepaint_received_bytes", "Bytes of request bodies.", registry=self._registry)
        self._sent = Counter("wavepaint_sent_bytes", "Bytes of response bodies.", registry=self._registry)
        self._gauge("wavepaint_work_running", "Images being filled.", lambda: pool.running)
        self._gauge("wavepaint_work_places_taken", "Requests that hold a place.", lambda: pool.taken)

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self._registry).set_function(value)

    def answered(self, method: str, route: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count one request; `route` is the template, never the path, which a client could make up."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._received.inc(received)
        self._sent.inc(sent)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
