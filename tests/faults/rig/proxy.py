"""Stands between the installation and its S3 server: holds a request at a gate, answers badly, answers late."""

from __future__ import annotations

import asyncio
import queue
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

import httpx
import uvicorn

from service.stack.process import free_port

# What belongs to one connection, and not to the request that passes through two.
_OWN: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding"})


class Arrival(NamedTuple):
    """A request that is held: its path, and the TCP port of the client that waits for the answer."""

    path: str
    port: int


class Dropped(Exception):
    """A held request goes no further; its client sees the connection close."""


class Gate:
    """Holds requests until told what becomes of them. `after`: the server has done it, only its answer is held."""

    def __init__(self, method: str, pattern: str, *, after: bool = False) -> None:
        self.after = after
        self._method, self._pattern = method, re.compile(pattern)
        self._arrivals: queue.Queue[Arrival] = queue.Queue()
        self._decided = threading.Event()
        self._passes = False

    def fits(self, method: str, path: str) -> bool:
        """Whether this gate holds a request."""
        return not self._decided.is_set() and method == self._method and bool(self._pattern.search(path))

    async def hold(self, arrival: Arrival) -> None:
        """Hold a request; raises Dropped where it is to go no further."""
        self._arrivals.put(arrival)
        while not self._decided.is_set():  # noqa: ASYNC110 - decided in another thread
            await asyncio.sleep(0.02)
        if not self._passes:
            raise Dropped

    def wait(self, seconds: float = 60.0) -> Arrival:
        """Wait for the next request that is held; raises queue.Empty."""
        return self._arrivals.get(timeout=seconds)

    def poll(self, seconds: float) -> Arrival | None:
        """Return the next request that is held, or None if none comes within some seconds."""
        try:
            return self.wait(seconds)
        except queue.Empty:
            return None

    def let_pass(self) -> None:
        """Let what is held go on, and hold nothing more."""
        self._passes = True
        self._decided.set()

    def drop(self) -> None:
        """Forget what is held, as its clients are dead, and hold nothing more."""
        self._decided.set()


@dataclass(slots=True)
class Weather:
    """How an ailing server answers: shares of requests that get `status`, and that wait up to `seconds`."""

    failing: float = 0.0
    status: int = 503
    slow: float = 0.0
    seconds: float = 2.0
    only: str = r""
    seed: int = 20_240_607
    failed: int = 0
    delayed: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def before(self, method: str, path: str) -> bool:
        """Wait as long as this request has to; returns whether it fails."""
        if not re.search(self.only, f"{method} {path}"):
            return False
        fails, waits, share = (self._random.random() for _ in range(3))
        if waits < self.slow:
            self.delayed += 1
            await asyncio.sleep(share * self.seconds)
        self.failed += fails < self.failing
        return fails < self.failing


class Proxy:
    """`with Proxy(lambda: s3.endpoint) as proxy: proxy.url`. Nothing is changed in what passes, signatures hold."""

    def __init__(self, upstream: Callable[[], str]) -> None:
        self._upstream = upstream
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.weather = Weather()
        self._gates: list[Gate] = []
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._client: httpx.AsyncClient | None = None

    def gate(self, method: str, pattern: str, *, after: bool = False) -> Gate:
        """Put up a gate for requests whose path fits a pattern."""
        gate = Gate(method, pattern, after=after)
        self._gates.append(gate)
        return gate

    def let_go(self) -> None:
        """Let everything pass that is held, and hold nothing more."""
        for gate in self._gates:
            gate.let_pass()
        self._gates.clear()

    def drop(self, *, but: Gate | None = None) -> None:
        """Forget everything that is held, and hold nothing more; `but` is a gate that stays."""
        for gate in self._gates:
            if gate is not but:
                gate.drop()
        self._gates = [but] if but else []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        self.stop()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._client = httpx.AsyncClient(
            timeout=120.0, trust_env=False, limits=httpx.Limits(max_connections=200, keepalive_expiry=2.0)
        )
        config = uvicorn.Config(
            self._serve, host="127.0.0.1", port=self._port, log_level="critical", lifespan="off", access_log=False,
            timeout_graceful_shutdown=1, interface="asgi3",
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="proxy", daemon=True)
        self._thread.start()
        limit = time.monotonic() + 10.0
        while not self._server.started:
            if time.monotonic() > limit:
                raise TimeoutError(self.url)
            time.sleep(0.01)

    def stop(self) -> None:
        """Refuse connections, as a host that is down does."""
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(10.0)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        method, path = scope["method"], scope["raw_path"].decode()
        arrival = Arrival(path, scope["client"][1])
        gate = next((gate for gate in self._gates if gate.fits(method, path)), None)
        if await self.weather.before(method, path):
            await _drain(receive)
            await _answer(send, self.weather.status)
            return
        if gate and not gate.after:
            await gate.hold(arrival)
        await self._forward(scope, receive, send, gate and gate.after and gate, arrival)

    async def _forward(self, scope: Any, receive: Any, send: Any, gate: Any, arrival: Arrival) -> None:
        assert self._client is not None
        query = scope["query_string"]
        path = scope["raw_path"] + (b"?" + query if query else b"")
        headers = [(name, value) for name, value in scope["headers"] if name not in _OWN]
        sized = any(name == b"content-length" and value != b"0" for name, value in headers)
        url = httpx.URL(self._upstream()).copy_with(raw_path=path)
        body = _body(receive) if sized else None
        request = self._client.build_request(scope["method"], url, headers=headers, content=body)
        answer = await self._client.send(request, stream=True)
        try:
            if gate:
                await gate.hold(arrival)
            kept = [(name, value) for name, value in answer.headers.raw if name.lower() not in _OWN]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
            async for chunk in answer.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.aclose()


async def _body(receive: Any) -> Any:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Dropped
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _drain(receive: Any) -> None:
    async for _ in _body(receive):
        pass


async def _answer(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
