"""Every error the interface can answer with: one table from code to status and title, and its RFC 9457 body."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from models.errors import CityzonesError, Fault

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 5
_OGC: Final = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
_UNAUTHORIZED: Final = 401
SERVER_ERROR: Final = 500
_UNAVAILABLE: Final = 503


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of the table: what a code means, which status it travels with, and what the client does next.

    `uri` replaces the service's own type URI where the OGC standard defines one.
    """

    status: int
    title: str
    advice: str
    uri: str | None = None


_FIX_FIELDS: Final = "Correct the fields named in errors and send the request again."
_TRY_LATER: Final = "Wait as long as Retry-After says and send the same request again."
_REPORT: Final = "The fault is the service's. Tell its operator the reference."

PROBLEMS: Final[dict[str, Problem]] = {
    # What HTTP itself refuses.
    "malformed-json": Problem(400, "The body is not JSON", "Send one JSON object, UTF-8, without NaN or double names."),
    "malformed-request": Problem(400, "The request is malformed", "Compare it with /openapi.json."),
    "invalid-parameter": Problem(400, "A parameter is invalid", _FIX_FIELDS),
    "unauthorized": Problem(401, "Authentication is needed", "Send a key as Authorization: Bearer or X-API-Key."),
    "forbidden": Problem(403, "Not allowed", "Ask the operator for access."),
    "not-found": Problem(404, "Nothing is here", "Start from the links of the landing page."),
    "method-not-allowed": Problem(405, "The resource has no such method", "Use a method of the Allow header."),
    "not-acceptable": Problem(406, "No such representation", "Accept application/json."),
    "request-timeout": Problem(408, "The body came too slowly", "Send it again, or in parts, to /uploads/resumable."),
    "body-too-large": Problem(413, "The body is too large", "Send less; large files go to /uploads."),
    "uri-too-long": Problem(414, "The address is too long", "Send what is long in a body."),
    "unsupported-media-type": Problem(415, "The body has the wrong type", "Use the Content-Type the resource names."),
    "range-not-satisfiable": Problem(416, "The range lies outside the file", "Ask for bytes within its size."),
    "headers-too-large": Problem(431, "The headers are too large", "Send fewer and shorter headers."),
    "too-many-requests": Problem(429, "Too many requests", _TRY_LATER),
    "too-many-jobs": Problem(429, "Too many jobs are running", "Wait for one to end, or dismiss one; then try again."),
    "area-quota-exceeded": Problem(
        429, "The month's square kilometres are used up", "Wait until the month turns, or ask the operator for more."
    ),
    "open-mode-refused": Problem(
        403, "This service answers its own machine only", "Ask the operator to serve with keys: CITYZONES_AUTH=keys."
    ),
    "key-in-url": Problem(
        400, "A key does not belong in an address", "Send it as Authorization: Bearer or X-API-Key, and replace it."
    ),
    "unknown-key": Problem(404, "There is no such key", "List the keys at /keys."),
    "too-many-keys": Problem(409, "There are too many keys", "Revoke keys that are not used."),
    "keys-not-used": Problem(409, "This service asks for no keys", "Serve with CITYZONES_AUTH=keys to use keys."),
    "internal": Problem(500, "The service failed", _REPORT),
    "unavailable": Problem(503, "The service is not available", _TRY_LATER),
    "not-ready": Problem(503, "A part of the service does not answer", "Look at the part named in parts."),
    "timeout": Problem(504, "The service took too long", "Send a smaller request, or try again."),
    # What a request asks for.
    "invalid-request": Problem(422, "The request does not describe a job", _FIX_FIELDS),
    "invalid-area": Problem(422, "The area of interest cannot be used", "Correct the outline and send it again."),
    "empty-area": Problem(422, "The area of interest is empty", "Draw a polygon with an inside."),
    "antimeridian": Problem(422, "The area crosses the antimeridian", "Send one job for each side of it."),
    "area-out-of-limits": Problem(
        422, "The area is outside the limits", "Draw it within the limits of /processes/{id}, or split it."
    ),
    "unknown-model": Problem(422, "There is no such model", "Choose a model of /processes/{id}."),
    "invalid-idempotency-key": Problem(
        400, "The Idempotency-Key cannot be used", "Send 1 to 255 visible ASCII characters, or leave the header out."
    ),
    "idempotency-key-reused": Problem(
        422, "The Idempotency-Key belongs to another request", "Send a new request under a new key."
    ),
    "request-in-flight": Problem(409, "The same request is being answered", _TRY_LATER),
    "unknown-process": Problem(
        404, "There is no such process", "Choose a process of /processes.", f"{_OGC}no-such-process"
    ),
    "callback-refused": Problem(
        422, "A callback may not go there", "Give public https addresses in subscriber, or poll the job instead."
    ),
    "callbacks-not-configured": Problem(
        422, "Callbacks are not set up", "Leave subscriber out and poll the job, or ask the operator to set them up."
    ),
    "unknown-upload": Problem(404, "There is no such upload", "POST the file to /uploads first."),
    # What an uploaded file is.
    "bad-image": Problem(422, "The image cannot be used", "Correct the file and upload it again."),
    "wrong-bands": Problem(422, "The image lacks bands", "Give the model's bands, or name them in imagery.bands."),
    "unsupported-format": Problem(
        415, "The file's format is not accepted", "Send a GeoTIFF, JPEG 2000, GeoPackage, GeoJSON or GeoParquet file."
    ),
    "bad-vector": Problem(422, "The features cannot be used", "Correct the file and upload it again."),
    "missing-crs": Problem(422, "The file does not say its CRS", "Write the CRS into the file and upload it again."),
    "parcels-outside-area": Problem(
        422, "No parcel touches the area", "Check the parcels' CRS and the area of interest."
    ),
    "upload-too-large": Problem(413, "The file is too large", "Cut or compress the file to fit the limit."),
    "upload-not-complete": Problem(
        409, "The upload is not complete", "Send the bytes that are missing, then POST to /uploads/{upload}/complete."
    ),
    "upload-quota-exceeded": Problem(
        413, "Too much is kept", "Delete uploads that are no longer needed, or wait until some expire."
    ),
    "checksum-mismatch": Problem(422, "The bytes are not those announced", "Send the file again."),
    "piece-mismatch": Problem(460, "The piece is not what its checksum says", "Send the piece again."),  # tus's status
    "size-mismatch": Problem(422, "The size is not the one announced", "Announce the file again with its size."),
    "offset-conflict": Problem(409, "The piece begins elsewhere", "Ask for Upload-Offset with HEAD and go on from it."),
    "too-many-parts": Problem(413, "The upload came in too many pieces", "Start again with pieces of some MiB."),
    "tus-version": Problem(412, "The tus version is not known", "Send Tus-Resumable: 1.0.0."),
    "scratch-full": Problem(507, "There is no room for the file", "Send it again later; tell the operator."),
    # What becomes of a job.
    "unknown-job": Problem(404, "There is no such job", "List the jobs at /jobs.", f"{_OGC}no-such-job"),
    "result-not-ready": Problem(
        404, "The job has not finished", "Poll the job until it is successful.", f"{_OGC}result-not-ready"
    ),
    "job-failed": Problem(500, "The job failed", "Read the detail; send a new job once the cause is gone."),
    "job-dismissed": Problem(410, "The job was dismissed", "Send the job again if the map is still wanted."),
    "results-deleted": Problem(410, "The results were deleted", "Send the job again if the map is still wanted."),
    "wrong-transition": Problem(409, "The job has ended otherwise", "Read the job's status."),
    "no-imagery": Problem(422, "No imagery was found", "Widen the dates or the cloud cover, or upload an image."),
    "too-little-coverage": Problem(
        422, "Too little of the area could be mapped", "Widen the dates or the cloud cover, or lower min_coverage."
    ),
    "imagery-unavailable": Problem(503, "The imagery host does not answer", _TRY_LATER),
    "inference-unavailable": Problem(503, "The model server does not answer", _TRY_LATER),
    "queue-unavailable": Problem(503, "The queue does not answer", _TRY_LATER),
    "queue-full": Problem(503, "Too many jobs wait", _TRY_LATER),
    "storage-unavailable": Problem(503, "The storage does not answer", _TRY_LATER),
    "map-unreadable": Problem(500, "The map cannot be read", _REPORT),
    "link-refused": Problem(403, "The link is not good", "Ask the job for a fresh link."),
    "too-many-streams": Problem(503, "Too many streams of events are open", "Poll the job's status, or come again."),
    # What annotators do to a project.
    "no-annotation-project": Problem(
        404, "The job has no annotation project", "Execute the process annotation-project and wait for its end."
    ),
    "annotation-conflict": Problem(409, "Somebody else changed the same", "Load the project again, look, and save."),
    "invalid-edit": Problem(422, "The project has no such thing", "Load the project again; send what it lists."),
    # What an operator sees.
    "bad-card": Problem(500, "A model card is broken", _REPORT),
    "weights-unavailable": Problem(
        503, "The model's weights are not here", "Ask the operator to fetch them: cityzones models fetch."
    ),
    "bad-morphology": Problem(500, "Buildings and grid do not fit", _REPORT),
    "bad-procedural-city": Problem(500, "The sample city cannot be made", _REPORT),
    "bad-training": Problem(500, "The training run cannot be made", "Ask for a run within the limits named."),
    "bad-dataset": Problem(
        500, "A data set cannot be used", "Correct what the message names, or fetch the file again."
    ),
    "bad-city": Problem(500, "A city's folder cannot be used", "Correct what the message names."),
    "bad-tiles": Problem(500, "A folder of tiles cannot be used", "Correct what the message names."),
    "bad-probabilities": Problem(500, "Answers cannot be fused", "Fuse probabilities of one shape and one place."),
    "stack-failed": Problem(500, "A server of the embedded stack failed", "Read the log the message names."),
    "model-failed": Problem(500, "The model server could not load a model", "Read the model server's log."),
    "triton-missing": Problem(500, "There is no model server", "Install one as the message says."),
    "no-repository": Problem(500, "No models are published", "Publish them: cityzones models publish-repository."),
    "damaged-repository": Problem(500, "The published models are damaged", "Do what the message says."),
    "worker-lost": Problem(
        500, "The worker ended while it mapped", "Send the job again; tell the operator if it recurs."
    ),
    "service-unreachable": Problem(503, "The service cannot be reached", "Check its address, and that it is up."),
    "broken-download": Problem(500, "A download is not what was announced", "Fetch the results again."),
    "missing-extra": Problem(
        500, "A package is not installed", "Install the train extra: pip install cityzones[train]."
    ),
}

# Which row stands for a bare HTTP status that carries no code of ours.
BY_STATUS: Final[dict[int, str]] = {
    400: "malformed-request", 401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "method-not-allowed",
    406: "not-acceptable", 408: "request-timeout", 413: "body-too-large", 414: "uri-too-long",
    415: "unsupported-media-type", 416: "range-not-satisfiable", 422: "invalid-parameter", 429: "too-many-requests",
    431: "headers-too-large", 503: "unavailable", 504: "timeout",
}  # fmt: skip


class RequestError(CityzonesError):
    """A request HTTP itself refuses; the code is a row of the table."""

    code = "malformed-request"

    def __init__(self, code: str, detail: str, *, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail, faults=faults)
        self.code = code


def row(code: str) -> Problem:
    """Return a code's row; a code the table does not know is the service's own fault."""
    return PROBLEMS.get(code, PROBLEMS["internal"])


def code_of_status(status: int) -> str:
    """Return the code that stands for a bare HTTP status."""
    return BY_STATUS.get(status, "internal" if status >= SERVER_ERROR else "malformed-request")


def type_uri(code: str, public_url: str) -> str:
    """Return the stable `type` of a code: the standard's own URI where it has one, else /problems/<code>."""
    known = code if code in PROBLEMS else "internal"
    return PROBLEMS[known].uri or f"{public_url.rstrip('/')}/problems/{known}"


def body(
    code: str,
    detail: str,
    *,
    public_url: str,
    instance: str,
    status: int | None = None,
    faults: Sequence[Fault] = (),
    reference: str | None = None,
) -> dict[str, Any]:
    """Return the RFC 9457 object: type, title, status, detail, instance, and ours: code, advice, errors, reference.

    `errors` lists {"pointer", "detail"} with JSON Pointers into the request.
    """
    found = row(code)
    members: dict[str, Any] = {
        "type": type_uri(code, public_url),
        "title": found.title,
        "status": status or found.status,
        "detail": detail,
        "instance": instance,
        "code": code if code in PROBLEMS else "internal",
        "advice": found.advice,
    }
    if faults:
        members["errors"] = [{"pointer": f.pointer, "detail": f.detail} for f in faults]
    return members | ({"reference": reference} if reference else {})


def headers_of(code: str, status: int) -> dict[str, str]:
    """Return the headers a problem travels with: how to say who asks, and when to come again where that can help."""
    if status == _UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="cityzones"'}
    return {"Retry-After": str(RETRY_SECONDS)} if status == _UNAVAILABLE or code == "request-in-flight" else {}


def is_server_fault(status: int) -> bool:
    """Say whether a status means that the service, not the request, is at fault."""
    return status >= SERVER_ERROR


def as_markdown() -> str:
    """Return the table as docs/errors.md holds it."""
    lines = [
        "# Errors",
        "",
        "Every error is `application/problem+json` (RFC 9457). `code` and `type` are stable; `detail` is for people.",
        "A 5xx carries a `reference` that the service's log repeats, and never the text of an exception.",
        "`errors` points at each fault of the request by JSON Pointer. This page is written by",
        "`python -m jobs.public.problems > docs/errors.md`; the types of the OGC standard start with",
        f"`{_OGC}`, all others with the service's own address and `/problems/`.",
        "",
        "| code | status | title | what to do | type |",
        "|-|-|-|-|-|",
    ]
    for code, found in PROBLEMS.items():
        uri = f"OGC `{found.uri.removeprefix(_OGC)}`" if found.uri else f"`/problems/{code}`"
        lines.append(f"| `{code}` | {found.status} | {found.title} | {found.advice} | {uri} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
