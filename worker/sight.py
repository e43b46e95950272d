"""Lets operators see a worker: its logs, its traces, its metrics and probes, all tied to Celery's signals."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from billiard.util import get_logger
from celery import Celery
from celery.signals import celeryd_init, setup_logging, task_success, worker_process_init, worker_process_shutdown
from celery.worker.control import inspect_command

from jobs.errors import QueueUnavailable
from jobs.live import LiveJobs, connect
from jobs.metrics import software_version
from jobs.queue import RECOVER
from jobs.reporting import start_logging
from jobs.settings import Settings
from jobs.tracing import start_tracing, stop_tracing
from worker.endpoint import serve
from worker.heart import Heart

log = logging.getLogger("cityzones.worker")


def watch(app: Celery, settings: Settings) -> None:
    """Tie everything to an application's signals; a worker that is never started does nothing of it."""
    start_logging(settings)
    app.steps["consumer"].add(Heart)

    def keep_logging(**_: Any) -> None:
        """Keep Celery, which leaves logs alone where somebody listens, from hiding what its pool says from them."""
        get_logger().propagate = True

    def start(instance: Any = None, **_: Any) -> None:
        if settings.log_format == "json" and instance is not None:
            instance.quiet = True  # its banner is no JSON
        if settings.worker_port:
            _serve(settings)

    def start_process(**_: Any) -> None:
        start_tracing("cityzones-worker", settings)

    def end_process(**_: Any) -> None:
        stop_tracing()

    def note_tick(sender: Any = None, **_: Any) -> None:
        if sender is not None and sender.name == RECOVER:
            with suppress(QueueUnavailable):
                LiveJobs(connect(settings.live_url)).tick()

    setup_logging.connect(keep_logging, weak=False)
    celeryd_init.connect(start, weak=False)
    worker_process_init.connect(start_process, weak=False)
    worker_process_shutdown.connect(end_process, weak=False)
    task_success.connect(note_tick, weak=False)


def _serve(settings: Settings) -> None:
    """Answer probes, or end the worker: one that nobody can ask would never be found wanting."""
    try:
        serve(settings)
    except OSError as error:
        log.critical("port %d (CITYZONES_WORKER_PORT) cannot be had: %s", settings.worker_port, error)
        raise SystemExit(1) from error


@inspect_command()  # type: ignore[untyped-decorator]  # Celery ships no types
def cityzones_version(_: Any) -> dict[str, str]:
    """Return the version of the software this worker runs."""
    return {"version": software_version()}
