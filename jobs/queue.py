"""The Celery application: queues, routing and the settings that let a task die and run again without harm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from celery import Celery
from kombu.exceptions import OperationalError

from jobs.errors import QueueUnavailable
from jobs.live import connect
from jobs.pool import Pool
from jobs.settings import Settings
from jobs.work import ASSEMBLE, BLOCK, PLAN, Work

RECOVER: Final = "cityzones.recover_jobs"
EXPIRE: Final = "cityzones.expire"
DELIVER: Final = "cityzones.deliver"
REPORT: Final = "cityzones.report_progress"

JOBS: Final = "jobs"
BLOCKS: Final = "blocks"
# What a job of one block waits in: workers of their own take it, so that a city in progress never delays it.
INTERACTIVE: Final = "interactive"
# Callbacks wait in one of their own: a receiver that hangs holds up its like, and no map, where workers are apart.
CALLBACKS: Final = "callbacks"
# What keeps the house in order, and must not wait behind a thousand jobs.
UPKEEP: Final = "upkeep"
# The queues whose messages are tickets for pieces of work in the pool.
POOLED: Final = (INTERACTIVE, JOBS, BLOCKS)
QUEUES: Final = (JOBS, BLOCKS, CALLBACKS, UPKEEP)
_EXPIRE_SECONDS: Final = 3600.0
_SENDING: Final = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0}


def make_app(settings: Settings) -> Celery:
    """Return the Celery application; service and worker make the same one from the same settings.

    Tasks are acknowledged late and taken one at a time, so that a killed worker's task runs again; the visibility
    timeout stands in broker, backend and app options and exceeds the longest task. Results are not kept: the truth
    of a job is in object storage.
    """
    app = Celery("cityzones", broker=settings.broker_url)
    transport = {
        "visibility_timeout": settings.visibility_timeout,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
    }
    app.conf.update(
        broker_transport_options=transport,
        visibility_timeout=settings.visibility_timeout,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=20,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_track_started=True,
        task_time_limit=settings.task_time_limit,
        task_soft_time_limit=max(settings.task_time_limit - 30, 1),
        worker_prefetch_multiplier=1,
        worker_soft_shutdown_timeout=30,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=True,
        task_default_queue=JOBS,
        task_routes={
            PLAN: JOBS,
            ASSEMBLE: JOBS,
            BLOCK: BLOCKS,
            RECOVER: UPKEEP,
            EXPIRE: UPKEEP,
            DELIVER: CALLBACKS,
            REPORT: CALLBACKS,
        },
        task_serializer="json",
        accept_content=["json"],
        beat_schedule={
            "recover": {
                "task": RECOVER,
                "schedule": settings.recover_every,
                "options": {"expires": settings.recover_every},
            },
            "expire": {"task": EXPIRE, "schedule": _EXPIRE_SECONDS, "options": {"expires": _EXPIRE_SECONDS}},
        },
    )
    return app


class JobQueue:
    """Where the work of jobs waits: pieces in the pool, and a ticket for each in Celery's queue."""

    def __init__(self, app: Celery, pool: Pool) -> None:
        self.app = app
        self.pool = pool

    @classmethod
    def of_settings(cls, settings: Settings, app: Celery | None = None) -> JobQueue:
        """Return the queue that the settings name; nothing is contacted yet."""
        return cls(app or make_app(settings), Pool(connect(settings.live_url)))

    def send(self, *pieces: Work, queue: str | None = None) -> None:
        """Let pieces wait, in their own queue or the one named; those that do already, or are being done, are left.

        Raises QueueUnavailable where the broker does not answer.
        """
        for work in pieces:
            where = queue or str(self.app.conf.task_routes[work.task])
            if self.pool.put(where, work):
                self.send_tickets(where, [work])

    def send_tickets(self, queue: str, pieces: Iterable[Work]) -> None:
        """Send tickets for pieces that wait in the pool; raises QueueUnavailable."""
        for work in pieces:
            _send(self.app, work.task, work.arguments, queue=queue, headers=work.header)


def enqueue(app: Celery, task: str, *args: str, after: float | None = None, expires: float | None = None) -> None:
    """Send a task that is no piece of a job's work; raises QueueUnavailable if the broker does not answer.

    It starts after that many seconds, which must stay far below the visibility timeout, and not once it has expired.
    """
    _send(app, task, list(args), countdown=after, expires=expires)


def _send(app: Celery, task: str, args: list[str], **options: Any) -> None:
    try:
        app.send_task(task, args=args, retry=True, retry_policy=_SENDING, **options)
    except OperationalError as error:
        msg = "the queue does not answer; the job is kept and will start once it does"
        raise QueueUnavailable(msg) from error
