"""Starts a real S3 server for tests: OpenStack Swift with s3api, one process, ready in about a second.

It enforces signatures, expiry, method and MD5, and does multipart and ranges. It lacks CORS, lifecycle rules and
If-Match; its create-only put is not atomic when two writers race. HEAD on a link signed for GET is
refused (403), as by AWS; a request without any signature gets 400 where AWS says 403.
"""

from __future__ import annotations

import secrets
import sys
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import obstore
from obstore.store import S3Store

from service.stack.process import GuardedProcess

APP = Path(__file__).with_name("swift_app.py")
# Without -P this folder comes first on the path, and this file is taken for the package swift.
PYTHON = ("-P", "-W", "ignore")
START_TIMEOUT = 30.0


class SwiftServer:
    """`with SwiftServer(tmp_path) as s3: s3.create_bucket("maps"); store = s3.store("maps")`."""

    region = "us-east-1"

    def __init__(self, folder: Path) -> None:
        """Prepare a server that keeps everything in a folder of its own."""
        self.folder = folder
        self.access_key = "cityzones:tests"
        self.secret_key = secrets.token_urlsafe(24)
        self._process: GuardedProcess | None = None

    @property
    def endpoint(self) -> str:
        """`http://host:port`; buckets are its first path segment."""
        return f"http://127.0.0.1:{(self.folder / 'port').read_text()}"

    @property
    def settings(self) -> dict[str, str]:
        """The environment that points the service and the workers here, but for CITYZONES_STORAGE_URL."""
        return {
            "CITYZONES_S3_ENDPOINT": self.endpoint,
            "CITYZONES_S3_REGION": self.region,
            "CITYZONES_S3_ACCESS_KEY_ID": self.access_key,
            "CITYZONES_S3_SECRET_ACCESS_KEY": self.secret_key,
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

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

    def store(self, bucket: str, *, prefix: str | None = None) -> S3Store:
        """Return a client of a bucket; the store does not check that the bucket exists."""
        return S3Store(
            bucket,
            prefix=prefix,
            endpoint=self.endpoint,
            region=self.region,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            client_options={"allow_http": True, "timeout": timedelta(seconds=20)},
        )

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket; harmless if it exists."""
        link = obstore.sign(self.store(bucket), "PUT", "", timedelta(minutes=1))
        answer = httpx.put(link, timeout=20.0, trust_env=False)
        if answer.status_code not in {200, 409}:
            msg = f"the bucket {bucket} could not be created: {answer.status_code} {answer.text}"
            raise RuntimeError(msg)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.endpoint}/healthcheck", timeout=2.0, trust_env=False).is_success
        except (OSError, httpx.TransportError):
            return False
