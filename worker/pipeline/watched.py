"""What operators see of a step: its span, its time by outcome, and its job in every line of the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from opentelemetry.trace import SpanKind, Status, StatusCode

from jobs.metrics import STEP_SECONDS, Outcome, timed
from jobs.reporting import about
from jobs.tracing import span_below
from models.errors import CityzonesError
from worker.context import Context

_WHOLE: Final = ("plan", "assemble", "callback")


@contextmanager
def watched(context: Context, job: str, name: str, *, kind: SpanKind = SpanKind.CONSUMER) -> Iterator[Outcome]:
    """Watch a step of a job: "plan", "assemble", "callback" or the name of a block.

    The block may set the outcome: "done" unless told, "failed" where it raises.
    """
    step, block = (name, None) if name in _WHOLE else ("block", name)
    told = {"job": job, "step": step} | ({"block": block} if block else {})
    with (
        span_below(_traceparent(context, job), step, kind=kind, **told) as span,
        about(**told),
        timed(STEP_SECONDS, step) as outcome,
    ):
        yield outcome
        span.set_attribute("cityzones.outcome", outcome.word)
        if outcome.word == "failed":
            span.set_status(Status(StatusCode.ERROR))


def _traceparent(context: Context, job: str) -> str | None:
    """Return the span all steps of a job are below; the step itself finds out where the job cannot be read."""
    if context.settings.tracing:
        with suppress(CityzonesError):
            return context.store.head(job).traceparent
    return None
