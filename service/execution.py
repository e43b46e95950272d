"""From the body of an execute request to a job that exists: the checks, the idempotency key, then the queue."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from jobs.errors import QueueUnavailable
from jobs.idempotency import IdempotencyKeys, Reservation, fingerprint_of
from jobs.ids import new_id
from jobs.public.problems import RequestError
from jobs.queue import INTERACTIVE
from jobs.record import JobRecord, LiveRecord
from jobs.surrogates import check_writable
from jobs.work import PLAN, Work
from models.errors import CityzonesError
from service.access import Caller
from service.asking import Asked, check_request
from service.sizes import asked_km2, is_small
from service.state import State

log = logging.getLogger("cityzones.service")

QUEUE_DOWN: Final = "the job is kept; the queue does not answer for the moment, it starts once the queue does"


def decode(body: bytes) -> Any:
    """Return a JSON body.

    Raises RequestError for what is not JSON in UTF-8, NaN, an object that names twice, or half a surrogate pair.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
        check_writable(value, text)
    except RecursionError as error:
        raise RequestError("malformed-json", "the body is nested too deeply") from error
    except ValueError as error:
        raise RequestError("malformed-json", f"the body is not JSON: {error}") from error
    return value


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job of a request; `replayed` where an earlier request with the same idempotency key made it."""

    record: JobRecord
    replayed: bool = False


def submit(process: str, body: bytes, caller: Caller, state: State, *, key: str | None = None) -> Submitted:
    """Check a request, create its job and enqueue the planning; with an idempotency key that came before, do nothing.

    The job exists once its request is stored. A queue that is down after that costs time, not the job: the recovery
    finds it, and the record's message says so. Raises CityzonesError for everything a client can put right.
    """
    decoded = decode(body)
    if key is None:
        return Submitted(_create(check_request(process, decoded, caller, state), caller, state))
    keys = IdempotencyKeys(state.storage)
    reserved = keys.reserve(caller.tenant, key, fingerprint_of(process, decoded))
    if reserved.replayed:
        return Submitted(state.jobs.read(reserved.job), replayed=True)
    try:
        return Submitted(_create(check_request(process, decoded, caller, state), caller, state, reserved))
    except CityzonesError:
        keys.release(reserved)
        raise


def _create(checked: Asked, caller: Caller, state: State, reserved: Reservation | None = None) -> JobRecord:
    state.crowd.check()
    job = reserved.job if reserved else new_id("job")
    with state.quotas.admitted(caller.tenant, job, asked_km2(checked)):
        request = state.jobs.create(checked.process, checked.execute, tenant=caller.tenant, job=job)
    record = JobRecord(
        job=request.job, process=request.process, title=request.head.title, state="accepted", created=request.created,
        message=LiveRecord().phase,
    )  # fmt: skip
    try:
        work = Work(task=PLAN, job=request.job, tenant=caller.tenant)
        state.queue.send(work, queue=INTERACTIVE if is_small(checked, state) else None)
    except QueueUnavailable as error:
        log.warning("%s was created while the queue is down: %s", request.job, error.detail)
        return record.model_copy(update={"message": QUEUE_DOWN})
    log.info("%s was created: %s, %s", request.job, request.process, checked.told)
    return record


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
