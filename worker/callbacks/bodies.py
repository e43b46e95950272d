"""What a callback says: the job's results, or how it stands, as the interface would answer at that moment."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from jobs.callbacks.outbox import Event
from jobs.public.bodies import ResultLink
from jobs.public.results import results_document
from jobs.public.status import status_info
from worker.context import Context

_RESULTS: Final = TypeAdapter(dict[str, ResultLink])


def ending_body(context: Context, job: str, event: Event) -> bytes:
    """Return the results document, its links signed afresh, of a successful job; the statusInfo of a failed one."""
    result = context.store.result(job) if event == "successful" else None
    if result is None:
        return status_body(context, job)
    return _RESULTS.dump_json(results_document(result, context.storage), by_alias=True, exclude_none=True)


def status_body(context: Context, job: str) -> bytes:
    """Return the statusInfo of a job."""
    info = status_info(context.store.read(job), context.settings.public_url)
    return info.model_dump_json(by_alias=True, exclude_none=True).encode()
