"""A job as the interface shows it: the standard's statusInfo with links, blocks, warnings and why it failed."""

from __future__ import annotations

import re
from typing import Final

from jobs.annotation.request import CLASSIFICATION, EXPORT, PROJECT
from jobs.errors import UnknownJob, UnknownUpload
from jobs.public import problems
from jobs.public.bodies import Blocks, Link, ProblemBody, StatusInfo
from jobs.record import FINAL_STATES, FailureRecord, JobRecord
from jobs.request import UPLOAD_ID
from models.classes import CLASSES
from models.errors import Fault

POLL_SECONDS: Final = 1
_JOB: Final = re.compile(r"job_[0-9a-z]{26}")
_REL: Final = "http://www.opengis.net/def/rel/ogc/1.0"


def known_id(job: str) -> str:
    """Return a job id as it came; raises UnknownJob for what cannot be one, before it becomes part of a key."""
    if not _JOB.fullmatch(job):
        msg = f"there is no job {job[:60]!r}"
        raise UnknownJob(msg)
    return job


def known_upload(upload: str) -> str:
    """Return an upload id as it came; raises UnknownUpload for what cannot be one, before it becomes part of a key."""
    if not re.fullmatch(UPLOAD_ID, upload):
        msg = f"there is no upload {upload[:60]!r}; POST the file to /uploads first"
        raise UnknownUpload(msg)
    return upload


def status_info(record: JobRecord, public_url: str) -> StatusInfo:
    """Return the statusInfo of a job."""
    return StatusInfo(
        jobID=record.job,
        processID=record.process,
        title=record.title,
        status=record.state,
        message=record.message,
        created=record.created,
        started=record.started,
        finished=record.finished,
        updated=record.updated,
        progress=record.progress,
        blocks=Blocks(done=record.blocks_done, total=record.blocks_total),
        coverage=record.coverage,
        deletes=record.deletes,
        warnings=list(record.warnings),
        problem=failure_problem(record.failure, public_url) if record.failure else None,
        callbacks=record.callbacks,
        links=_links(record, public_url),
    )


def failure_problem(failure: FailureRecord, public_url: str) -> ProblemBody:
    """Return the problem a job ended in: the failure's own code and sentence.

    A fault of the service keeps status 500: asking again for a finished job's results would not help, which 503
    would promise.
    """
    code = failure.code if failure.code in problems.PROBLEMS else "job-failed"
    status = min(problems.row(code).status, 500)
    faults = [Fault(fault.get("pointer", ""), fault.get("detail", "")) for fault in failure.faults]
    detail = problems.row(code).advice if code == "internal" else failure.detail
    instance = f"/jobs/{failure.job}"
    members = problems.body(code, detail, public_url=public_url, instance=instance, status=status, faults=faults)
    return ProblemBody.model_validate(members)


def _shown(record: JobRecord, here: str, url: str) -> list[Link]:
    """Return where what a job has made is looked at."""
    if record.process in {CLASSIFICATION, EXPORT}:
        return []
    if record.process != PROJECT:
        return [Link(href=f"{here}/tiles", rel=f"{_REL}/tilesets-map", title="The map as tiles (TileJSON)")]
    page = f"{url}/annotate#{record.job}"
    return [
        Link(href=page, rel="edit", type="text/html", title="The pages to annotate it"),
        Link(href=f"{here}/annotation", rel="related", title="The project, for programs"),
    ]


def _links(record: JobRecord, url: str) -> list[Link]:
    here = f"{url}/jobs/{record.job}"
    links = [
        Link(href=here, rel="self", title="This job"),
        Link(href=f"{url}/processes/{record.process}", rel="up", title="The process it runs"),
        Link(href=f"{here}/request", rel="describedby", title="What it was asked"),
        Link(href=f"{here}/events", rel="monitor", type="text/event-stream", title="This status as it changes"),
    ]
    if record.state == "running" and record.process in CLASSES:
        links.append(Link(href=f"{here}/blocks", rel="related", title="Its blocks, with draft pictures of those done"))
    if record.state == "successful" and not record.deleted:
        links.append(Link(href=f"{here}/results", rel=f"{_REL}/results", title="Results"))
        links += _shown(record, here, url)
    if record.state == "failed":
        links.append(
            Link(href=f"{here}/results", rel=f"{_REL}/exceptions", type=problems.MEDIA_TYPE, title="Why it failed")
        )
    if record.state not in FINAL_STATES:
        links.append(Link(href=here, rel="cancel", title="DELETE dismisses the job"))
    return links
