"""Heads that are too large, too slow or no heads at all, sent over sockets to the server itself."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service import wire
from service.stack.process import free_port

HEAD = b"POST /x HTTP/1.1\r\nHost: here\r\n"


async def _length(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    protocols = dict(uvicorn.config.HTTP_PROTOCOLS)
    seconds, wire.HEAD_SECONDS = wire.HEAD_SECONDS, 0.5  # type: ignore[misc]
    wire.guard_uvicorn("http://here")
    chosen = free_port()
    app = Starlette(routes=[Route("/x", _length, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=chosen, log_config=None, timeout_keep_alive=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield chosen
    server.should_exit = True
    thread.join()
    uvicorn.config.HTTP_PROTOCOLS.update(protocols)
    wire.HEAD_SECONDS = seconds  # type: ignore[misc]


def ask(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send parts with pauses between them; return what comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    return answer


def problem(answer: bytes, status: int) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer[:300]
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    assert b"x-content-type-options: nosniff" in head
    told: dict[str, object] = json.loads(body)
    assert told["status"] == status
    assert str(told["type"]).startswith("http://here/problems/")
    return told


def test_requests_pass_however_they_are_cut(port: int) -> None:
    body = b"a" * 300_000  # comes in one piece with its head
    request = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    last = HEAD + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    assert b"300000 bytes" in ask(port, request)
    assert b"300000 bytes" in ask(port, request[:20], request[20:70_000], request[70_000:], pause=0.1)
    answer = ask(port, request + last)
    assert b"300000 bytes" in answer
    assert b"\r\n\r\n0 bytes" in answer
    assert b"0 bytes" in ask(port, *(last[i : i + 20] for i in range(0, len(last), 20)), pause=0.02)


def test_a_head_without_end_is_refused_before_it_is_kept(port: int) -> None:
    told = problem(ask(port, HEAD, b"X-Long: " + b"a" * 140_000), 431)
    assert told["code"] == "headers-too-large"
    problem(ask(port, b"GET /" + b"a" * 140_000), 431)


def test_a_head_in_drops_is_given_up_in_time(port: int) -> None:
    start = time.monotonic()
    assert problem(ask(port, HEAD), 408)["code"] == "request-timeout"
    assert time.monotonic() - start < 2
    with pytest.raises(OSError):
        ask(port, HEAD, *(b"X: y\r\n" for _ in range(40)), pause=0.05)


def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    start = time.monotonic()
    assert ask(port) == b""
    assert time.monotonic() - start < 2


def test_a_connection_kept_for_more_cannot_be_kept_for_ever(port: int) -> None:
    done = HEAD + b"Content-Length: 0\r\n\r\n"
    assert ask(port, done).endswith(b"0 bytes")
    assert b"408" in ask(port, done, b"POST", pause=0.1)
    assert ask(port, done, b"\r\n", pause=0.1)


def test_what_is_no_request_is_a_problem(port: int) -> None:
    assert problem(ask(port, b"NONSENSE\r\n\r\n"), 400)["code"] == "malformed-request"
