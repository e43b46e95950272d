from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from jobs.settings import Settings
from service.handlers import ProblemsOnly
from service.limits import FORM_OVERHEAD, BodyLimit, limit_of
from tests.servers.api import settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path, max_body_bytes=1000, max_upload_bytes=5000)


async def _length(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def _catches_all(request: Request) -> PlainTextResponse:
    try:
        await request.body()
    except Exception:  # noqa: BLE001 - as BentoML's wrapper does
        return PlainTextResponse("an application that hides why", 500)
    return PlainTextResponse("fine")


def _send(settings: Settings, path: str, body: bytes, *, chunked: bool) -> httpx.Response:
    app = Starlette(
        routes=[Route("/x", _length, methods=["POST"]), Route("/hides", _catches_all, methods=["POST"]),
                Route("/uploads", _length, methods=["POST"])],
    )  # fmt: skip

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(BodyLimit(app, settings), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.post(path, content=parts() if chunked else body)

    return asyncio.run(run())


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_at_the_limit_passes_and_one_byte_more_does_not(settings: Settings, *, chunked: bool) -> None:
    assert _send(settings, "/x", b"a" * 1000, chunked=chunked).text == "1000"
    refused = _send(settings, "/x", b"a" * 1001, chunked=chunked)
    assert refused.status_code == 413
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "body-too-large"
    assert "1000 bytes" in refused.json()["detail"]


def test_the_limit_holds_where_the_application_hides_the_reason(settings: Settings) -> None:
    assert _send(settings, "/hides", b"a" * 2000, chunked=True).status_code == 413


def test_uploads_have_a_limit_of_their_own(settings: Settings) -> None:
    assert limit_of("/uploads", settings) == 5000 + FORM_OVERHEAD
    assert limit_of("/jobs", settings) == 1000
    assert _send(settings, "/uploads", b"a" * 4000, chunked=True).text == "4000"


def test_foreign_errors_leave_as_problems() -> None:
    async def bento(_: Request) -> JSONResponse:
        detail = [{"loc": ["image"], "msg": "Field required"}]
        return JSONResponse({"error": "1 validation error", "detail": detail}, 400)

    async def plain(_: Request) -> PlainTextResponse:
        return PlainTextResponse("secret traceback", 500, headers={"X-Kept": "yes"})

    app = Starlette(routes=[Route("/bento", bento), Route("/plain", plain)])

    async def run(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(ProblemsOnly(app, "http://t"))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.get(path)

    told = asyncio.run(run("/bento"))
    assert told.json()["errors"] == [{"pointer": "/image", "detail": "Field required"}]
    hidden = asyncio.run(run("/plain"))
    assert hidden.status_code == 500
    assert "secret" not in hidden.text
    assert hidden.json()["reference"]
    assert hidden.headers["x-kept"] == "yes"
    missing = asyncio.run(run("/nowhere"))
    assert missing.json()["code"] == "not-found"


def _slowly(settings: Settings, pauses: list[float]) -> tuple[int, dict[str, object]]:
    """Send a body of one byte after every pause to an application that reads it, and return what it answers."""

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(str(len(await Request(scope, receive).body())))(scope, receive, send)

    async def run() -> httpx.Response:
        waits = iter(pauses)
        sent: list[Message] = []

        async def receive() -> Message:
            pause = next(waits, None)
            if pause is None:
                return {"type": "http.request", "body": b"", "more_body": False}
            await anyio.sleep(pause)
            return {"type": "http.request", "body": b"a", "more_body": True}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": [], "raw_path": b"/x"}
        await BodyLimit(reads, settings)(scope, receive, send)
        return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=sent[1]["body"])

    answer = asyncio.run(run())
    if answer.status_code >= 400:
        assert answer.headers["connection"] == "close"
        return answer.status_code, answer.json()
    return answer.status_code, {"text": answer.text}


def test_a_body_that_stops_coming_is_given_up(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, body_idle_seconds=0.2)
    assert _slowly(settings, [0.05, 0.05]) == (200, {"text": "2"})
    status, told = _slowly(settings, [0.05, 5.0])
    assert (status, told["code"]) == (408, "request-timeout")


def test_a_body_in_drops_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.limits._PATIENCE", 0.2)
    settings = settings_in(tmp_path, body_bytes_per_second=1000)
    assert _slowly(settings, [0.01] * 5)[0] == 200
    status, told = _slowly(settings, [0.03] * 100)
    assert (status, told["code"]) == (408, "request-timeout")
    assert _slowly(settings_in(tmp_path, body_bytes_per_second=0), [0.03] * 10)[0] == 200
