"""Every check of a request for a map that needs no worker: what it asks for, and whether it can be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from jobs.area import Area, check_limits, parse_area
from jobs.callbacks.subscribers import check_subscriber
from jobs.errors import InvalidRequest
from jobs.plan import Plan
from jobs.request import Execute, parse_execute
from jobs.sources import POINTER, check_source, finished_plan
from jobs.uploads import UploadKind, UploadRecord
from jobs.uploads.reach import check_images
from models.cards import Card, card_of
from models.errors import Fault, UnknownModel
from service.access import Caller
from service.inputs import check_image, check_inputs
from service.named import named_uploads
from service.processes import OUTPUT_TYPES, default_model, models_of
from service.state import State

_IMAGERY: Final = "/inputs/imagery/"


@dataclass(frozen=True, slots=True)
class Checked:
    """A map that can be made: the model is frozen into it, its area parsed, its uploads are the caller's.

    `area` is its area of interest and `source` the plan of the finished job it names, where it has them.
    """

    process: str
    execute: Execute
    card: Card
    area: Area | None
    source: Plan | None
    uploads: tuple[UploadRecord, ...]

    @property
    def told(self) -> str:
        """What it is, in a few words."""
        return f"with {self.card.id}"


def check_map(process: str, body: Any, caller: Caller, state: State) -> Checked:
    """Check a decoded body of a request for a map; raises CityzonesError for everything a client can put right."""
    members = models_of(process)
    execute = parse_execute(body)
    _check_formats(execute)
    source = _source(execute, process, caller, state)
    execute = _with_model(execute, default_model(process, state.settings) if source is None else source.model)
    card = _card(execute, process)
    check_inputs(execute.inputs, card, members)
    check_image(execute, card)
    area = _area(execute, card, state)
    _check_catalogue(execute, state)
    uploads = named_uploads(execute.inputs.uploads, caller, state, kinds=_kinds)
    check_subscriber(execute.subscriber, state.settings)
    check_images({p: r for p, r in uploads.items() if p.startswith(_IMAGERY)}, area)
    if source is None:
        state.triton.check_served(card)
    return Checked(process, execute, card, area, source, tuple(uploads.values()))


def _check_formats(execute: Execute) -> None:
    """Raise InvalidRequest where an output is asked for in another format than its own; parameters may be left out."""
    faults = []
    for name, choice in (execute.outputs or {}).items():
        asked, given = choice.format and choice.format.mediaType, OUTPUT_TYPES[name][1]
        if asked and asked != given and asked != given.partition(";")[0]:
            faults.append(Fault(f"/outputs/{name}/format/mediaType", f"{name} comes as {given}, not as {asked[:80]}"))
    if faults:
        raise InvalidRequest(f"{faults[0].pointer}: {faults[0].detail}", faults=faults)


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
    check_source(execute, plan)
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


def _kinds(pointer: str) -> tuple[UploadKind, ...]:
    return ("image",) if pointer.startswith(_IMAGERY) else ("vector",)
