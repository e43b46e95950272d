"""Who may see a job's tiles and what they show: its owner by key, or for a while who holds a link signed for them."""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import Annotated, Any, Final

from fastapi import Depends, Query, Request

from jobs.public.status import known_id
from service.access import own_job_of
from service.state import Parts

# What an operation publishes that a signed link opens without a key.
KEY_OR_LINK: Final[dict[str, Any]] = {"security": [{}]}


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
