"""Limits on bodies: counts what arrives, announced or chunked, and refuses more than a resource accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.settings import Settings
from models.errors import CityzonesError
from service.handlers import respond

FORM_OVERHEAD: Final = 65536  # boundaries and part headers around an uploaded file
TUS_PATH: Final = "/uploads/resumable"  # where pieces of files come
CLASSIFY_BYTES: Final = 32 * 1024**2  # 512 x 512 pixels of 16 float64 bands


class BodyTooLarge(CityzonesError):
    """More bytes came than the resource accepts; raised out of receive() while an application reads."""

    code = "body-too-large"


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """Pure ASGI middleware. A body over the limit of its path is answered 413 and not read further."""

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
            await self._refuse(limit, scope, receive, send)
            return
        await self._count(limit, scope, receive, send)

    async def _count(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        seen, over, started = 0, False, False

        async def counted() -> Message:
            nonlocal seen, over
            message = await receive()
            seen += len(message.get("body", b"")) if message["type"] == "http.request" else 0
            if seen > limit:
                over = True
                raise BodyTooLarge(_said(limit))
            return message

        async def watch(message: Message) -> None:
            nonlocal started
            if not over:  # what the application says about the interrupted body is not the reason
                started = True
                await send(message)

        try:
            await self.app(scope, counted, watch)
        except BodyTooLarge:
            over = True
        if over and not started:
            await self._refuse(limit, scope, receive, send)

    async def _refuse(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        url, path = self.settings.public_url, scope["path"]
        answer = respond(
            BodyTooLarge.code, _said(limit), public_url=url, instance=path, headers={"Connection": "close"}
        )
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
