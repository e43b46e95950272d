"""A server that has its clients connect anew, as those behind one address do, loses no request."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from jobs.inference_connections import Connection, Sharing
from jobs.probing import _ask
from models.serving import build_repository
from service.stack.process import free_port
from service.stack.triton import EmbeddedTriton, Listening
from service.stack.triton_server import PORTS
from tests.servers.tiny_model import tiny_card, write_tiny_model

pytestmark = pytest.mark.scale  # seconds of waiting for servers that come and go

_SECONDS = 8.0


def _sockets(port: int) -> set[int]:
    """Return this process's ends of its connections to a port."""
    connections = psutil.Process().net_connections("tcp")
    return {c.laddr.port for c in connections if c.raddr and c.raddr.port == port and c.status == "ESTABLISHED"}


@pytest.mark.parametrize("renew", [None, 1])
def test_clients_connect_anew_and_lose_nothing(renew: int | None, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "cache" / "tiny.onnx")
    repository = tmp_path / "repository"
    build_repository(repository, [tiny_card("tiny")], cache=tmp_path / "cache")
    listening = Listening("127.0.0.1", free_port(), free_port(), free_port(), renew_seconds=renew)
    with EmbeddedTriton(repository, logs=tmp_path, listening=listening) as triton:
        connection = Connection(triton.grpc_url, Sharing(on=False))
        used, end = set[int](), time.monotonic() + _SECONDS
        while time.monotonic() < end:
            assert _ask(connection.client, "tiny", timeout=10).answered
            used |= _sockets(listening.grpc)
        connection.close()
    assert len(used) > 2 if renew else len(used) == 1


def test_the_image_has_clients_connect_anew() -> None:
    assert PORTS.renew_seconds
