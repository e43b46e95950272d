"""Who may see a job's tiles: its owner by key, or for a while whoever holds a link signed for them."""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import Annotated

from fastapi import Depends, Query, Request

from jobs.errors import JobDismissed, ResultNotReady, ResultsDeleted
from jobs.public.problems import RequestError
from jobs.public.status import known_id
from jobs.record import OutputFile, ResultRecord
from service.access import own_job_of
from service.state import Parts, State


@dataclass(frozen=True, slots=True)
class Link:
    """The query of a signed link; empty where the caller has a key instead."""

    expires: Annotated[str, Query(description="Unix second; it comes with `key` and `signature` from the TileJSON")] = (
        ""
    )
    key: Annotated[str, Query(description="which secret signed the link; no key of a caller's")] = ""
    signature: Annotated[str, Query(description="over the job and `expires`")] = ""


@dataclass(frozen=True, slots=True)
class Viewer:
    """A job whose tiles the caller may see, and the query that shows them to others until it expires."""

    job: str
    query: str


async def viewer(job: str, request: Request, parts: Parts, link: Annotated[Link, Depends()]) -> Viewer:
    """Let in the holder of a signed link to the job's tiles, or the job's owner.

    A signed link is handed on as it is, never signed afresh: it does not prolong itself.
    """
    target = f"jobs/{known_id(job)}/tiles"
    if link.expires or link.key or link.signature:
        parts.signer.check(target, expires=link.expires, key_id=link.key, signature=link.signature)
        return Viewer(job, parts.signer.sign(target, int(link.expires)))
    await own_job_of(request)
    return Viewer(job, parts.signer.sign(target, int(time()) + parts.settings.link_seconds))


Tiled = Annotated[Viewer, Depends(viewer)]


def finished_output(job: str, name: str, parts: State) -> OutputFile:
    """Return an output of a job; raises ResultNotReady, JobDismissed, ResultsDeleted, or RequestError (not-found).

    Asked for every tile, so that those of a dismissed job stop at once.
    """
    output = _result(job, parts).outputs.get(name)
    if output is None:
        raise RequestError("not-found", f"{job} has no output {name!r}; name it in outputs of a new job")
    return output


def _result(job: str, parts: State) -> ResultRecord:
    state = parts.jobs.ended(job)
    if state == "dismissed":
        raise JobDismissed(f"{job} was dismissed; it has no map")
    if state == "failed":
        raise RequestError("not-found", f"{job} failed and has no map; its status says why")
    result = parts.jobs.result(job)
    if result is None:
        parts.jobs.request(job)  # raises UnknownJob where the last trace of it is deleted
        raise ResultNotReady(f"{job} is not finished; follow its status")
    if result.deleted:
        raise ResultsDeleted(f"the data of {job} were deleted on {result.deletes:%Y-%m-%d}, as its status told")
    return result
