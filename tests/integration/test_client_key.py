"""The client's key: sent to its service with every call, and to nobody a link leads to."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from service.client import Client

_FILE = b"the map"


@contextmanager
def listening(heard: list[tuple[str, str | None]]) -> Iterator[str]:
    """Answer every GET and note its path and Authorization."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append((self.path, self.headers.get("Authorization")))
            data = _FILE if self.path.startswith("/file") else json.dumps({"jobs": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_key_reaches_its_service_alone(tmp_path: Path) -> None:
    service: list[tuple[str, str | None]] = []
    elsewhere: list[tuple[str, str | None]] = []
    digest = hashlib.sha256(_FILE).hexdigest()
    with listening(service) as url, listening(elsewhere) as other, Client(url, "cz_a_b") as client:
        assert client.jobs(limit=1) == []
        link = {"href": f"{other}/file?signature=x", "file:size": len(_FILE), "file:checksum": f"1220{digest}"}
        assert client.download(link, tmp_path / "map.tif").read_bytes() == _FILE
    assert service == [("/jobs?limit=1", "Bearer cz_a_b")]
    assert elsewhere == [("/file?signature=x", None)]
    assert "cz_a_b" not in repr(client)
