"""Serves a folder over HTTP on loopback, with byte ranges: the sample's catalogue for `cityzones demo` and tests."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from service.stack.process import StackFailed, free_port

START_TIMEOUT: Final = 10.0


class FileServer:
    """`with FileServer(folder) as server: server.url`. A thread of this process; it ends with the block."""

    def __init__(self, folder: Path) -> None:
        """Prepare a server of the folder on a free port."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        app = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            log_level="error",
            lifespan="off",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="file-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        limit = time.monotonic() + START_TIMEOUT
        while not self._server.started:
            if time.monotonic() > limit or not self._thread.is_alive():
                msg = f"the file server did not start on {self.url}"
                raise StackFailed(msg)
            time.sleep(0.01)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(START_TIMEOUT)
