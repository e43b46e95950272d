"""Spans and ids of requests: what ties a line of the log, a trace and an answer together."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import Span
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.keys import KEY_TEXT
from jobs.reporting import about
from jobs.settings import Settings

REQUEST_ID: Final = "X-Request-ID"
_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
# Asked every few seconds by machines: a trace of each would hide the others.
_UNTRACED: Final = "/livez,/readyz,/metrics,/health"


def traced(settings: Settings) -> list[Middleware]:
    """Return the middleware that makes a span of every request, below the client's where it tells one."""
    if not settings.tracing:
        return []
    return [
        Middleware(
            OpenTelemetryMiddleware,
            excluded_urls=_UNTRACED,
            exclude_spans=["receive", "send"],
            default_span_details=_method,  # and the route, once it is known: paths are without number
            server_request_hook=_without_query,
            meter_provider=NoOpMeterProvider(),  # metrics are our own
        )
    ]


def _method(scope: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return str(scope.get("method", "HTTP")), {}


def _without_query(span: Span, scope: dict[str, Any]) -> None:
    """Keep queries out of spans: those of signed links open what they name. A key in the path is one, too."""
    path = KEY_TEXT.sub(r"cz_\1_…", str(scope["path"]))
    told: dict[str, str] = getattr(span, "attributes", None) or {}
    for name in ("http.url", "http.target", "url.full", "url.path"):
        if name in told:
            span.set_attribute(name, path)
    if "url.query" in told:
        span.set_attribute("url.query", "")


def _name_span(scope: Scope) -> None:
    """Name the request's span by its route; it ends with the answer, so that afterwards would be too late."""
    route = getattr(scope.get("route"), "path", None)
    if route:
        span = trace.get_current_span()
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)


@dataclass(frozen=True, slots=True)
class Named:
    """Pure ASGI middleware: gives every request an id, the client's own where it sends a decent one."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; its id stands in every line of the log and in the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(REQUEST_ID, "")
        name = sent if _ID.fullmatch(sent) and not KEY_TEXT.search(sent) else secrets.token_hex(8)

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = name
                _name_span(scope)
            await send(message)

        with about(request=name):
            await self.app(scope, receive, watch)
