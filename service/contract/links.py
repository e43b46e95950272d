"""OpenAPI links: which operation goes on with what another one answered."""

from __future__ import annotations

from typing import Any, Final


def _links(parameter: str, expression: str, *operations: str) -> dict[str, Any]:
    return {name: {"operationId": name, "parameters": {parameter: expression}} for name in operations}


_KEY_MADE: Final = _links("key_id", "$response.body#/id", "showKey", "rotateKey", "revokeKey")
_EXECUTION: Final = {"parameters": {"process": "$request.path.process"}, "requestBody": "$request.body"}

# By operation and status.
LINKS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("problemList", "200"): _links("code", "$response.body#/problems/0/code", "problem"),
    ("processList", "200"): _links("process", "$response.body#/processes/0/id", "processDescription"),
    ("execute", "201"): _links(
        "job",
        "$response.body#/jobID",
        "jobStatus",
        "jobRequest",
        "jobLogs",
        "jobEvents",
        "jobResults",
        "blockList",
        "tiles",
        "dismiss",
    ),
    ("estimate", "200"): {"execute": {"operationId": "execute"} | _EXECUTION},
    ("jobList", "200"): _links("job", "$response.body#/jobs/0/jobID", "jobStatus"),
    ("dismiss", "200"): _links("job", "$response.body#/jobID", "jobStatus", "jobResults"),
    ("upload", "201"): _links(
        "upload", "$response.body#/upload", "uploadRecord", "uploadArea", "sendPiece", "completeUpload", "deleteUpload"
    ),
    ("uploadList", "200"): _links("upload", "$response.body#/uploads/0/upload", "uploadRecord"),
    ("makeKey", "201"): _KEY_MADE,
    ("rotateKey", "201"): _KEY_MADE,
}
