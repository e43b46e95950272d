"""What stands around every resource, BentoML's own included: measuring, headers, problems, limits, the gate."""

from __future__ import annotations

from starlette.middleware import Middleware

from jobs.settings import Settings
from service.gate import Gate
from service.handlers import ProblemsOnly, Unforeseen
from service.headers import SecurityHeaders, cross_origin
from service.limits import BodyLimit, HeadLimit
from service.queries import Contract, KnownQuery
from service.telemetry import Measured, Metrics
from service.tracing import Named, traced


def around(settings: Settings, metrics: Metrics, contract: Contract, route: str | None = None) -> list[Middleware]:
    """Return the middlewares, outermost first; `route` names an application that has no routes of its own.

    Whatever ends a request early stands inside those that add headers: a page from elsewhere can read why.
    """
    url = settings.public_url
    return [
        *traced(settings),
        Middleware(Measured, metrics=metrics, route=route),
        Middleware(Named),
        Middleware(SecurityHeaders, public_url=url),
        Middleware(ProblemsOnly, public_url=url),
        *cross_origin(settings),
        Middleware(HeadLimit, public_url=url),
        Middleware(Gate, settings=settings),
        Middleware(Unforeseen, public_url=url),
        Middleware(KnownQuery, contract=contract, public_url=url),
        Middleware(BodyLimit, settings=settings),
    ]
