"""Every route of an application, those of included routers too, so that tests can forget none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI


def everything(app: FastAPI) -> list[tuple[str, str]]:
    """Return (method, path template) of every route, in the order they are tried."""
    found = [(method, route.path) for route in _routes(app.routes) for method in sorted(route.methods)]
    assert len(found) > 30
    return found


def _routes(routes: list[Any]) -> Iterator[Any]:
    for route in routes:
        included = getattr(route, "original_router", None)  # FastAPI keeps routers whole
        if included is None:
            yield route
        else:
            yield from _routes(included.routes)
