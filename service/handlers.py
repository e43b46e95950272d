"""Turns whatever a request ends in into a problem: our errors, the framework's, bare statuses, and the unforeseen."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import TryLater
from jobs.public import problems
from models.errors import CityzonesError, Fault
from service.heads import answers

log = logging.getLogger("cityzones.service")

_FIRST_ERROR: Final = 400
_KEPT_BYTES: Final = 65536
_WRONG_METHOD: Final = 405
_ASKED: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class ProblemResponse(JSONResponse):
    """A JSON body of the problem media type."""

    media_type = problems.MEDIA_TYPE


def respond(
    code: str,
    detail: str,
    *,
    public_url: str,
    instance: str,
    faults: Sequence[Fault] = (),
    error: BaseException | None = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """Return a problem and log it: 4xx at info; 5xx as an error with a reference, its detail replaced by the advice."""
    status = status or problems.row(code).status
    reference = None
    if problems.is_server_fault(status):
        reference = secrets.token_hex(6)
        log.error("%s %s: %s (reference %s)", status, code, detail, reference, exc_info=error)
        detail, faults = problems.row(code).advice, ()
    else:
        log.info("%s %s at %s: %s", status, code, instance, detail)
    members = problems.body(
        code, detail, public_url=public_url, instance=instance, status=status, faults=faults, reference=reference
    )
    return ProblemResponse(members, status, headers=problems.headers_of(code, status) | dict(headers or {}))


def respond_to(error: CityzonesError, *, public_url: str, instance: str) -> ProblemResponse:
    """Return the problem one of our own errors stands for."""
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TryLater) else {}
    return respond(
        error.code, error.detail, public_url=public_url, instance=instance, faults=error.faults, error=error,
        headers=headers,
    )  # fmt: skip


def install(app: FastAPI, public_url: str) -> None:
    """Teach an application to answer the exceptions it foresees with problems."""

    async def ours(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, CityzonesError)  # noqa: S101 - registered for this class below
        return respond_to(error, public_url=public_url, instance=request.url.path)

    async def parameters(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class below
        faults = [Fault("/".join(str(part) for part in e["loc"][1:]), str(e["msg"])) for e in error.errors()]
        detail = "; ".join(f"{f.pointer}: {f.detail}" for f in faults)
        return respond("invalid-parameter", detail, public_url=public_url, instance=request.url.path, faults=faults)

    async def bare(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class below
        code, headers = problems.code_of_status(error.status_code), dict(error.headers or {})
        detail = f"{request.method} {request.url.path[:200]}: {error.detail}"
        if error.status_code == _WRONG_METHOD:
            headers["Allow"] = ", ".join(sorted(_methods(request)))
        return respond(
            code, detail, public_url=public_url, instance=request.url.path,
            status=error.status_code, headers=headers, error=error,
        )  # fmt: skip

    async def gone(request: Request, _: Exception) -> ProblemResponse:
        detail = "the client went away while it sent the body"
        return respond("malformed-request", detail, public_url=public_url, instance=request.url.path)

    app.add_exception_handler(CityzonesError, ours)
    app.add_exception_handler(RequestValidationError, parameters)
    app.add_exception_handler(HTTPException, bare)
    app.add_exception_handler(ClientDisconnect, gone)


def _methods(request: Request) -> set[str]:
    """Return every method the path answers to: those of the contract, or over all routes; one knows only its own."""
    found = request.app.state.contract.methods(request.url.path) or {
        method for method in _ASKED if answers(method, request.scope, request.app.routes)
    }
    return found | ({"HEAD"} if "GET" in found else set())


@dataclass(frozen=True, slots=True)
class Unforeseen:
    """Pure ASGI middleware: an exception nothing else answers leaves as a problem.

    The framework would answer it outside every middleware, where no header is added any more.
    """

    app: ASGIApp
    public_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass requests through; where the answer has begun, the exception goes on and the server ends it."""
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            answer = respond("internal", str(error), public_url=self.public_url, instance=scope["path"], error=error)
            await answer(scope, receive, send)


@dataclass(frozen=True, slots=True)
class ProblemsOnly:
    """Pure ASGI middleware: an error answered in any other form leaves as a problem, its other headers kept."""

    app: ASGIApp
    public_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass requests through; hold back foreign error answers until their body is known."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        held = _Held()

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and _foreign(message):
                held.start = message
            elif held.start is None:
                await send(message)
            else:
                held.body += message.get("body", b"")[: _KEPT_BYTES - len(held.body)]

        await self.app(scope, receive, watch)
        if held.start is not None:
            await self._replace(held, scope, receive, send)

    async def _replace(self, held: _Held, scope: Scope, receive: Receive, send: Send) -> None:
        assert held.start is not None  # noqa: S101 - the caller saw it
        status = int(held.start["status"])
        code = problems.code_of_status(status)
        detail, faults = _said(held.body, problems.row(code).advice)
        kept = MutableHeaders(raw=list(held.start["headers"]))
        for name in ("content-type", "content-length", "content-disposition", "etag", "last-modified"):
            del kept[name]
        answer = respond(
            code, detail, public_url=self.public_url, instance=scope["path"], status=status, faults=faults,
            headers=dict(kept),
        )  # fmt: skip
        await answer(scope, receive, send)


@dataclass(slots=True)
class _Held:
    start: Message | None = None
    body: bytearray = field(default_factory=bytearray)


def _foreign(start: Message) -> bool:
    kind = dict(start["headers"]).get(b"content-type", b"")
    return start["status"] >= _FIRST_ERROR and not kind.startswith(problems.MEDIA_TYPE.encode())


def _said(raw: bytes | bytearray, otherwise: str) -> tuple[str, list[Fault]]:
    """Return the sentence and faults of BentoML's error body, or the advice where it is none."""
    try:
        value: Any = json.loads(raw)
    except ValueError:
        return otherwise, []
    value = value[0] if isinstance(value, list) and value else value
    if not isinstance(value, dict) or not isinstance(value.get("error"), str):
        return otherwise, []
    details = value.get("detail")
    faults = [
        Fault("/" + "/".join(str(part) for part in item.get("loc", ())), str(item.get("msg", "")))
        for item in (details if isinstance(details, list) else [])
        if isinstance(item, dict)
    ]
    return str(value["error"]), faults
