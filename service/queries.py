"""Refuses queries the contract does not tell of: a parameter that is misspelt would change nothing, and say nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import CityzonesError, Fault
from service.handlers import respond_to


class UnknownParameter(CityzonesError):
    """A query has a parameter that the resource does not know, or one twice that it knows once."""

    code = "invalid-parameter"


class Contract:
    """What an OpenAPI document, built when first asked, has at a path: methods, and query parameters of each."""

    def __init__(self, document: Callable[[], dict[str, Any]]) -> None:
        self._document = document

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], dict[str, Any]]]:
        # The one parameter that holds slashes is the key of a file.
        known = self._document()["paths"].items()
        return [(compile_path(path.replace("{key}", "{key:path}"))[0], operations) for path, operations in known]

    def parameters(self, method: str, path: str) -> dict[str, bool] | None:
        """Return an operation's query parameters, and whether each may come several times; None for no operation."""
        wanted = "get" if method == "HEAD" else method.lower()
        for pattern, operations in self._paths:
            if pattern.match(path) and (operation := operations.get(method.lower()) or operations.get(wanted)):
                told = (p for p in operation.get("parameters", ()) if p["in"] == "query")
                return {p["name"]: p["schema"].get("type") == "array" for p in told}
        return None

    def methods(self, path: str) -> set[str]:
        """Return the methods of the first path of the document that fits; none for what it does not tell of."""
        found = (operations for pattern, operations in self._paths if pattern.match(path))
        return {method.upper() for method in next(found, ())}


@dataclass(frozen=True, slots=True)
class KnownQuery:
    """Pure ASGI middleware; a request without a query passes at once."""

    app: ASGIApp
    contract: Contract
    public_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400."""
        answer: ASGIApp = self.app
        if scope["type"] == "http" and scope["query_string"]:
            known = self.contract.parameters(scope["method"], scope["path"])
            try:
                _check(scope["query_string"].decode("latin-1"), known)
            except UnknownParameter as error:
                answer = respond_to(error, public_url=self.public_url, instance=scope["path"])
        await answer(scope, receive, send)


def _check(query: str, known: Mapping[str, bool] | None) -> None:
    """Raise UnknownParameter for what an operation does not know; of paths that are no operation nothing is known."""
    if known is None:
        return
    names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    for name in dict.fromkeys(names):
        if name not in known:
            raise _refused(name, f"unknown parameter {name[:60]!r}; {_hint(name, known)}")
        if names.count(name) > 1 and not known[name]:
            raise _refused(name, f"the parameter {name!r} may come once")


def _hint(name: str, known: Mapping[str, bool]) -> str:
    near = difflib.get_close_matches(name[:60], known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"


def _refused(name: str, detail: str) -> UnknownParameter:
    return UnknownParameter(detail, faults=[Fault(name[:60], detail)])
