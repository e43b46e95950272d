"""Tells orchestrators over HTTP whether a model server lives: /ready and /live, by real inferences."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from jobs.probing import ModelAnswer

Probe = Callable[[], list[ModelAnswer]]
PATIENCE: Final = 60.0
"""Seconds without a good probe after which a server that once was ready is called dead."""
_OK: Final = 200
_UNAVAILABLE: Final = 503
_READ_SECONDS: Final = 5.0


@dataclass
class Vitality:
    """What the last probes found. It is `ready` while the last one was good and is no older than `stale` seconds.

    It is `live` unless a server that has been ready gives no good answer for `patience` seconds: before it was
    ready once it is left in peace, since building engines for a new GPU takes minutes.
    """

    probe: Probe
    stale: float
    patience: float = PATIENCE
    clock: Callable[[], float] = time.monotonic
    _answers: list[ModelAnswer] = field(default_factory=list)
    _probed: float | None = None
    _good: float | None = None

    def look(self) -> None:
        """Probe once."""
        answers = self.probe()
        moment = self.clock()
        if alive(answers):
            self._good = moment
        self._answers, self._probed = answers, moment

    @property
    def ready(self) -> bool:
        """Whether the last probe was good, and recent."""
        return self._probed is not None and self._probed == self._good and self.clock() - self._probed <= self.stale

    @property
    def live(self) -> bool:
        """Whether it was never ready yet, or gave a good answer not long ago."""
        return self._good is None or self.clock() - self._good <= self.patience

    def told(self) -> dict[str, Any]:
        """Return the last probe for people."""
        age = None if self._probed is None else round(self.clock() - self._probed, 1)
        return {"ready": self.ready, "live": self.live, "seconds_ago": age, "models": described(self._answers)}


def alive(answers: list[ModelAnswer]) -> bool:
    """Say whether a server is fit for work: some model answered, and none that it has failed."""
    served = [answer for answer in answers if not answer.absent]
    return bool(served) and all(answer.answered for answer in served)


def described(answers: list[ModelAnswer]) -> list[dict[str, Any]]:
    """Return answers as JSON has them; models that the server does not have are left out."""
    return [
        {"model": told.model, "ok": told.answered, "seconds": round(told.seconds, 3), "detail": told.failure}
        for told in answers
        if not told.absent
    ]


class VitalityServer:
    """`with VitalityServer(vitality, port=8090, every=10) as server: server.port`. Probes in a thread of its own.

    Requests are answered from what the last probe found, so that none of them waits for a model, nor causes a probe.
    """

    def __init__(self, vitality: Vitality, *, port: int, every: float) -> None:
        self.vitality = vitality
        self._every = every
        self._ended = threading.Event()
        self._http = ThreadingHTTPServer(("", port), _handler(vitality))
        self._threads = [
            threading.Thread(target=self._look, name="vitality-probe", daemon=True),
            threading.Thread(target=self._http.serve_forever, name="vitality-http", daemon=True),
        ]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._http.server_port

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._http.shutdown()
        self._http.server_close()

    def wait(self) -> None:
        """Wait for ever; the probing thread ends with the process."""
        self._ended.wait()

    def _look(self) -> None:
        while not self._ended.is_set():
            self.vitality.look()
            self._ended.wait(self._every)


def _handler(vitality: Vitality) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _READ_SECONDS

        def do_GET(self) -> None:
            states = {"/ready": vitality.ready, "/live": vitality.live}
            if self.path not in states:
                self.send_error(404)
                return
            body = json.dumps(vitality.told()).encode()
            self.send_response(_OK if states[self.path] else _UNAVAILABLE)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """Log nothing: an orchestrator asks every few seconds."""

    return Handler
