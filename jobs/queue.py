"""The Celery application: queues, routing and the settings that let a task die and run again without harm."""

from __future__ import annotations

from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError

from jobs.errors import QueueUnavailable
from jobs.settings import Settings

PLAN: Final = "cityzones.plan_job"
BLOCK: Final = "cityzones.map_block"
ASSEMBLE: Final = "cityzones.assemble_job"
RECOVER: Final = "cityzones.recover_jobs"
EXPIRE: Final = "cityzones.expire"
DELIVER: Final = "cityzones.deliver"
REPORT: Final = "cityzones.report_progress"

# What a job of one block waits in: workers of their own take it, so that a city in progress never delays it.
INTERACTIVE: Final = "interactive"
# Callbacks wait in one of their own: a receiver that hangs holds up its like, and no map, where workers are apart.
CALLBACKS: Final = "callbacks"
_EXPIRE_SECONDS: Final = 3600.0
QUEUES: Final = ("jobs", "blocks", CALLBACKS)


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
        task_default_queue="jobs",
        task_routes={
            PLAN: "jobs",
            ASSEMBLE: "jobs",
            RECOVER: "jobs",
            EXPIRE: "jobs",
            BLOCK: "blocks",
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


def enqueue(
    app: Celery,
    task: str,
    *args: str,
    queue: str | None = None,
    after: float | None = None,
    expires: float | None = None,
) -> None:
    """Send a task by name, to its own queue or the one named; raises QueueUnavailable if the broker does not answer.

    It starts after that many seconds, which must stay far below the visibility timeout, and not once it has expired.
    """
    policy = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0}
    try:
        app.send_task(task, args=args, retry=True, retry_policy=policy, queue=queue, countdown=after, expires=expires)
    except OperationalError as error:
        msg = "the queue does not answer; the job is kept and will start once it does"
        raise QueueUnavailable(msg) from error
