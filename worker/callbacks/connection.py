"""Connections that reach checked addresses only, and end by a deadline however slowly the other side talks."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import certifi
import httpcore

from jobs.callbacks.rules import LookUp, Rules

CONNECT_SECONDS: Final = 5.0
_TRIED_ADDRESSES: Final = 3


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time that reads, writes and connections share."""

    seconds: float
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds left, never less than 0."""
        return max(0.0, self.started + self.seconds - time.monotonic())

    def within(self, most: float | None) -> float:
        """Return a timeout of at most that many seconds; raises httpcore.ReadTimeout where none is left."""
        left = self.left
        if left <= 0:
            msg = "the deadline has passed"
            raise httpcore.ReadTimeout(msg)
        return left if most is None else min(left, most)


class CheckedBackend(httpcore.NetworkBackend):
    """Opens connections for httpcore: the name is looked up once, and the address that was checked is the one used.

    No second look-up happens, so a name server that answers differently each time (DNS rebinding) gains nothing.
    """

    def __init__(self, rules: Rules, deadline: Deadline, look_up: LookUp) -> None:
        self._rules = rules
        self._deadline = deadline
        self._look_up = look_up
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of the host that answers; raises CallbackRefused where one may not be reached.

        Raises httpcore.ConnectError or ConnectTimeout where none answers.
        """
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._rules.addresses(host, self._look_up)[:_TRIED_ADDRESSES]:
            try:
                seconds = self._deadline.within(timeout)
                stream = self._plain.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Bounded(stream, self._deadline)
        raise failure


class _Bounded(httpcore.NetworkStream):
    """A stream whose every read and write must end by the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.within(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.within(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._stream.start_tls(ssl_context, server_hostname, self._deadline.within(timeout))
        return _Bounded(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@cache
def trust(further: Path | None) -> ssl.SSLContext:
    """Return a TLS context that verifies receivers: the public authorities, and those of a PEM file where given."""
    context = ssl.create_default_context(cafile=certifi.where())
    if further:
        context.load_verify_locations(further)
    return context
