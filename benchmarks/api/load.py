"""Many clients at once over kept-alive connections: as little as a client can do, so that servers are measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Load:
    """What came of a run: seconds it took, seconds each request took, statuses, and the bodies where they are kept."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds that this share of the requests did not exceed."""
        ranked = sorted(self.latencies)
        return 1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def request(method: str, url: str, *, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return a request as it goes over the wire."""
    parts = urlsplit(url)
    told = {"Host": parts.netloc, "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{method} {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + body


def run(url: str, requests: Iterator[bytes], *, clients: int, seconds: float, keep: bool = False) -> Load:
    """Send requests from so many clients until the time, or the requests, are at an end."""
    return asyncio.run(_run(url, requests, clients, seconds, keep=keep))


async def _run(url: str, requests: Iterator[bytes], clients: int, seconds: float, *, keep: bool) -> Load:
    load, end = Load(), time.monotonic() + seconds
    start = time.monotonic()
    wanted: Callable[[], bytes | None] = lambda: next(requests, None) if time.monotonic() < end else None  # noqa: E731
    await asyncio.gather(*(_client(url, wanted, load, keep=keep) for _ in range(clients)))
    load.seconds = time.monotonic() - start
    return load


async def _client(url: str, wanted: Callable[[], bytes | None], load: Load, *, keep: bool) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    while (data := wanted()) is not None:
        begun = time.perf_counter()
        writer.write(data)
        status, body = await asyncio.wait_for(_answer(reader), 60)
        load.latencies.append(time.perf_counter() - begun)
        load.statuses[status] = load.statuses.get(status, 0) + 1
        if keep:
            load.bodies.append(body)
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    lowered = head.lower()
    place = lowered.index(b"content-length:") + 15
    length = int(lowered[place : lowered.index(b"\r\n", place)])
    return status, await reader.readexactly(length)
