"""JobStore: the truth of every job in object storage, its progress in Redis, put together for the interface."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, TypeVar

from pydantic import BaseModel

from jobs.annotation.request import PROJECT
from jobs.callbacks.outbox import Outbox, ending_event
from jobs.errors import QueueUnavailable, UnknownJob
from jobs.ids import new_id
from jobs.live import LiveJobs
from jobs.logs import JobLogs
from jobs.metrics import JOBS_CREATED, JOBS_ENDED
from jobs.plan import Plan
from jobs.record import (
    FINAL_STATES,
    PUBLIC,
    CancelRecord,
    Ending,
    FailureRecord,
    JobRecord,
    LiveRecord,
    RequestHead,
    RequestRecord,
    ResultRecord,
    State,
    Warned,
    check_transition,
    now,
    told,
)
from jobs.remembered import Remembered
from jobs.request import Asked
from jobs.shelves import DueJob, Shelves
from jobs.storage import Storage
from jobs.tracing import current_traceparent
from models.errors import CityzonesError

T = TypeVar("T", bound=BaseModel)


class JobStore:
    """Creates, reads and ends jobs: by result.json, failure.json or, above both, cancelled.json."""

    def __init__(self, storage: Storage, live: LiveJobs) -> None:
        self.storage = storage
        self.live = live
        self.shelves = Shelves(storage)
        self.logs = JobLogs(storage, live)
        self._heads: Remembered[str, RequestHead] = Remembered(seconds=_HEAD_SECONDS, most=_HEADS)
        self.outbox = Outbox(storage)

    def create(self, process: str, execute: Asked, *, tenant: str = PUBLIC, job: str | None = None) -> RequestRecord:
        """Write request.json for a new job of a tenant: from here on the job exists. `job` is its id, where it has one.

        Doing it twice for one id changes nothing.
        """
        body = execute.model_dump(mode="json", exclude_unset=True)
        record = RequestRecord(
            job=job or new_id("job"), process=process, tenant=tenant, created=now(), execute=body,
            traceparent=current_traceparent(),
        )  # fmt: skip
        self.shelves.open(tenant, record.job)
        if execute.subscriber:
            self.outbox.open(record.job)
        if self.storage.create(job_object(record.job, "request.json"), _json(record)):
            JOBS_CREATED.labels(process).inc()
        return record

    def request(self, job: str) -> RequestRecord:
        """Return what was asked; raises UnknownJob."""
        found = self._read(job, "request.json", RequestRecord)
        if found is None:
            msg = f"there is no job {job}"
            raise UnknownJob(msg)
        return found

    def head(self, job: str) -> RequestHead:
        """Return whose a job is, its process, title and when it was created, which never change; raises UnknownJob."""
        return self._heads.get(job) or self._heads.put(job, self.request(job).head)

    def knows(self, job: str) -> bool:
        """Say whether `head` would answer without looking into storage."""
        return self._heads.get(job) is not None

    def freeze_plan(self, plan: Plan) -> Plan:
        """Write plan.json unless there is one, and return the one that holds: of two planners the first wins."""
        self.storage.create(job_object(plan.job, "plan.json"), _json(plan))
        frozen = self.plan(plan.job)
        return plan if frozen is None else frozen

    def plan(self, job: str) -> Plan | None:
        """Return the plan, or None before planning ended."""
        return self._read(job, "plan.json", Plan)

    def result(self, job: str) -> ResultRecord | None:
        """Return the result, or None where the job has none."""
        return self._read(job, "result.json", ResultRecord)

    def failure(self, job: str) -> FailureRecord | None:
        """Return why the job failed, or None where it did not."""
        return self._read(job, "failure.json", FailureRecord)

    def finish(self, result: ResultRecord) -> bool:
        """Write result.json, unless the job has ended otherwise; returns whether the job is successful now."""
        if self.ended(result.job) in {"failed", "dismissed"}:
            return False
        kept = result.model_copy(update={"deletes": self._keep_until(result.job, result.finished)})
        self._end(result.job, "successful", _json(kept))
        self.logs.write(result.job, "assemble", f"finished; the data are kept until {kept.deletes:%Y-%m-%d}")
        self.logs.keep(result.job)
        self._close(result.job)
        return True

    def fail(self, job: str, error: CityzonesError) -> None:
        """Write failure.json with the error's code and sentence, unless the job has ended before."""
        if self.ended(job):
            return
        faults = tuple({"pointer": f.pointer, "detail": f.detail} for f in error.faults)
        finished = now()
        self._keep_until(job, finished)
        record = FailureRecord(job=job, finished=finished, code=error.code, detail=error.detail, faults=faults)
        self._end(job, "failed", _json(record))
        self.logs.write(job, "service", f"failed ({error.code}): {error.detail}", level="error")
        self.logs.keep(job)
        self._close(job)

    def dismiss(self, job: str) -> JobRecord:
        """Write cancelled.json and delete what the job has made; raises WrongTransition if it was dismissed before."""
        record = self.read(job)
        check_transition(record.state, "dismissed")
        ending = CancelRecord(job=job, finished=now())
        self._keep_until(job, ending.finished)
        self._end(job, "dismissed", _json(ending))
        self.logs.write(job, "service", "dismissed; what was made is deleted")
        self.logs.keep(job)
        self._close(job)
        self.sweep(job)
        return self.read(job)

    def sweep(self, job: str) -> None:
        """Delete everything of an ended job but the records that say what was asked, how it ended and who was told."""
        kept, told = {job_object(job, name) for name in _RECORDS}, job_object(job, "callbacks/")
        keys = self.storage.keys(job_object(job, ""))
        self.storage.delete(key for key in keys if key not in kept and not key.startswith(told))

    def forget(self, job: str) -> None:
        """Delete all that is left of a job, what makes it exist last."""
        request = self.request(job)
        keys = self.storage.keys(job_object(job, ""))
        self.storage.delete(sorted(keys, key=lambda key: key == job_object(job, "request.json")))
        self.shelves.forget(request.tenant, job)
        self._heads.forget(job)

    def ended(self, job: str) -> State | None:
        """Return the final state storage knows, or None while the job lives."""
        return next(
            (state for name, state in _ENDS.items() if self.storage.size(job_object(job, name)) is not None), None
        )

    def read(self, job: str) -> JobRecord:
        """Return a job as the interface shows it; raises UnknownJob."""
        head = self.head(job)
        record = put_together(job, head, self._live(job), self._ending(job))
        return self.with_callbacks(record) if head.subscribed else record

    def with_callbacks(self, record: JobRecord) -> JobRecord:
        """Return a record that also tells how the callback of the job's end stands, where there is one to be sent."""
        event = ending_event(self.request(record.job), record.state)
        found = self.outbox.state(record.job, event) if event else None
        return record.model_copy(update={"callbacks": {event: found}}) if event and found else record

    def existing(self, jobs: Iterable[str]) -> Iterator[JobRecord]:
        """Yield jobs as the interface shows them, passing over those that are not there, or no longer."""
        for job in jobs:
            with suppress(UnknownJob):
                yield self.read(job)

    def unfinished(self, *, but: Collection[str] = ()) -> list[str]:
        """Return every job that has a request and no end, save those named, which are not looked at."""
        opened = ((tenant, job) for tenant, job in self.shelves.opened() if job not in but)
        return sorted(job for tenant, job in opened if self._is_open(tenant, job))

    def _is_open(self, tenant: str, job: str) -> bool:
        if self.ended(job):
            self.shelves.close(tenant, job)  # its last writer died before it could
            return False
        return self.storage.size(job_object(job, "request.json")) is not None

    def _end(self, job: str, state: State, record: bytes) -> None:
        """Write the record of an end, and count it where nobody wrote it before."""
        name = next(name for name, ending in _ENDS.items() if ending == state)
        if self.storage.create(job_object(job, name), record):
            JOBS_ENDED.labels(self.head(job).process, state).inc()

    def _close(self, job: str) -> None:
        self.shelves.close(self.head(job).tenant, job)

    def _keep_until(self, job: str, finished: datetime) -> datetime:
        """Put the days on which the job's data and records go on the calendar; returns when the data go."""
        settings = self.storage.settings
        annotated = self.head(job).process == PROJECT
        kept = min(settings.annotation_days, settings.record_days) if annotated else settings.job_days
        data, record = (finished + timedelta(days=days) for days in (kept, settings.record_days))
        self.shelves.schedule(DueJob(data.date(), "data", job))
        self.shelves.schedule(DueJob(record.date(), "record", job))
        return data

    def _ending(self, job: str) -> Ending | None:
        """Return how the job ended: dismissal stands above both other ends; None while it lives."""
        return (
            self._read(job, "cancelled.json", CancelRecord)
            or self._read(job, "result.json", ResultRecord)
            or self._read(job, "failure.json", FailureRecord)
        )

    def _live(self, job: str) -> LiveRecord:
        try:
            return self.live.read(job) or LiveRecord()
        except QueueUnavailable:
            return BLIND

    def _read(self, job: str, name: str, kind: type[T]) -> T | None:
        data = self.storage.get(job_object(job, name))
        return None if data is None else kind.model_validate_json(data)


# What is told of a job's progress while Redis is away.
BLIND: Final = LiveRecord(
    phase="progress is unknown for the moment",
    warnings=(
        Warned(code="progress-unknown", detail="the queue does not answer; the job is kept and goes on once it does"),
    ),
)


_ENDS: Final[dict[str, State]] = {
    "cancelled.json": "dismissed",
    "result.json": "successful",
    "failure.json": "failed",
}
_HEAD_SECONDS: Final = 60.0
_HEADS: Final = 10_000
_RECORDS: Final = ("request.json", "log.jsonl", *_ENDS)


def cancelled_key(job: str) -> str:
    """Return the key whose object says that a job was dismissed: the one thing a running step looks at."""
    return job_object(job, "cancelled.json")


def put_together(job: str, head: RequestHead, live: LiveRecord, ending: Ending | None) -> JobRecord:
    """Return a job as the interface shows it, from what never changes, what Redis says, and how it ended."""
    shown = told(ending) if ending else {"state": _living(live), "message": live.phase}
    common = {
        "job": job,
        "process": head.process,
        "title": head.title,
        "created": head.created,
        "started": live.started,
        "updated": live.updated,
        "warnings": live.warnings,
        "blocks_done": live.blocks_done,
        "blocks_total": live.blocks_total,
        "progress": live.progress,
    }
    return JobRecord.model_validate(common | shown)


def _living(live: LiveRecord) -> State:
    return live.state if live.state not in FINAL_STATES else "running"


def job_object(job: str, name: str) -> str:
    """Return the key of one of a job's own objects."""
    return f"jobs/{job}/{name}"


def _json(record: BaseModel) -> bytes:
    untraced = isinstance(record, RequestRecord) and record.traceparent is None
    return record.model_dump_json(indent=1, exclude={"traceparent"} if untraced else None).encode()
