"""Errors that no generated request meets are problems too: heads too large, bodies of all sizes, what is no HTTP."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from jobs.public.bodies import ProblemBody
from tests.contract.served import Interface

EXECUTION = "/processes/local-climate-zones/execution"
JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}


@pytest.mark.parametrize(
    ("method", "path", "told", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "not-found"),
        ("GET", "/jobs/%00", {}, 404, "unknown-job"),
        ("PUT", "/jobs", {}, 405, "method-not-allowed"),
        ("GET", "/classify", {}, 405, "method-not-allowed"),
        ("POST", "/schema.json", {}, 405, "method-not-allowed"),
        ("POST", "/classify?x=1", {}, 400, "invalid-parameter"),
        ("POST", "/classify", {"content": b"{}", "headers": JSON}, 415, "unsupported-media-type"),
        ("POST", "/classify", {"content": bytes(34_000_000)}, 413, "body-too-large"),
        ("POST", EXECUTION, {"content": b"{}", "headers": TEXT}, 415, "unsupported-media-type"),
        ("POST", EXECUTION, {"content": b"[1", "headers": JSON}, 400, "malformed-json"),
        ("POST", EXECUTION, {"json": {}}, 422, "invalid-request"),
        ("POST", EXECUTION, {"content": b" " * 9_000_000, "headers": JSON}, 413, "body-too-large"),
        ("GET", "/jobs?" + "x" * 8200, {}, 414, "uri-too-long"),
        ("GET", "/jobs", {"headers": {"X-Long": "x" * 40_000}}, 431, "headers-too-large"),
        ("GET", "/jobs", {"headers": {"Authorization": "Bearer none"}}, 401, "unauthorized"),
        ("PATCH", "/uploads/resumable/x", {}, 412, "tus-version"),
    ],
)  # fmt: skip
def test_every_refusal_is_a_problem(
    interface: Interface, method: str, path: str, told: dict[str, object], status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {interface.key}"} | told.pop("headers", {})  # type: ignore[operator]
    answer = httpx.request(method, interface.url + path, headers=headers, timeout=30, **told)  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body = ProblemBody.model_validate_json(answer.content)
    assert (body.status, body.code) == (status, code)
    assert body.instance.startswith("/")
    assert status != 405 or answer.headers["allow"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", 400),
        (b"POST /jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 140_000, 431),
    ],
)
def test_what_is_no_http_is_answered_with_a_problem(interface: Interface, sent: bytes, status: int) -> None:
    address = urlsplit(interface.url)
    with socket.create_connection((address.hostname, address.port or 80), timeout=10) as connection:
        connection.sendall(sent)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"content-type: application/problem+json" in head
    assert ProblemBody.model_validate_json(body).status == status
