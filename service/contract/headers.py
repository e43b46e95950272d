"""Headers of answers as the document tells them."""

from __future__ import annotations

from typing import Any, Final

_UNAUTHORIZED: Final = 401
_WAIT: Final = (429, 503)


def _header(description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": {"type": "string"} | schema}


LOCATION: Final = _header("where it is", required=True, format="uri")
SECONDS: Final = {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 0}}
ETAG: Final = _header("send it as If-None-Match", required=True, pattern='^(W/)?"[^"]*"$')
_RATE: Final = _header("draft-ietf-httpapi-ratelimit-headers; left out where requests are not limited")
_POLICY: Final = _header("the limit that RateLimit counts")
# Answers to requests that are counted against a tenant's limit.
COUNTED: Final[dict[str, Any]] = {"RateLimit": _RATE, "RateLimit-Policy": _POLICY}
_TUS: Final = {"Tus-Resumable": _header("the version of tus spoken here", required=True, const="1.0.0")}
_OFFSET: Final = {
    "description": "how many bytes are there", "required": True, "schema": {"type": "integer", "minimum": 0},
}  # fmt: skip
_ARRIVED: Final = _TUS | {
    "Upload-Offset": _OFFSET,
    "Upload-Expires": _header("when the service stops waiting", required=True),
}
# Of the answers that are no problems, by operation and status.
OWN: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("execute", "201"): {
        "Location": LOCATION,
        "Preference-Applied": _header("every job is asynchronous", required=True, const="respond-async"),
        "Retry-After": SECONDS,
        "Idempotency-Replayed": _header("the job is of an earlier request", const="true"),
    },
    ("jobStatus", "200"): {"Retry-After": SECONDS | {"description": "seconds to wait; absent once the job has ended"}},
    ("blockDraft", "200"): {"ETag": ETAG},
    ("blockDraft", "304"): {"ETag": ETAG},
    ("largeTile", "200"): {"ETag": ETAG},
    ("largeTile", "304"): {"ETag": ETAG},
    ("tile", "200"): {"ETag": ETAG},
    ("tile", "304"): {"ETag": ETAG},
    ("legendPicture", "200"): {"ETag": ETAG},
    ("legendPicture", "304"): {"ETag": ETAG},
    ("outputFile", "200"): {"ETag": ETAG, "Accept-Ranges": _header("ranges are served", required=True, const="bytes")},
    ("outputFile", "206"): {"ETag": ETAG, "Content-Range": _header("which bytes these are")},
    ("outputFile", "304"): {"ETag": ETAG},
    ("upload", "201"): {"Location": LOCATION},
    ("makeKey", "201"): {"Location": LOCATION},
    ("rotateKey", "201"): {"Location": LOCATION},
    ("announceInPieces", "201"): _ARRIVED | {"Location": LOCATION},
    ("arrivedInPieces", "200"): _ARRIVED | {"Upload-Length": _OFFSET | {"description": "bytes of the whole file"}},
    ("sendPiece", "204"): _ARRIVED,
    ("giveUpPieces", "204"): _TUS,
    ("tusAbilities", "204"): _TUS | {
        "Tus-Version": _header("versions spoken", required=True),
        "Tus-Extension": _header("extensions known", required=True),
        "Tus-Max-Size": _OFFSET | {"description": "bytes a file may have"},
        "Tus-Checksum-Algorithm": _header("of Upload-Checksum", required=True),
    },
}  # fmt: skip


def of_problem(status: int) -> dict[str, Any]:
    """Return the `headers` member of the response of a problem, empty where it has none of its own."""
    if status == _UNAUTHORIZED:
        return {"headers": {"WWW-Authenticate": _header("how to say who asks", required=True)}}
    return {"headers": {"Retry-After": SECONDS | {"required": True}}} if status in _WAIT else {}
