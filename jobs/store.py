"""JobStore: the truth of every job in object storage, its progress in Redis, put together for the interface."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel

from jobs.errors import QueueUnavailable, UnknownJob
from jobs.ids import new_id
from jobs.live import LiveJobs
from jobs.plan import Plan
from jobs.record import (
    FINAL_STATES,
    PUBLIC,
    FailureRecord,
    JobRecord,
    LiveRecord,
    RequestRecord,
    ResultRecord,
    State,
    Warned,
    check_transition,
    now,
)
from jobs.request import Execute
from jobs.storage import Storage
from models.errors import CityzonesError

T = TypeVar("T", bound=BaseModel)


class JobStore:
    """Creates, reads and ends jobs: by result.json, failure.json or, above both, cancelled.json."""

    def __init__(self, storage: Storage, live: LiveJobs) -> None:
        self.storage = storage
        self.live = live

    def create(self, process: str, execute: Execute, *, tenant: str = PUBLIC, job: str | None = None) -> RequestRecord:
        """Write request.json for a new job of a tenant: from here on the job exists. `job` is its id, where it has one.

        Doing it twice for one id changes nothing.
        """
        body = execute.model_dump(mode="json", exclude_unset=True)
        record = RequestRecord(job=job or new_id("job"), process=process, tenant=tenant, created=now(), execute=body)
        self.storage.create(_key(record.job, "request.json"), _json(record))
        return record

    def request(self, job: str) -> RequestRecord:
        """Return what was asked; raises UnknownJob."""
        found = self._read(job, "request.json", RequestRecord)
        if found is None:
            msg = f"there is no job {job}"
            raise UnknownJob(msg)
        return found

    def freeze_plan(self, plan: Plan) -> Plan:
        """Write plan.json unless there is one, and return the one that holds: of two planners the first wins."""
        self.storage.create(_key(plan.job, "plan.json"), _json(plan))
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
        self.storage.create(_key(result.job, "result.json"), _json(result))
        return True

    def fail(self, job: str, error: CityzonesError) -> None:
        """Write failure.json with the error's code and sentence, unless the job has ended before."""
        if self.ended(job):
            return
        faults = tuple({"pointer": f.pointer, "detail": f.detail} for f in error.faults)
        record = FailureRecord(job=job, finished=now(), code=error.code, detail=error.detail, faults=faults)
        self.storage.create(_key(job, "failure.json"), _json(record))

    def dismiss(self, job: str) -> JobRecord:
        """Write cancelled.json and delete what the job has made; raises WrongTransition if it was dismissed before."""
        record = self.read(job)
        check_transition(record.state, "dismissed")
        ending = {"job": job, "finished": now().isoformat()}
        self.storage.create(_key(job, "cancelled.json"), json.dumps(ending).encode())
        self.sweep(job)
        return self.read(job)

    def sweep(self, job: str) -> None:
        """Delete everything of a dismissed job but the record that it was asked for and dismissed."""
        kept = {_key(job, "request.json"), _key(job, "cancelled.json")}
        self.storage.delete(key for key in self.storage.keys(_key(job, "")) if key not in kept)

    def ended(self, job: str) -> State | None:
        """Return the final state storage knows, or None while the job lives."""
        ends: dict[str, State] = {"cancelled.json": "dismissed", "result.json": "successful", "failure.json": "failed"}
        return next((state for name, state in ends.items() if self.storage.size(_key(job, name)) is not None), None)

    def read(self, job: str) -> JobRecord:
        """Return a job as the interface shows it; raises UnknownJob."""
        request = self.request(job)
        live = self._live(job)
        state = self.ended(job) or (live.state if live.state not in FINAL_STATES else "running")
        common = {"job": job, "process": request.process, "created": request.created, "state": state}
        progress = {"started": live.started, "updated": live.updated, "warnings": live.warnings,
                    "blocks_done": live.blocks_done, "blocks_total": live.blocks_total}  # fmt: skip
        return JobRecord.model_validate(common | progress | self._ending(job, state, live))

    def jobs(self, *, limit: int, before: str | None = None) -> list[JobRecord]:
        """Return jobs, newest first, older than `before`."""
        names = [n for n in self.storage.folders("jobs") if before is None or n < before]
        return [self.read(name) for name in names[: -limit - 1 : -1]]

    def unfinished(self) -> list[str]:
        """Return every job that has a request and no end."""
        return [job for job in self.storage.folders("jobs") if self.ended(job) is None]

    def _ending(self, job: str, state: State, live: LiveRecord) -> dict[str, Any]:
        if state == "successful":
            result = self.result(job)
            assert result is not None  # noqa: S101 - ended() saw it
            return {
                "finished": result.finished,
                "progress": 100,
                "message": "the map is ready",
                "coverage": result.coverage,
                "warnings": result.warnings,
            }
        if state == "failed":
            failure = self.failure(job)
            assert failure is not None  # noqa: S101 - ended() saw it
            return {
                "finished": failure.finished,
                "message": failure.detail,
                "failure": failure,
                "progress": live.progress,
            }
        if state == "dismissed":
            cancelled = self.storage.get_json(_key(job, "cancelled.json")) or {"finished": None}
            return {"finished": cancelled["finished"], "message": "dismissed on request", "progress": live.progress}
        return {"message": live.phase, "progress": live.progress}

    def _live(self, job: str) -> LiveRecord:
        try:
            return self.live.read(job) or LiveRecord()
        except QueueUnavailable:
            return LiveRecord(phase="progress is unknown for the moment", warnings=(_BLIND,))

    def _read(self, job: str, name: str, kind: type[T]) -> T | None:
        data = self.storage.get(_key(job, name))
        return None if data is None else kind.model_validate_json(data)


_BLIND = Warned(code="progress-unknown", detail="the queue does not answer; the job is kept and goes on once it does")


def _key(job: str, name: str) -> str:
    return f"jobs/{job}/{name}"


def _json(record: BaseModel) -> bytes:
    return record.model_dump_json(indent=1).encode()
