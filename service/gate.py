"""What stands before every resource: the open mode's limits, and keys kept out of addresses and logs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import OpenModeRefused
from jobs.keys import KEY_TEXT
from jobs.keys import Scope as KeyScope
from jobs.loopback import hostname, is_loopback
from jobs.public.problems import RequestError
from jobs.settings import Settings
from models.errors import CityzonesError
from service.doorkeeper import ADDED, Doorkeeper, comes_directly
from service.handlers import respond_to

_IN_QUERY: Final = frozenset({"api_key", "apikey", "api-key", "key", "token", "access_token"})
# Signed links of the service's own carry the id of the secret that signed them as `key`.
_SIGNED: Final = "signature"


@dataclass(frozen=True, slots=True)
class Gate:
    """Pure ASGI middleware: refuses what no resource may see, and adds the doorkeeper's headers to every answer."""

    app: ASGIApp
    settings: Settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with the problem it is."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            _check_address(scope)
            if self.settings.auth == "open":
                check_own_machine(scope, self.settings.cors_origins)
        except CityzonesError as error:
            path = "/" if KEY_TEXT.search(scope["path"]) else scope["path"]
            await respond_to(error, public_url=self.settings.public_url, instance=path)(scope, receive, send)
            return
        added: dict[str, str] = scope.setdefault(ADDED, {})

        async def watch(message: Message) -> None:
            if added and message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(added)
            await send(message)

        await self.app(scope, receive, watch)


@dataclass(frozen=True, slots=True)
class Admission:
    """Pure ASGI middleware for a resource outside the REST interface: asks the doorkeeper as its routes do."""

    app: ASGIApp
    path: str
    needs: KeyScope
    doorkeeper: Callable[[], Doorkeeper]
    public_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what has a key that opens, and every other path."""
        answer: ASGIApp = self.app
        if scope["type"] == "http" and scope["path"] == self.path:
            try:
                (await self.doorkeeper().admit(scope)).check(self.needs)
            except CityzonesError as error:
                answer = respond_to(error, public_url=self.public_url, instance=self.path)
        await answer(scope, receive, send)


def check_own_machine(scope: Scope, origins: Collection[str] = ()) -> None:
    """Raise OpenModeRefused for a request that did not start on this machine, or that a foreign web page made.

    A page elsewhere reaches loopback through the visitor's browser: by a name that resolves to it, which the Host
    header tells, or by plain requests across origins, which the Origin header tells. `origins` are pages the operator
    named; every page at once (`*`) is not among what may be allowed here.
    """
    headers = Headers(scope=scope)
    if not comes_directly(scope):
        raise _refused("the request comes from another machine, or through a proxy")
    if not is_loopback(hostname(f"//{headers.get('host', '')}")):
        raise _refused("the Host header names another machine")
    origin = headers.get("origin")
    if origin is not None and origin not in origins and not is_loopback(hostname(origin)):
        raise _refused("the request was made by a web page from elsewhere")


def _refused(why: str) -> OpenModeRefused:
    return OpenModeRefused(f"{why}; this service asks for no keys and therefore answers its own machine only")


def _check_address(scope: Scope) -> None:
    """Raise RequestError where the path or the query holds a key, or the query a parameter that is meant for one."""
    query = scope.get("query_string", b"").decode("latin-1")
    if KEY_TEXT.search(scope["path"]) or KEY_TEXT.search(unquote(query)):
        raise RequestError("key-in-url", "the address holds a key; it may have been logged on its way: replace it")
    names = {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)} if query else set()
    if _SIGNED not in names and (found := names & _IN_QUERY):
        msg = f"the query has a parameter {min(found)!r}; keys travel in headers only, addresses end up in logs"
        raise RequestError("key-in-url", msg)
