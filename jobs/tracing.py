"""OpenTelemetry traces: one trace a job, from the request that made it to every tile the model server is asked about.

The span all steps of a job are below is kept with the job's truth, in request.json, and not in messages: a step knows
it whichever message brought it here, also after the queue was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Final, ParamSpec, TypeVar

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jobs.metrics import software_version
from jobs.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

# Until `start_tracing` was called with tracing on, its spans record nothing.
TRACER: Final = trace.get_tracer("cityzones", software_version())
_W3C: Final = TraceContextTextMapPropagator()
_HEADER: Final = "traceparent"


def start_tracing(name: str, settings: Settings) -> None:
    """Send this process's spans where the standard OTEL_ variables say (OTLP over HTTP); nothing where tracing is off.

    `name` is the service's where OTEL_SERVICE_NAME tells none. Call it after a fork: a thread sends the spans.
    """
    if not settings.tracing:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - costs 0.1 s
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    told = {SERVICE_NAME: name, SERVICE_VERSION: software_version()}
    resource = Resource.create({**told, **OTELResourceDetector().detect().attributes})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def stop_tracing() -> None:
    """Send what has not been sent; for processes that end without Python's own end."""
    end = getattr(trace.get_tracer_provider(), "shutdown", None)
    if end is not None:
        end()


def current_traceparent() -> str | None:
    """Return the present span as W3C Trace Context writes it, None where nothing is traced."""
    return trace_headers().get(_HEADER)


def trace_headers() -> dict[str, str]:
    """Return the headers that tell another server of the present span; none where nothing is traced."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier


def trace_id() -> str | None:
    """Return the id of the present trace, 32 hexadecimal digits, None where nothing is traced."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


@contextmanager
def span_below(
    traceparent: str | None, name: str, *, kind: SpanKind = SpanKind.CONSUMER, **attributes: str
) -> Iterator[Span]:
    """Run a block as a span below another process's; attributes become `cityzones.<name>`."""
    parent = _W3C.extract({_HEADER: traceparent}) if traceparent else context.Context()
    told = {f"cityzones.{key}": value for key, value in attributes.items()}
    with TRACER.start_as_current_span(name, parent, kind, told) as span:
        yield span


def carried(call: Callable[P, R]) -> Callable[P, R]:
    """Return a call that sees the present span, job and request in whichever thread it runs."""
    here = copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return here.copy().run(call, *args, **kwargs)  # a context is entered by one thread at a time

    return run
