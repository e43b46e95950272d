"""Every route of an application, those of included routers too, so that tests can forget none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI

_HARMLESS: Final = {
    "process": "local-climate-zones", "code": "internal", "name": "x", "key": "0" * 26, "z": "10", "x": "3", "y": "4",
    "number": "0", "node": "0", "tile": "0", "block": "r0000c0000",
}  # fmt: skip


def everything(app: FastAPI) -> list[tuple[str, str]]:
    """Return (method, path template) of every route, in the order they are tried."""
    found = [(method, route.path) for route in _routes(app.routes) for method in sorted(route.methods)]
    assert len(found) > 30
    return found


def filled(path: str, **ids: str) -> str:
    """Return a path from its template: ids as told, and something that fits for what names nobody's things."""
    values = _HARMLESS | ids
    return re.sub(r"\{(\w+)(?::path)?\}", lambda found: values[found[1].removesuffix("_id")], path)


def _routes(routes: list[Any]) -> Iterator[Any]:
    for route in routes:
        included = getattr(route, "original_router", None)  # FastAPI keeps routers whole
        if included is None:
            yield route
        else:
            yield from _routes(included.routes)
