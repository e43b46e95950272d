"""Connections to one Triton server, lent to one request at a time and kept warm between threads that come and go."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Final, Literal

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from jobs.inference_memory import LOST, Array, Float32Array, SharedRequests, sweep
from jobs.tracing import trace_headers

LOG: Final = logging.getLogger(__name__)
SharedMemory = Literal["auto", "on", "off"]
# What goes away: the server restarts or is not up yet, a model is being loaded again, a call took too long.
_PASSING: Final = (
    "UNAVAILABLE",
    "not healthy",
    "not ready",
    "no available versions",
    "DEADLINE_EXCEEDED",
    "Connection",
    LOST,
)


def passes(error: InferenceServerException) -> bool:
    """Say whether the same request may succeed a moment later."""
    return any(word in str(error) for word in _PASSING)


class Sharing:
    """Whether tiles go through shared memory; once it has failed it is off for good."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self._lock = threading.Lock()

    def give_up(self, why: Exception) -> None:
        """Go over the wire from now on, and say so once."""
        with self._lock:
            told, self.on = self.on, False
        if told:
            LOG.warning("no memory shared with the model server (%s): tiles go over gRPC, which takes longer", why)


class Connection:
    """One channel, and the memory its requests go through where client and server share a host."""

    def __init__(self, url: str, sharing: Sharing) -> None:
        self.client = triton.InferenceServerClient(url)
        self._sharing = sharing
        self._shared = SharedRequests(self.client)

    def infer(
        self, model: str, inputs: dict[str, Float32Array], outputs: dict[str, tuple[int, ...]], timeout: float
    ) -> dict[str, Array]:
        """Return a model's uint8 answers of known shapes; raises InferenceServerException, ValueError for others."""
        if self._sharing.on:
            try:
                return self._shared.infer(model, inputs, outputs, timeout)
            except OSError as error:
                self._sharing.give_up(error)
            except InferenceServerException as error:
                if passes(error) or "shared memory" not in str(error):
                    raise
                self._sharing.give_up(error)
        return self._over_the_wire(model, inputs, outputs, timeout)

    def _over_the_wire(
        self, model: str, inputs: dict[str, Float32Array], outputs: dict[str, tuple[int, ...]], timeout: float
    ) -> dict[str, Array]:
        told = []
        for key, values in inputs.items():
            told.append(triton.InferInput(key, values.shape, "FP32"))
            told[-1].set_data_from_numpy(np.ascontiguousarray(values, np.float32))
        wanted = [triton.InferRequestedOutput(name) for name in outputs]
        answer = self.client.infer(model, told, outputs=wanted, client_timeout=timeout, headers=trace_headers() or None)
        return {name: np.asarray(answer.as_numpy(name), np.uint8).reshape(shape) for name, shape in outputs.items()}

    def close(self) -> None:
        """Give back memory and channel."""
        self._shared.close()
        self.client.close()


class Connections:
    """As many connections as requests run at once; closed with this object, and when the process ends."""

    def __init__(self, url: str, shared_memory: SharedMemory) -> None:
        self._url = url
        self.sharing = Sharing(on=shared_memory == "on" or (shared_memory == "auto" and is_local(url)))
        self._lock = threading.Lock()
        self._swept = False
        # Connections know nothing of this object, so that it can be collected; then they are closed.
        self._free: list[Connection] = []
        self._finalizer = weakref.finalize(self, _close_all, self._free)

    @contextmanager
    def borrow(self) -> Iterator[Connection]:
        """Lend a connection, the one used last if one is free."""
        with self._lock:
            connection = self._free.pop() if self._free else None
            sweeping, self._swept = self.sharing.on and not self._swept, True
        connection = connection or Connection(self._url, self.sharing)
        if sweeping:
            sweep(connection.client)
        try:
            yield connection
        finally:
            with self._lock:
                self._free.append(connection)

    def close(self) -> None:
        """Close every connection that is not lent; harmless when called twice."""
        _close_all(self._free)


def is_local(url: str) -> bool:
    """Say whether `host:port` or `unix:path` is on this very host by its name."""
    if url.startswith("unix:"):
        return True
    host = url.rsplit(":", 1)[0].strip("[]")
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _close_all(free: list[Connection]) -> None:
    while free:
        free.pop().close()
