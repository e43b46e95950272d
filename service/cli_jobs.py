"""`cityzones jobs`, `status` and `recover`: what became of jobs, and bringing back those the queue has lost."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.table import Table

from models.errors import CityzonesError
from service.cli_map import FAILED, LOCAL, AsJson, Key, Outcome, Url, console, reported, say_problem
from service.client import Client


def jobs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    url: Url = LOCAL,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List the newest jobs."""
    found: list[dict[str, Any]] = []
    with reported(Outcome(), as_json=False), Client(url, key) as client:
        found = client.jobs(limit=limit)
    if as_json:
        sys.stdout.write(json.dumps({"jobs": found}) + "\n")
        return
    table = Table("job", "process", "status", "%", "created", "message")
    for job in found:
        told = (job["jobID"], job["processID"], job["status"], str(job["progress"]), job["created"], job["message"])
        table.add_row(*told)
    console.print(table)


def status(
    job: Annotated[str, typer.Argument(help="Id of the job.")],
    url: Url = LOCAL,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say how a job stands; exits 1 for a job that failed."""
    found: dict[str, Any] = {}
    with reported(Outcome(), as_json=False), Client(url, key) as client:
        found = client.status(job)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        console.print(f"{found['jobID']}: {found['status']}, {found['progress']} % - {found['message']}", markup=False)
        for warned in found["warnings"]:
            console.print(f"note: {warned['detail']}", style="yellow", markup=False)
    if found["status"] == "failed":
        say_problem(found["problem"])
        raise typer.Exit(FAILED)


def recover(
    all_jobs: Annotated[bool, typer.Option("--all", help="Also jobs that showed life a moment ago.")] = False,
) -> None:
    """Enqueue every job that has no end and shows no life; needs the service's settings, not its address."""
    # Storage, queue and their clients are loaded only here: no other command needs them.
    from jobs.live import LiveJobs, connect  # noqa: PLC0415
    from jobs.queue import JobQueue  # noqa: PLC0415
    from jobs.recover import recover as bring_back  # noqa: PLC0415
    from jobs.recover import recover_callbacks  # noqa: PLC0415
    from jobs.settings import Settings  # noqa: PLC0415
    from jobs.storage import Storage  # noqa: PLC0415
    from jobs.store import JobStore  # noqa: PLC0415

    settings = Settings()
    store = JobStore(Storage(settings), LiveJobs(connect(settings.live_url)))
    try:
        queue = JobQueue.of_settings(settings)
        found = bring_back(store, queue, settings, all_jobs=all_jobs)
        callbacks = recover_callbacks(store, queue.app, settings)
    except CityzonesError as error:
        say_problem({"detail": error.detail})
        raise typer.Exit(FAILED) from error
    for job in found:
        sys.stdout.write(f"{job}\n")
    console.print(f"{len(found)} enqueued; {len(callbacks)} callbacks are due")
