"""Which problems every operation may answer with, and the responses of the document that tell them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jobs.public import problems
from jobs.public.problems import MEDIA_TYPE
from service.contract.headers import of_problem

# Whatever is asked: the address, the head, the body's size, and who may ask in open mode.
_ANY: Final = (
    "malformed-request", "invalid-parameter", "key-in-url", "open-mode-refused", "body-too-large", "uri-too-long",
    "headers-too-large", "internal", "storage-unavailable",
)  # fmt: skip
_WITH_KEY: Final = ("unauthorized", "forbidden", "too-many-requests")
_WITH_BODY: Final = ("request-timeout", "unsupported-media-type")
_JOB: Final = ("unknown-job",)
_UPLOAD: Final = ("unknown-upload",)
_KEY: Final = ("keys-not-used",)
_REQUEST: Final = (
    "malformed-json", "unknown-process", "invalid-request", "invalid-area", "empty-area", "antimeridian",
    "area-out-of-limits", "unknown-model", "callback-refused", "callbacks-not-configured", "bad-image",
    "weights-unavailable", "inference-unavailable",
)  # fmt: skip
_MAP: Final = (
    *_JOB, "result-not-ready", "not-found", "job-dismissed", "results-deleted", "link-refused", "map-unreadable",
    "unavailable",
)  # fmt: skip
_BLOCKS: Final = (*_JOB, "job-dismissed", "results-deleted", "link-refused")
_PROJECT: Final = (
    *_JOB, "result-not-ready", "not-found", "job-dismissed", "results-deleted", "no-annotation-project",
)  # fmt: skip
_EDITED: Final = (*_PROJECT, "invalid-edit")
_FILE: Final = (
    "unsupported-format", "bad-image", "bad-vector", "missing-crs", "upload-too-large", "upload-quota-exceeded",
    "checksum-mismatch", "size-mismatch", "scratch-full",
)  # fmt: skip
_PIECES: Final = (*_FILE, "tus-version", "offset-conflict", "piece-mismatch", "too-many-parts", "upload-not-complete")
_FAILURES: Final = (
    "job-failed", "internal", "worker-lost", "no-imagery", "too-little-coverage", "imagery-unavailable",
    "inference-unavailable", "storage-unavailable", "weights-unavailable", "parcels-outside-area", "bad-image",
    "wrong-bands", "bad-vector", "missing-crs", "unsupported-format", "upload-too-large", "unknown-upload",
    "invalid-request", "invalid-area", "empty-area", "area-out-of-limits", "antimeridian", "unknown-model",
    "bad-morphology",
)  # fmt: skip
_OWN: Final[dict[str, tuple[str, ...]]] = {
    "problem": ("not-found",),
    "processDescription": ("unknown-process",),
    "execute": (
        *_REQUEST, "invalid-idempotency-key", "idempotency-key-reused", "request-in-flight", "too-many-jobs",
        "queue-full",
        "area-quota-exceeded",
    ),
    "estimate": (*_REQUEST, "imagery-unavailable"),
    "jobStatus": _JOB,
    "dismiss": (*_JOB, "wrong-transition"),
    "jobRequest": _JOB,
    "jobLogs": _JOB,
    "jobEvents": (*_JOB, "too-many-streams"),
    "jobResults": (*_JOB, *_FAILURES, "result-not-ready", "job-dismissed", "results-deleted"),
    "blockList": _BLOCKS,
    "blockDraft": (*_BLOCKS, "not-found"),
    "tiles": _MAP,
    "largeTile": _MAP,
    "tile": _MAP,
    "legend": _MAP,
    "legendPicture": _MAP,
    "point": _MAP,
    "annotation": _PROJECT,
    "clusters": _EDITED,
    "clusterMasks": _EDITED,
    "maskWall": _EDITED,
    "masksOfTile": _EDITED,
    "tileImage": _EDITED,
    "tileLabels": _EDITED,
    "saveEdit": (*_EDITED, "annotation-conflict", "malformed-json"),
    "editHistory": _PROJECT,
    "announceInPieces": (*_PIECES, "request-timeout"),
    "arrivedInPieces": (*_PIECES, *_UPLOAD),
    "sendPiece": (*_PIECES, *_UPLOAD, "request-timeout"),
    "giveUpPieces": ("tus-version", *_UPLOAD),
    "upload": (*_FILE, "malformed-json", "request-timeout"),
    "completeUpload": (*_FILE, *_UPLOAD, "upload-not-complete", "too-many-parts"),
    "uploadRecord": _UPLOAD,
    "uploadArea": (
        *_UPLOAD, "upload-not-complete", "bad-vector", "bad-image", "missing-crs", "invalid-area", "empty-area",
        "antimeridian", "scratch-full",
    ),
    "deleteUpload": _UPLOAD,
    "outputFile": ("not-found", "link-refused", "range-not-satisfiable"),
    "keyList": _KEY,
    "makeKey": (*_KEY, "too-many-keys", "malformed-json"),
    "showKey": (*_KEY, "unknown-key"),
    "revokeKey": (*_KEY, "unknown-key"),
    "rotateKey": (*_KEY, "unknown-key", "too-many-keys", "malformed-json"),
    "callbackSecret": ("not-found",),
    "readyz": ("not-ready",),
    "metrics": ("unauthorized",),
    "classify": (
        "unknown-model", "unsupported-format", "bad-image", "wrong-bands", "missing-crs", "upload-too-large",
        "weights-unavailable", "inference-unavailable", "timeout", "unavailable",
    ),
}  # fmt: skip


def refusals(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the responses of an operation that are problems, one a status, with the codes that it may carry."""
    codes = {*_ANY, *_OWN.get(operation["operationId"], ())}
    codes.update(_WITH_KEY if "security" in operation else ())
    codes.update(_WITH_BODY if "requestBody" in operation else ())
    return responses(codes, failed_job=operation["operationId"] == "jobResults")


def responses(codes: Iterable[str], *, failed_job: bool = False) -> dict[str, Any]:
    """Return responses by status; a failed job's own problem has a status below 503, whatever its code's is."""
    found: dict[int, list[str]] = defaultdict(list)
    for code in sorted(codes):
        found[problems.row(code).status].append(code)
        if failed_job and code in _FAILURES and problems.row(code).status > problems.SERVER_ERROR:
            found[problems.SERVER_ERROR].append(code)
    return {str(status): _response(status, members) for status, members in sorted(found.items())}


def _response(status: int, codes: list[str]) -> dict[str, Any]:
    schema = {
        "allOf": [{"$ref": "#/components/schemas/ProblemBody"}],
        "properties": {"status": {"const": status}, "code": {"enum": codes}},
    }
    description = "; ".join(f"{problems.row(code).title} (`{code}`)" for code in codes)
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}} | of_problem(status)
