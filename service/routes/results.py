"""The results of a job: every output as a link signed afresh."""

from __future__ import annotations

from fastapi import APIRouter, Response

from jobs.errors import JobDismissed, ResultNotReady
from jobs.record import JobRecord, OutputFile
from service.bodies import ResultLink
from service.handlers import ProblemResponse
from service.state import Parts, State
from service.status import POLL_SECONDS, failure_problem, known_id

router = APIRouter(tags=["Results"])

_SHA256_MULTIHASH = "1220"


@router.get("/jobs/{job}/results", response_model=dict[str, ResultLink], summary="The finished outputs")
def results(job: str, parts: Parts, response: Response) -> dict[str, ResultLink] | Response:
    """Return a link for every output. A job that failed answers with its own problem."""
    record = parts.jobs.read(known_id(job))
    if record.failure:
        problem = failure_problem(record.failure, parts.settings.public_url)
        return ProblemResponse(problem.model_dump(exclude_none=True), problem.status)
    found = parts.jobs.result(job) if record.state == "successful" else None
    if found is None:
        raise _not_ready(record)
    response.headers["Cache-Control"] = "no-store"
    return {name: _link(output, parts) for name, output in found.outputs.items()}


def _link(output: OutputFile, parts: State) -> ResultLink:
    signed = parts.storage.link(output.key, filename=output.filename)
    return ResultLink(
        href=signed.href,
        type=output.media_type,
        title=output.title,
        size=output.size,
        checksum=_SHA256_MULTIHASH + output.sha256,
        expires=signed.expires,
        filename=output.filename,
    )


def _not_ready(record: JobRecord) -> ResultNotReady | JobDismissed:
    if record.state == "dismissed":
        return JobDismissed(f"{record.job} was dismissed; it has no results")
    return ResultNotReady(f"{record.job} is {record.state}, {record.progress} %; ask again in {POLL_SECONDS} s")
