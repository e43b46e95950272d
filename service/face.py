"""The REST interface beside BentoML: which requests go where, and which of BentoML's layers they pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from _bentoml_sdk import Service
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

# BentoML answers these two itself: its client reads the schema before it calls.
NATIVE: Final = "/classify"
_BENTOML: Final = frozenset({NATIVE, "/schema.json"})


@dataclass(frozen=True, slots=True)
class Face:
    """Pure ASGI middleware: BentoML keeps its native endpoint, every other request goes to the REST interface.

    Mounting alone would leave BentoML's probes, its web page and its own forms of 404 in front of the interface.
    """

    app: ASGIApp
    rest: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the side it belongs to."""
        native = scope["type"] != "http" or scope["path"] in _BENTOML
        await (self.app if native else self.rest)(scope, receive, send)


class Fronted(Service[Any]):  # type: ignore[misc]  # BentoML ships no types
    """A BentoML service whose access log sees the REST interface too, and whose clock and traces do not.

    That clock keeps a timer of every request until the time it allows is over, however soon the answer came: at the
    hour that an upload may take, 800 bytes for each request of the hour. The interface has clocks of its own, and its
    spans come from `service.tracing`.
    """

    __slots__ = ("rest",)

    rest: ASGIApp

    def to_asgi(self, is_main: bool = True) -> Starlette:  # noqa: FBT001, FBT002 - as BentoML calls it
        """Return BentoML's application with the interface set into its layers."""
        served: Starlette = super().to_asgi(is_main)
        layers = [layer for layer in served.user_middleware if not _is(layer, OpenTelemetryMiddleware)]
        clock = next(place for place, layer in enumerate(layers) if _is(layer, TimeoutMiddleware))
        served.user_middleware = [*layers[:clock], Middleware(Face, rest=self.rest), *layers[clock:]]
        return served


def _is(layer: Middleware, kind: type) -> bool:
    made: object = layer.cls
    return made is kind
