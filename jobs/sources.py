"""A finished job as the imagery of another one: which may be taken, and what the new one may ask of it."""

from __future__ import annotations

from typing import Final

from jobs.errors import InvalidRequest, UnknownJob
from jobs.plan import Plan
from jobs.request import Execute
from jobs.store import JobStore
from models.errors import Fault

POINTER: Final = "/inputs/imagery/job"


def finished_plan(store: JobStore, job: str, *, tenant: str) -> Plan:
    """Return the plan of a job of the tenant's that succeeded; raises InvalidRequest for any other."""
    try:
        theirs = store.request(job).tenant
    except UnknownJob as error:
        raise _refused(POINTER, error.detail) from error
    if theirs != tenant:
        raise _refused(POINTER, f"there is no job {job}")
    state, plan, result = store.ended(job), store.plan(job), store.result(job)
    if result and result.deleted:
        raise _refused(POINTER, f"the data of {job} were deleted on {result.deletes:%Y-%m-%d}: map the area anew")
    if state == "successful" and plan is not None:
        return plan
    if state is None:
        raise _refused(POINTER, f"{job} is not finished yet: wait for its end, then send this again")
    raise _refused(POINTER, f"{job} was {state}: name a job that succeeded")


def check_source(execute: Execute, plan: Plan) -> None:
    """Raise InvalidRequest where a request asks what the job it names cannot give."""
    inputs = execute.inputs
    if "model" in inputs.model_fields_set and inputs.model != plan.model:
        raise _refused("/inputs/model", f"{plan.job} was mapped with {plan.model}; leave model out, or map anew")
    if plan.scene_graph and inputs.resolution < 100:  # noqa: PLR2004 - metres of a scene cell
        raise _refused("/inputs/resolution", f"{plan.job} was mapped at 100 m; give resolution 100, or map anew")
    if "image" in execute.selected and not plan.keeps_pictures:
        detail = f"{plan.job} kept no picture of its imagery, as it was not asked for one; leave image out, or map anew"
        raise _refused(execute.pointer_to("image"), detail)


def _refused(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer}: {detail}", faults=[Fault(pointer, detail)])
