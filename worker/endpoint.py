"""What a worker answers over HTTP, from a thread of its main process: metrics, and whether it lives and is ready."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import psutil
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.registry import Collector

from jobs.metrics import FOLDER_VARIABLE, REGISTRY, exposition
from jobs.probes import OK
from jobs.settings import Settings
from worker.heart import Heart
from worker.reach import reachable

log = logging.getLogger("cityzones.worker")

# Longer than any step of the main loop takes; the probes of Kubernetes ask several times before they act.
_WEDGED_SECONDS: Final = 60.0
_OWNER: Final = re.compile(r"_(\d+)\.db$")
_JSON: Final = "application/json"


def serve(settings: Settings) -> None:
    """Answer on the settings' port until the process ends; raises OSError where the port is taken."""
    server = _Server(("", settings.worker_port), _Handler)
    server.settings = settings
    for path, owner in _counts():
        if owner != os.getpid():
            path.unlink(missing_ok=True)  # of a worker that had the port before
    threading.Thread(target=server.serve_forever, name="worker-endpoint", daemon=True).start()
    log.info("metrics and probes at port %d", settings.worker_port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    settings: Settings


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Server

    def do_GET(self) -> None:
        """Answer one of three paths."""
        answer = _ANSWERS.get(self.path.partition("?")[0])
        status, kind, body = answer(self.server.settings) if answer else (404, _JSON, _json({"status": "not found"}))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep scrapes and probes out of the log."""


def _metrics(_: Settings) -> tuple[int, str, bytes]:
    _bury_dead()
    return 200, CONTENT_TYPE_LATEST, exposition((REGISTRY,), WorkerProcesses())


def _livez(_: Settings) -> tuple[int, str, bytes]:
    """Say whether the process may live on: an outage elsewhere, the broker's included, restarts nothing here."""
    why = fault(Heart.beating)
    return (503, _JSON, _json({"status": why})) if why else (200, _JSON, _json({"status": OK}))


def fault(heart: Heart | None) -> str | None:
    """Say what is wrong with a worker itself, None where nothing is."""
    if heart is None:
        return None  # still starting
    if heart.connected and heart.silent_seconds > _WEDGED_SECONDS:
        return f"the main loop has not turned for {heart.silent_seconds:.0f} s"
    processes = heart.pool_processes
    if processes and not any(_lives(process) for process in processes):
        return "every process of the pool is dead"
    return None


def _readyz(settings: Settings) -> tuple[int, str, bytes]:
    heart, parts = Heart.beating, reachable(settings)
    parts["listening"] = OK if heart and heart.connected else "not connected to the broker"
    ready = all(said == OK for said in parts.values())
    return (200 if ready else 503), _JSON, _json({"status": "ready" if ready else "not ready", "parts": parts})


class WorkerProcesses(Collector):
    """How many processes a worker has, and what memory they hold together."""

    def collect(self) -> Iterable[Metric]:
        """Yield both gauges."""
        main = psutil.Process()
        members = [main, *main.children(recursive=True)]
        resident = [_resident(process) for process in members]
        yield GaugeMetricFamily(
            "cityzones_worker_processes", "Processes of the worker", value=sum(size > 0 for size in resident)
        )
        yield GaugeMetricFamily(
            "cityzones_worker_resident_bytes", "Memory of all of them, what they share counted for each",
            value=sum(resident),
        )  # fmt: skip


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _lives(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _bury_dead() -> None:
    """Drop the gauges of processes that are gone; what they counted stays."""
    for owner in {owner for _, owner in _counts() if not psutil.pid_exists(owner)}:
        mark_process_dead(owner)  # type: ignore[no-untyped-call]  # prometheus_client types it not


def _counts() -> list[tuple[Path, int]]:
    """Return the files that hold counts, and whose process each is."""
    folder = os.environ.get(FOLDER_VARIABLE)
    files = Path(folder).glob("*.db") if folder else ()
    return [(path, int(found[1])) for path in files if (found := _OWNER.search(path.name))]


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


_ANSWERS: Final[dict[str, Callable[[Settings], tuple[int, str, bytes]]]] = {
    "/metrics": _metrics, "/livez": _livez, "/readyz": _readyz,
}  # fmt: skip
