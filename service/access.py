"""Who asks, and what they may: the caller of a request, and the jobs and uploads that are theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, get_args

from fastapi import Depends, Request

from jobs.errors import UnknownJob, UnknownUpload
from jobs.public.status import known_id, known_upload
from jobs.record import PUBLIC
from service.state import Parts

Scope = Literal["read", "submit", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the tenant everything is kept under, what they may, and by which key (None in open mode)."""

    tenant: str
    scopes: frozenset[Scope]
    key: str | None = None


OPEN: Final = Caller(PUBLIC, frozenset(SCOPES))


def allowed(scope: Scope) -> Callable[[Request], Caller]:
    """Return a dependency that yields the caller of a request who has this scope."""

    def caller(request: Request) -> Caller:
        return OPEN

    return caller


Reader = Annotated[Caller, Depends(allowed("read"))]
Submitter = Annotated[Caller, Depends(allowed("submit"))]
Admin = Annotated[Caller, Depends(allowed("admin"))]


def own_job(job: str, caller: Reader, parts: Parts) -> str:
    """Return the id of a job of the caller's; raises UnknownJob for any other, as if it did not exist."""
    if parts.jobs.request(known_id(job)).tenant != caller.tenant:
        raise UnknownJob(f"there is no job {job}")
    return job


def own_upload(upload: str, caller: Reader, parts: Parts) -> str:
    """Return the id of an upload of the caller's; raises UnknownUpload for any other, as if it did not exist."""
    if parts.uploads.read(known_upload(upload)).tenant != caller.tenant:
        raise UnknownUpload(f"there is no upload {upload}; POST the file to /uploads first")
    return upload


OwnJob = Annotated[str, Depends(own_job)]
OwnUpload = Annotated[str, Depends(own_upload)]
