"""Whether what a worker needs can be reached, asked from its main process, which forks.

The clients of storage and model server have threads and must not be used before a fork; a connection that opens says
enough here.
"""

from __future__ import annotations

import os
import socket
from contextlib import closing
from urllib.parse import urlsplit

import redis

from jobs.lengths import client_of
from jobs.probes import OK
from jobs.settings import Settings

_SECONDS = 1.0


def reachable(settings: Settings) -> dict[str, str]:
    """Return "ok" or why not for storage, queue and inference; takes a few seconds at most."""
    return {"storage": _storage(settings), "queue": _queue(settings), "inference": _inference(settings)}


def _storage(settings: Settings) -> str:
    if settings.stores_locally:
        folder = settings.storage_url.removeprefix("file://")
        return OK if os.access(folder, os.R_OK | os.W_OK | os.X_OK) else "the folder is not there or not to be written"
    endpoint = urlsplit(settings.s3_endpoint or f"https://s3.{settings.s3_region}.amazonaws.com")
    port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    return _connects("storage", endpoint.hostname or "", port)


def _queue(settings: Settings) -> str:
    for name, url in (("broker", settings.broker_url), ("live state", settings.live_url)):
        try:
            with client_of(url) as client:
                client.ping()
        except redis.RedisError:
            return f"the {name} does not answer"
    return OK


def _inference(settings: Settings) -> str:
    host, _, port = settings.triton_url.rpartition(":")
    return _connects("model server", host.strip("[]"), int(port))


def _connects(name: str, host: str, port: int) -> str:
    try:
        with closing(socket.create_connection((host, port), timeout=_SECONDS)):
            return OK
    except OSError:
        return f"the {name} cannot be reached"
