"""From the body of an execute request to a job that exists: every check that needs no worker, then the queue."""

from __future__ import annotations

import json
import logging
from typing import Any, Final, NoReturn

from jobs.area import Area, check_limits, parse_area
from jobs.errors import InvalidRequest, QueueUnavailable, UnknownUpload
from jobs.plan import Plan
from jobs.public.problems import RequestError
from jobs.queue import INTERACTIVE, PLAN, enqueue
from jobs.record import JobRecord
from jobs.request import Execute, parse_execute
from jobs.sources import POINTER, check_source, finished_plan
from models.cards import Card, card_of
from models.errors import Fault, UnknownModel
from service.access import Caller, own_upload
from service.processes import default_model, models_of
from service.sizes import is_small
from service.state import State

log = logging.getLogger("cityzones.service")

QUEUE_DOWN: Final = "the job is kept; the queue does not answer for the moment, it starts once the queue does"


def decode(body: bytes) -> Any:
    """Return a JSON body; raises RequestError for what is not JSON in UTF-8, NaN, or an object that names twice."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_unique)
    except RecursionError as error:
        raise RequestError("malformed-json", "the body is nested too deeply") from error
    except ValueError as error:
        raise RequestError("malformed-json", f"the body is not JSON: {error}") from error


def submit(process: str, body: bytes, caller: Caller, state: State) -> JobRecord:
    """Check a request, create the job and enqueue its planning.

    The job exists once its request is stored. A queue that is down after that costs time, not the job: the recovery
    finds it, and the record's message says so. Raises CityzonesError for everything a client can put right.
    """
    models_of(process)
    execute = parse_execute(decode(body))
    source = _source(execute, process, caller, state)
    execute = _with_model(execute, default_model(process, state.settings) if source is None else source.model)
    card = _card(execute, process)
    area = _area(execute, card, state)
    _check_catalogue(execute, state)
    _check_uploads(execute, caller, state)
    if source is None:
        state.triton.check_served(card)
    job = state.jobs.create(process, execute, tenant=caller.tenant).job
    try:
        enqueue(state.queue, PLAN, job, queue=INTERACTIVE if is_small(execute, area, source, card, state) else None)
    except QueueUnavailable as error:
        log.warning("%s was created while the queue is down: %s", job, error.detail)
        return state.jobs.read(job).model_copy(update={"message": QUEUE_DOWN})
    log.info("%s was created: %s with %s", job, process, card.id)
    return state.jobs.read(job)


def _source(execute: Execute, process: str, caller: Caller, state: State) -> Plan | None:
    """Return the plan of the finished job that a request names as its imagery; None where it names none.

    Raises InvalidRequest where it cannot be taken.
    """
    job = execute.inputs.imagery.job
    if job is None:
        return None
    plan = finished_plan(state.jobs, job, tenant=caller.tenant)
    theirs = state.jobs.request(job).process
    if theirs != process:
        detail = f"{job} is of {theirs}, not {process}"
        raise InvalidRequest(f"{POINTER}: {detail}", faults=[Fault(POINTER, detail)])
    check_source(execute.inputs, plan)
    return plan


def _with_model(execute: Execute, model: str) -> Execute:
    """Freeze the choice of the model into the request, so that a later default does not change the job."""
    if "model" in execute.inputs.model_fields_set:
        return execute
    inputs = execute.inputs.model_copy(update={"model": model})
    return execute.model_copy(update={"inputs": inputs})


def _card(execute: Execute, process: str) -> Card:
    pointer = "/inputs/model"
    try:
        card = card_of(execute.inputs.model)
    except UnknownModel as error:
        raise UnknownModel(error.detail, faults=[Fault(pointer, error.detail)]) from error
    if card.product != process:
        detail = f"{card.id} maps {card.product}, not {process}"
        raise InvalidRequest(f"{pointer}: {detail}", faults=[Fault(pointer, detail)])
    return card


def _area(execute: Execute, card: Card, state: State) -> Area | None:
    """Return the area of interest, within the model's limits; None where the request has none."""
    if execute.inputs.aoi is None:
        return None
    pointer = "/inputs/aoi"
    area = parse_area(execute.inputs.aoi, pointer=pointer, max_vertices=state.settings.max_vertices)
    check_limits(area, min_km2=card.limits.min_km2, max_km2=card.limits.max_km2, pointer=pointer)
    return area


def _check_catalogue(execute: Execute, state: State) -> None:
    stac = execute.inputs.imagery.stac
    allowed = state.settings.catalogues
    if stac and stac.catalogue and stac.catalogue.rstrip("/") not in {root.rstrip("/") for root in allowed}:
        detail = f"this catalogue is not allowed here; allowed: {', '.join(allowed)}"
        pointer = "/inputs/imagery/stac/catalogue"
        raise InvalidRequest(f"{pointer}: {detail}", faults=[Fault(pointer, detail)])


def _check_uploads(execute: Execute, caller: Caller, state: State) -> None:
    named = execute.inputs.uploads.items()
    faults = [fault for pointer, upload in named if (fault := _fault(pointer, upload, caller, state))]
    if faults:
        raise InvalidRequest(f"{faults[0].pointer}: {faults[0].detail}", faults=faults)


def _fault(pointer: str, upload: str, caller: Caller, state: State) -> Fault | None:
    wanted = "image" if pointer.startswith("/inputs/imagery/") else "vector"
    try:
        kind = state.uploads.read(own_upload(upload, caller, state)).kind
    except UnknownUpload as error:
        return Fault(pointer, error.detail)
    return None if kind == wanted else Fault(pointer, f"{upload} is {_a(kind)} file; {_a(wanted)} file is needed here")


def _a(kind: str) -> str:
    return "an image" if kind == "image" else "a vector"


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is no JSON number"
    raise ValueError(msg)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the name {twice!r} stands twice in one object"
        raise ValueError(msg)
    return found
