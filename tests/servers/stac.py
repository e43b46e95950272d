"""Serves a folder over HTTP with byte ranges: a static STAC catalogue and its GeoTIFFs, as an archive would."""

from __future__ import annotations

import re
import threading
import time
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


class StaticServer:
    """`with StaticServer(folder) as server: server.url + "/catalog.json"`; `server.asked` lists what was requested.

    GDAL reads through it with ranges and HEAD. `server.failing` holds paths that answer 503, to play a bad archive, and
    `server.slow` is how many seconds an image takes to answer, to play a sleepy one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.failing: set[str] = set()
        self.slow = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """`http://host:port`, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def parse_range(header: str, size: int) -> range | None:
    """Return the bytes a Range header asks for, empty if they lie outside; None for forms that are to be ignored."""
    found = RANGE.match(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    end = min(int(last) + 1, size) if last else size
    return range(int(first), end) if not last or int(last) >= int(first) else None


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".json": "application/json",
        ".geojson": "application/geo+json",
        ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    }

    def __init__(self, owner: StaticServer, *args: object) -> None:
        self.owner = owner
        super().__init__(*args, directory=str(owner.folder))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        self.owner.asked.append(self.path)
        if ".tif" in self.path:
            time.sleep(self.owner.slow)
        if self.path.partition("?")[0] in self.owner.failing:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with path.open("rb") as file:
            self._send(file, path, body=body)

    def _send(self, file: BinaryIO, path: Path, *, body: bool) -> None:
        size = path.stat().st_size
        told = self.headers.get("Range")
        part = parse_range(told, size) if told else None
        if part is not None and not part:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT)
        if part is not None:
            self.send_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}")
        part = range(size) if part is None else part
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if body:
            file.seek(part.start)
            self.wfile.write(file.read(len(part)))

    def log_message(self, *_: object) -> None:
        """Say nothing: `asked` has it."""
