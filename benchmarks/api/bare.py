"""The peer: a bare Starlette application that reads of a job what a status takes, and sends it as it lies there."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.settings import Settings
from jobs.storage import Storage

STORAGE = Storage(Settings.of_environment(os.environ))
READ = ("request.json", "cancelled.json", "result.json", "failure.json")


async def status(request: Request) -> Response:
    """Read the job's objects, as the interface must, and answer with the first."""
    job = request.path_params["job"]
    found = await run_in_threadpool(lambda: [STORAGE.get(f"jobs/{job}/{name}") for name in READ])
    return Response(found[0], media_type="application/json")


async def status_now(request: Request) -> Response:
    """Do the same on the event loop, without a thread: as little as an answer can cost."""
    job = request.path_params["job"]
    found = [STORAGE.get_now(f"jobs/{job}/{name}") for name in READ]
    return Response(found[0], media_type="application/json")


app = Starlette(routes=[Route("/jobs/{job}", status), Route("/now/jobs/{job}", status_now)])
