"""Metrics of the interface by route template, so that a job's id never becomes a series of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.lengths import QueueLengths
from jobs.metrics import REGISTRY, exposition
from jobs.settings import Settings

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_NO_ANSWER: Final = 499  # the client went away, or the application died before it answered


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("cityzones_http_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "cityzones_http_request_seconds", "Seconds until the last byte of the answer", ("method", "route"),
            registry=self.registry, buckets=_BUCKETS,
        )  # fmt: skip
        self.in_flight = Gauge(
            "cityzones_http_requests_in_flight", "Requests being answered", registry=self.registry,
            multiprocess_mode="livesum",
        )  # fmt: skip

    def observe(self, scope: Scope, status: int, seconds: float, route: str | None) -> None:
        """Count one request."""
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        name = route or _template(scope)
        self.requests.labels(method, name, str(status)).inc()
        self.seconds.labels(method, name).observe(seconds)

    def text(self, settings: Settings) -> bytes:
        """Return the exposition, the lengths of the queues included; of all processes where a folder joins them."""
        return exposition((self.registry, REGISTRY), QueueLengths(settings))


@dataclass(frozen=True, slots=True)
class Measured:
    """Pure ASGI middleware: measures every request. `route` names applications that have no routes of their own."""

    app: ASGIApp
    metrics: Metrics
    route: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request through and count it, whatever becomes of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, start = _NO_ANSWER, time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.metrics.in_flight.inc()
        try:
            await self.app(scope, receive, watch)
        finally:
            self.metrics.in_flight.dec()
            self.metrics.observe(scope, status, time.perf_counter() - start, self.route)


def _template(scope: Scope) -> str:
    route: Any = scope.get("route")
    return str(getattr(route, "path", "unmatched"))
