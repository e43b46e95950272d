"""The HTTP protocol of the server, with limits it lacks: a head must come whole in time and at a bounded size.

uvicorn's parser collects a head of any size, and waits for it without end; no middleware sees a request before that.
"""

from __future__ import annotations

import json
from asyncio import TimerHandle, Transport
from typing import Any, Final

from uvicorn import config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from jobs.public import problems
from service.headers import DEFAULTS

HEAD_BYTES: Final = 128 * 1024  # what the middleware refuses with a better answer is far less
HEAD_SECONDS: Final = 20.0


class GuardedHttp(HttpToolsProtocol):
    """uvicorn's protocol on httptools. What it refuses itself leaves as a problem too, and ends the connection."""

    public_url = ""
    _timer: TimerHandle | None = None
    _head_bytes = 0
    _head_done = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Start the clock of the first head."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse a head that goes on and on."""
        if not self._head_done:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_done or self.transport.is_closing():
            return
        if self._head_bytes > HEAD_BYTES:
            self._refuse("headers-too-large", f"the head of the request has more than {HEAD_BYTES} bytes")
        elif self._timer is None and not self._answering:
            self._start_clock()

    def on_headers_complete(self) -> None:
        """Stop the clock: from here on the limits on bodies hold."""
        self._head_done = True
        self._stop_clock()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Make ready for the next head on the same connection."""
        super().on_message_complete()
        self._head_done, self._head_bytes = False, 0

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed."""
        self._refuse("malformed-request", msg)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_clock(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self._answering:  # to an earlier request on this connection
            self._start_clock()
        elif not self._head_bytes:
            self.transport.close()  # it was opened for later, as browsers do
        elif not self.transport.is_closing():
            self._refuse("request-timeout", f"the head of the request did not come within {HEAD_SECONDS:g} s")

    def _refuse(self, code: str, detail: str) -> None:
        """Answer with a problem and close; behind an answer that is under way, only close."""
        if not self._answering:
            body = problems.body(code, detail, public_url=self.public_url, instance="/")
            self.transport.write(_answer(problems.row(code).status, body))
        self.transport.close()


def guard_uvicorn(public_url: str) -> None:
    """Make GuardedHttp the protocol of every server uvicorn starts in this process; BentoML lets none be named."""
    GuardedHttp.public_url = public_url
    config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{GuardedHttp.__name__}"


def _answer(status: int, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    told = DEFAULTS | {
        "Content-Type": problems.MEDIA_TYPE, "Content-Length": str(len(data)), "Connection": "close",
    }  # fmt: skip
    head = "".join(f"{name.lower()}: {value}\r\n" for name, value in told.items())
    return STATUS_LINE[status] + head.encode() + b"\r\n" + data
