"""The results of a job: every output as a link signed afresh."""

from __future__ import annotations

from fastapi import APIRouter, Response

from jobs.errors import JobDismissed, ResultNotReady, ResultsDeleted
from jobs.public.bodies import ResultLink
from jobs.public.results import results_document
from jobs.public.status import POLL_SECONDS, failure_problem
from jobs.record import JobRecord
from service.access import OwnJob
from service.handlers import ProblemResponse
from service.state import Parts

router = APIRouter(tags=["Results"])


@router.get(
    "/jobs/{job}/results",
    response_model=dict[str, ResultLink],
    response_model_exclude_none=True,
    summary="The finished outputs",
)
def job_results(job: OwnJob, parts: Parts, response: Response) -> dict[str, ResultLink] | Response:
    """Return a link for every output. A job that failed answers with its own problem."""
    record = parts.jobs.read(job)
    if record.failure:
        problem = failure_problem(record.failure, parts.settings.public_url)
        return ProblemResponse(problem.model_dump(exclude_none=True), problem.status)
    found = parts.jobs.result(job) if record.state == "successful" and not record.deleted else None
    if found is None:
        raise _not_ready(record)
    response.headers["Cache-Control"] = "no-store"
    return results_document(found, parts.storage)


def _not_ready(record: JobRecord) -> ResultNotReady | JobDismissed | ResultsDeleted:
    if record.deleted:
        return ResultsDeleted(f"the data of {record.job} were deleted on {record.deletes:%Y-%m-%d}, as its status told")
    if record.state == "dismissed":
        return JobDismissed(f"{record.job} was dismissed; it has no results")
    return ResultNotReady(f"{record.job} is {record.state}, {record.progress} %; ask again in {POLL_SECONDS} s")
