"""The list of jobs: which of a tenant's fit the filters of OGC API - Processes, a page at a time, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator

from jobs.record import JobRecord, State, now
from jobs.request import JOB_ID
from jobs.shelves import made_until
from jobs.store import JobStore

_LOOKED_AT: Final = 1000
_PAGE: Final = 100
_OPEN: Final = ("", "..")

Interval = tuple[datetime | None, datetime | None]


class JobQuery(BaseModel):
    """The query of the list of jobs; every filter given must fit."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000, description="jobs a page")] = 50
    before: Annotated[str | None, Field(pattern=JOB_ID, description="older than this job; the next link sets it")] = (
        None
    )
    type: Annotated[list[Literal["process"]] | None, Field(description="every job is of the type process")] = None
    processID: Annotated[list[str] | None, Field(description="of these processes")] = None  # noqa: N815 - the standard's
    status: Annotated[list[State] | None, Field(description="in these states")] = None
    datetime: Annotated[
        str | None,
        Field(
            max_length=100,
            description="created then: a time, or start/end; .. leaves a side open",
            json_schema_extra={"format": "date-time-interval"},
        ),
    ] = None
    minDuration: Annotated[int | None, Field(ge=0, description="seconds it ran at least")] = None  # noqa: N815
    maxDuration: Annotated[int | None, Field(ge=0, description="seconds it ran at most")] = None  # noqa: N815

    @field_validator("datetime")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        if text is not None:
            _interval(text)
        return text

    @property
    def created(self) -> Interval:
        """From when to when jobs were created, both included; None is open."""
        return _interval(self.datetime) if self.datetime else (None, None)

    def following(self, before: str | None) -> str:
        """Return the query string of the page of jobs older than one."""
        told = self.model_dump(exclude_unset=True, exclude={"before"}) | ({"before": before} if before else {})
        return urlencode({"limit": self.limit} | told, doseq=True)


class Page(BaseModel):
    """Jobs that fit, and the job the next page starts after, None where there is no other."""

    jobs: list[JobRecord]
    further: str | None


def find_jobs(store: JobStore, tenant: str, query: JobQuery) -> Page:
    """Return a page; after a thousand jobs that were looked at it ends early, with the way to go on."""
    start, end = query.created
    newest = made_until(end + timedelta(seconds=1)) if end else None  # records tell whole seconds
    cursor = min(filter(None, (query.before, newest)), default=None)
    found: list[JobRecord] = []
    for seen, record in enumerate(_older(store, tenant, cursor), 1):
        if start and record.created < start:
            break
        if len(found) == query.limit or seen > _LOOKED_AT:
            return Page(jobs=found, further=cursor)
        cursor = record.job
        if _fits(record, query):
            found.append(record)
    return Page(jobs=found, further=None)


def _older(store: JobStore, tenant: str, before: str | None) -> Iterator[JobRecord]:
    while names := store.shelves.newest(tenant, limit=_PAGE, before=before):
        yield from store.existing(names)
        before = names[-1]


def _fits(record: JobRecord, query: JobQuery) -> bool:
    ran, end = _seconds(record), query.created[1]
    return (
        (end is None or record.created <= end)
        and (query.processID is None or record.process in query.processID)
        and (query.status is None or record.state in query.status)
        and (query.minDuration is None or (ran is not None and ran >= query.minDuration))
        and (query.maxDuration is None or (ran is not None and ran <= query.maxDuration))
    )


def _seconds(record: JobRecord) -> float | None:
    """Return how long a job ran, or has run by now; None before it started."""
    if record.started is None and record.state not in {"successful", "failed"}:
        return None
    return ((record.finished or now()) - (record.started or record.created)).total_seconds()


def _interval(text: str) -> Interval:
    first, slash, last = text.partition("/")
    if not slash:
        moment = _moment(first)
        return moment, moment
    start = None if first in _OPEN else _moment(first)
    end = None if last in _OPEN else _moment(last)
    if start and end and end < start:
        msg = "it ends before it starts"
        raise ValueError(msg)
    return start, end


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{text[:40]!r} is no time like 2026-05-01T12:00:00Z"
        raise ValueError(msg) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
