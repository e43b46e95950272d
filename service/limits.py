"""Limits on requests: how large their heads and bodies may be, and how slowly a body may arrive."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.settings import Settings
from models.errors import CityzonesError
from service.handlers import respond

FORM_OVERHEAD: Final = 65536  # boundaries and part headers around an uploaded file
TUS_PATH: Final = "/uploads/resumable"  # where pieces of files come
CLASSIFY_BYTES: Final = 32 * 1024**2  # 512 x 512 pixels of 16 float64 bands
URL_BYTES: Final = 8192
HEADERS: Final = 100
HEADER_BYTES: Final = 32768
_PATIENCE: Final = 30.0  # seconds a body may come slowly before its rate is looked at
_CLOSE: Final = {"Connection": "close"}


class BodyTooLarge(CityzonesError):
    """More bytes came than the resource accepts; raised out of receive() while an application reads."""

    code = "body-too-large"


class BodyTooSlow(CityzonesError):
    """The body does not come, or only in drops; raised out of receive() while an application reads."""

    code = "request-timeout"


@dataclass(frozen=True, slots=True)
class HeadLimit:
    """Pure ASGI middleware: refuses addresses and headers larger than any client of the interface needs."""

    app: ASGIApp
    public_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 414 or 431."""
        answer: ASGIApp = self.app
        if scope["type"] == "http" and (refused := _oversized(scope)):
            code, detail = refused
            answer = respond(code, detail, public_url=self.public_url, instance=scope["path"][:200], headers=_CLOSE)
        await answer(scope, receive, send)


def _oversized(scope: Scope) -> tuple[str, str] | None:
    """Return the problem's code and sentence where a head is too large."""
    if len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"]) > URL_BYTES:
        return "uri-too-long", f"the address has more than {URL_BYTES} bytes"
    headers = scope["headers"]
    if len(headers) > HEADERS or sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES:
        return "headers-too-large", f"the request has more than {HEADERS} headers, or {HEADER_BYTES} bytes of them"
    return None


@dataclass(slots=True)
class _Arrival:
    """How much of a body has come, and how long the application has waited for it."""

    limit: int
    settings: Settings
    bytes: int = 0
    waited: float = 0.0
    complete: bool = False

    async def next(self, receive: Receive) -> Message:
        """Return the next message; raises BodyTooLarge or BodyTooSlow. What follows the body may take its time."""
        if self.complete:
            return await receive()
        idle, start = self.settings.body_idle_seconds, time.monotonic()
        try:
            with anyio.fail_after(idle):
                message = await receive()
        except TimeoutError as error:
            raise BodyTooSlow(f"no byte of the body came for {idle:g} s") from error
        self.waited += time.monotonic() - start
        self.bytes += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        self._check()
        return message

    def _check(self) -> None:
        if self.bytes > self.limit:
            raise BodyTooLarge(_said(self.limit))
        slowest = self.settings.body_bytes_per_second
        if not self.complete and self.waited > _PATIENCE and self.bytes < slowest * self.waited:
            raise BodyTooSlow(f"the body comes more slowly than {slowest} bytes a second")


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """Pure ASGI middleware. A body over the limit of its path, or too slow, is refused and not read further."""

    app: ASGIApp
    settings: Settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse by Content-Length where it is given, else while the bytes are counted."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = limit_of(scope["path"], self.settings)
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit:
            await self._refuse(BodyTooLarge(_said(limit)), scope, receive, send)
            return
        await self._watch(_Arrival(limit, self.settings), scope, receive, send)

    async def _watch(self, arrival: _Arrival, scope: Scope, receive: Receive, send: Send) -> None:
        refused: BodyTooLarge | BodyTooSlow | None = None
        started = False

        async def counted() -> Message:
            nonlocal refused
            try:
                return await arrival.next(receive)
            except (BodyTooLarge, BodyTooSlow) as error:
                refused = error
                raise

        async def watch(message: Message) -> None:
            nonlocal started
            if refused is None:  # what the application says about the interrupted body is not the reason
                started = True
                await send(message)

        try:
            await self.app(scope, counted, watch)
        except (BodyTooLarge, BodyTooSlow) as error:
            refused = error
        if refused is not None and not started:
            await self._refuse(refused, scope, receive, send)

    async def _refuse(self, error: CityzonesError, scope: Scope, receive: Receive, send: Send) -> None:
        url, path = self.settings.public_url, scope["path"]
        answer = respond(error.code, error.detail, public_url=url, instance=path, headers=_CLOSE)
        await answer(scope, receive, send)


def limit_of(path: str, settings: Settings) -> int:
    """Return how many bytes a body to this path may have."""
    if path.rstrip("/") == "/uploads" or path.startswith(TUS_PATH):
        return settings.max_upload_bytes + FORM_OVERHEAD
    if path == "/classify":
        return CLASSIFY_BYTES
    return settings.max_body_bytes


def _said(limit: int) -> str:
    return f"the body is larger than the {limit} bytes accepted here"
