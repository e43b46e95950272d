"""What finished jobs have to show, and precise words where they have nothing."""

from __future__ import annotations

from jobs.errors import JobDismissed, ResultNotReady, ResultsDeleted
from jobs.public.problems import RequestError
from jobs.record import OutputFile, ResultRecord
from service.state import State


def finished_output(job: str, name: str, parts: State) -> OutputFile:
    """Return an output of a job; raises ResultNotReady, JobDismissed, ResultsDeleted, or RequestError (not-found).

    Asked for every tile, so that those of a dismissed job stop at once.
    """
    return output_of(finished_result(job, parts), name)


def output_of(result: ResultRecord, name: str) -> OutputFile:
    """Return an output of a result; raises RequestError (not-found) where the job was not asked for it."""
    output = result.outputs.get(name)
    if output is None:
        raise RequestError("not-found", f"{result.job} has no output {name!r}; name it in outputs of a new job")
    return output


def check_kept(job: str, parts: State) -> None:
    """Raise JobDismissed or ResultsDeleted where what a job has made is gone, and UnknownJob where there is none."""
    parts.jobs.head(job)
    if parts.jobs.ended(job) in {"dismissed", "successful"}:
        finished_result(job, parts)


def finished_result(job: str, parts: State) -> ResultRecord:
    """Return how a job ended well; raises ResultNotReady, JobDismissed, ResultsDeleted, or RequestError (not-found)."""
    state = parts.jobs.ended(job)
    if state == "dismissed":
        raise JobDismissed(f"{job} was dismissed; it has nothing to show")
    if state == "failed":
        raise RequestError("not-found", f"{job} failed and has nothing to show; its status says why")
    result = parts.jobs.result(job)
    if result is None:
        parts.jobs.request(job)  # raises UnknownJob where the last trace of it is deleted
        raise ResultNotReady(f"{job} is not finished; follow its status")
    if result.deleted:
        raise ResultsDeleted(f"the data of {job} were deleted on {result.deletes:%Y-%m-%d}, as its status told")
    return result
