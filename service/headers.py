"""Headers of every answer: what browsers may do with it, and which pages from elsewhere may read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.basemap import tiles_origin
from jobs.settings import Settings
from jobs.storage import links_origin

_PREFLIGHT_SECONDS: Final = 600
_METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE")
_SENT: Final = (
    "Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer",
    "Range", "Repr-Digest", "Tus-Resumable", "Upload-Checksum", "Upload-Length", "Upload-Metadata", "Upload-Offset",
)  # fmt: skip
_READ: Final = (
    "Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Idempotency-Replayed", "Link", "Location",
    "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", "Tus-Checksum-Algorithm", "Tus-Extension",
    "Tus-Max-Size", "Tus-Resumable", "Tus-Version", "Upload-Expires", "Upload-Length", "Upload-Offset",
    "WWW-Authenticate",
)  # fmt: skip
DEFAULTS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
RawHeader = tuple[bytes, bytes]
_A_YEAR: Final = "max-age=31536000"
_HIDDEN: Final = b"server"


def map_page_policy(settings: Settings) -> str:
    """Return the Content-Security-Policy of the page that maps are drawn on.

    It runs files of ours alone, and asks beside the service only the base map's host and, where links lead there, the
    object storage's.
    """
    basemap = [tiles_origin(settings.basemap_url)] if settings.basemap_url else []
    storage = [origin for origin in [links_origin(settings)] if origin]
    sources = {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "worker-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:", *basemap],
        "connect-src": ["'self'", *basemap, *storage],
        "manifest-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(" ".join([name, *allowed]) for name, allowed in sources.items())


@dataclass(frozen=True)
class SecurityHeaders:
    """Pure ASGI middleware: adds the headers above where the resource says nothing else, and names no server."""

    app: ASGIApp
    public_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request through; complete the head of its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._completed(message.get("headers", ()))
            await send(message)

        await self.app(scope, receive, watch)

    def _completed(self, headers: Iterable[RawHeader]) -> list[RawHeader]:
        kept = [header for header in headers if header[0].lower() != _HIDDEN]
        told = {name.lower() for name, _ in kept}
        return kept + [header for header in self._added if header[0] not in told]

    @cached_property
    def _added(self) -> list[RawHeader]:
        transport = {"Strict-Transport-Security": _A_YEAR} if urlsplit(self.public_url).scheme == "https" else {}
        return [(name.lower().encode(), value.encode()) for name, value in (DEFAULTS | transport).items()]


def cross_origin(settings: Settings) -> list[Middleware]:
    """Return the middleware that lets pages of `cors_origins` read answers; none where none are named.

    Keys travel in headers that a page sets itself, so cookies and other credentials of the browser are never allowed.
    """
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=_METHODS,
            allow_headers=_SENT,
            expose_headers=_READ,
            max_age=_PREFLIGHT_SECONDS,
        )
    ]
