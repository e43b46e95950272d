"""HEAD for everything that has GET: the same status and headers, and no body."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Heads:
    """Pure ASGI middleware: a HEAD that no route answers is asked as GET. The answer ends with its head.

    What goes on sending, as a stream of events does, is told then that the client is gone.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass every other request through."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or answers("HEAD", scope, scope["app"].routes):
            await self.app(scope, receive, send)
            return
        ended = False

        async def head(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                ended = True

        async def until_answered() -> Message:
            return {"type": "http.disconnect"} if ended else await receive()

        await self.app({**scope, "method": "GET"}, until_answered, head)


def answers(method: str, scope: Scope, routes: Iterable[BaseRoute]) -> bool:
    """Say whether a route answers a method at the path of a request."""
    asked = {**scope, "method": method}
    return any(route.matches(asked)[0] is Match.FULL for route in routes)
