"""What BentoML and its server refuse by themselves leaves as problems as well."""

from __future__ import annotations

import socket

import httpx
import pytest

from tests.servers.api import Served, problem


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_broken_form_is_the_clients_mistake(served: Served, kind: str) -> None:
    answer = httpx.post(f"{served.url}/classify", content=b"{" * 100, headers={"content-type": kind})
    assert "multipart" in problem(answer, 400, "malformed-request")["detail"]


def test_the_server_itself_answers_with_problems(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert f"{served.url}/problems/malformed-request".encode() in answer
