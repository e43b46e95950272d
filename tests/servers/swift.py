"""Starts a real S3 server for tests: OpenStack Swift with s3api, one process, ready in about a second.

It enforces signatures, expiry, method and MD5, and does multipart and ranges. It lacks CORS, lifecycle rules and
If-Match; its create-only put is not atomic when two writers race. HEAD on a link signed for GET is
refused (403), as by AWS; a request without any signature gets 400 where AWS says 403.
"""

from __future__ import annotations

import sys
from pathlib import Path

import httpx

from service.stack.process import GuardedProcess
from tests.servers.s3 import S3Server

APP = Path(__file__).with_name("swift_app.py")
# Without -P this folder comes first on the path, and this file is taken for the package swift.
PYTHON = ("-P", "-W", "ignore")
START_TIMEOUT = 30.0


class SwiftServer(S3Server):
    """A server that keeps its objects in its folder, over restarts too."""

    access_key = "cityzones:tests"
    _process: GuardedProcess | None = None

    @property
    def endpoint(self) -> str:
        """`http://host:port`; buckets are its first path segment."""
        return f"http://127.0.0.1:{(self.folder / 'port').read_text()}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "port").unlink(missing_ok=True)
        self._process = GuardedProcess(
            "Swift",
            [sys.executable, *PYTHON, str(APP), str(self.folder), self.access_key, self.secret_key, self.region],
            log=self.folder / "swift.log",
            grace=2.0,
        )
        self._process.wait_until(self._answers, timeout=START_TIMEOUT)

    def stop(self) -> None:
        """End the server; what it holds stays in the folder."""
        if self._process:
            self._process.stop()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.endpoint}/healthcheck", timeout=2.0, trust_env=False).is_success
        except (OSError, httpx.TransportError):
            return False
