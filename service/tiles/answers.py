"""Pictures as answers: opened by a key or a signed link, tagged, and asked for again by clients after a few minutes."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request, Response

from service.tiles.tilejson import PNG
from service.tiles.viewer import KEY_OR_LINK

PICTURE: Final[dict[str, Any]] = {
    "openapi_extra": KEY_OR_LINK,
    "response_class": Response,
    "responses": {
        200: {"content": {PNG: {"schema": {"type": "string", "contentMediaType": PNG}}}},
        304: {"description": "The client has this picture"},
    },
}


def headers_of(tag: str) -> dict[str, str]:
    """Return the headers of a picture; clients ask again so soon that a dismissed job's are soon gone there as well."""
    return {
        "ETag": tag, "Cache-Control": "private, max-age=300", "Vary": "Authorization, X-API-Key",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }  # fmt: skip


def client_has(request: Request, tag: str) -> bool:
    """Say whether the If-None-Match header of a request names a tag, weakly or strongly."""
    sent = request.headers.get("if-none-match", "")
    return any(one.strip().removeprefix("W/") in {tag, "*"} for one in sent.split(","))
