"""What the S3 servers of the tests have in common: their settings, clients of their buckets, start and end."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import obstore
from obstore.store import S3Store


class S3Server(ABC):
    """`with SwiftServer(tmp_path) as s3: s3.create_bucket("maps"); store = s3.store("maps")`."""

    region = "us-east-1"
    access_key = "cityzones"

    def __init__(self, folder: Path) -> None:
        """Prepare a server that keeps everything in a folder of its own."""
        self.folder = folder
        self.secret_key = secrets.token_urlsafe(24)

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """`http://host:port`; buckets are its first path segment."""

    @abstractmethod
    def start(self) -> None:
        """Start the server and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End the server."""

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
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def store(self, bucket: str, *, secret_key: str | None = None) -> S3Store:
        """Return a client of a bucket, with the server's own secret key unless told another."""
        return S3Store(
            bucket,
            endpoint=self.endpoint,
            region=self.region,
            access_key_id=self.access_key,
            secret_access_key=secret_key or self.secret_key,
            client_options={"allow_http": True, "timeout": timedelta(seconds=20)},
        )

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket; harmless if it exists."""
        link = obstore.sign(self.store(bucket), "PUT", "", timedelta(minutes=1))
        answer = httpx.put(link, timeout=20.0, trust_env=False)
        if answer.status_code not in {200, 409}:
            msg = f"the bucket {bucket} could not be created: {answer.status_code} {answer.text}"
            raise RuntimeError(msg)
