"""The tus protocol 1.0.0 around its routes: its version, its headers on every answer, and methods by a header."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.public.problems import RequestError
from service.announced import TUS_VERSION
from service.handlers import respond
from service.limits import TUS_PATH

EXTENSIONS: Final = "creation,creation-with-upload,expiration,checksum,termination"
# The protocol demands SHA-1, which here finds accidents, not forgers.
CHECKSUMS: Final[dict[str, Callable[[], Any]]] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
}
_METADATA_LENGTH: Final = 4096
_OVERRIDDEN: Final = frozenset({"PATCH", "DELETE", "HEAD"})


@dataclass(frozen=True, slots=True)
class Tus:
    """Pure ASGI middleware for /uploads/resumable: other versions of tus are answered 412, every answer names ours.

    Clients behind proxies that let only POST through name the method in X-HTTP-Method-Override.
    """

    app: ASGIApp
    public_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass other paths through untouched."""
        if scope["type"] != "http" or not scope["path"].startswith(TUS_PATH):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        method = headers.get("x-http-method-override", "").upper()
        if scope["method"] == "POST" and method in _OVERRIDDEN:
            scope = {**scope, "method": method}

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = TUS_VERSION
            await send(message)

        if scope["method"] == "OPTIONS" or headers.get("tus-resumable") == TUS_VERSION:
            await self.app(scope, receive, named)
            return
        detail = f"this resource speaks tus {TUS_VERSION}; send the header Tus-Resumable: {TUS_VERSION}"
        answer = respond(
            "tus-version", detail, public_url=self.public_url, instance=scope["path"],
            headers={"Tus-Version": TUS_VERSION},
        )  # fmt: skip
        await answer(scope, receive, named)


def parse_metadata(field: str | None) -> dict[str, str]:
    """Return Upload-Metadata (`name base64,name base64`) as texts; raises RequestError for what it cannot be."""
    text = field or ""
    if len(text) > _METADATA_LENGTH:
        raise RequestError("malformed-request", f"Upload-Metadata has more than {_METADATA_LENGTH} characters")
    found = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = pair.partition(" ")
        try:
            found[name] = base64.b64decode(value, validate=True).decode()
        except ValueError as error:
            raise RequestError("malformed-request", "Upload-Metadata is `name base64` pairs, UTF-8") from error
    return found


def parse_checksum(field: str | None) -> tuple[Any, bytes] | None:
    """Return a new hash and the digest it should end in, of Upload-Checksum; None where there is none.

    Raises RequestError for another algorithm or what is no digest.
    """
    if field is None:
        return None
    name, _, value = field.partition(" ")
    try:
        wanted, made = base64.b64decode(value, validate=True), CHECKSUMS[name]()
    except (binascii.Error, ValueError, KeyError) as error:
        known = " or ".join(CHECKSUMS)
        raise RequestError("malformed-request", f"Upload-Checksum is {known}, a space and a base64 digest") from error
    return made, wanted
