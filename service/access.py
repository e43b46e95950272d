"""What routes depend on: the caller with the scope they need, and that jobs and uploads are the caller's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import anyio
from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from jobs.errors import UnknownJob, UnknownUpload
from jobs.keys import Scope
from jobs.public.status import known_id, known_upload
from service.doorkeeper import Caller, Doorkeeper
from service.state import Parts, state_of

__all__ = [
    "Admin",
    "Caller",
    "OwnJob",
    "OwnUpload",
    "Reader",
    "Submitter",
    "allowed",
    "own_job",
    "own_upload",
]


class _Admitted(SecurityBase):
    """The dependency that asks the doorkeeper, once a request; being a security scheme, it publishes itself."""

    def __init__(self) -> None:
        self.model = HTTPBearer()
        self.scheme_name = "bearer"

    async def __call__(self, request: Request) -> Caller:
        doorkeeper: Doorkeeper = request.app.state.doorkeeper()
        return await doorkeeper.admit(request.scope)


_ADMITTED: Final = _Admitted()


def allowed(scope: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    """Return a dependency that yields the caller of a request who has this scope."""

    async def caller(known: Annotated[Caller, Depends(_ADMITTED)]) -> Caller:
        known.check(scope)
        return known

    return caller


Reader = Annotated[Caller, Depends(allowed("read"))]
Submitter = Annotated[Caller, Depends(allowed("submit"))]
Admin = Annotated[Caller, Depends(allowed("admin"))]


def own_job(job: str, caller: Caller, parts: Parts) -> str:
    """Return the id of a job of the caller's; raises UnknownJob for any other, as if it did not exist."""
    if parts.jobs.head(known_id(job)).tenant != caller.tenant:
        raise UnknownJob(f"there is no job {job}")
    return job


async def _own_job(job: str, caller: Reader, parts: Parts) -> str:
    if parts.jobs.knows(job):
        return own_job(job, caller, parts)
    return await anyio.to_thread.run_sync(own_job, job, caller, parts)


# What an operation publishes that asks for a key by `own_job_of`.
KEYED: Final[dict[str, Any]] = {"security": [{_ADMITTED.scheme_name: []}]}


async def own_job_of(request: Request) -> str:
    """Return the job of the request's path as `OwnJob` does, without FastAPI resolving dependencies.

    That takes a fifth of a millisecond, which is a quarter of what a status takes: for what is asked again and again.
    """
    caller = await _ADMITTED(request)
    caller.check("read")
    return await _own_job(request.path_params["job"], caller, state_of(request))


def own_upload(upload: str, caller: Reader, parts: Parts) -> str:
    """Return the id of an upload of the caller's; raises UnknownUpload for any other, as if it did not exist."""
    if parts.uploads.find(known_upload(upload)).tenant != caller.tenant:
        raise UnknownUpload(f"there is no upload {upload}; POST the file to /uploads first")
    return upload


OwnJob = Annotated[str, Depends(_own_job)]
OwnUpload = Annotated[str, Depends(own_upload)]
