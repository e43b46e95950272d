"""What the contract says of callbacks: the requests that this service sends to a job's subscriber."""

from __future__ import annotations

from typing import Any, Final

from jobs.public.bodies import JSON

_STATUS: Final = {"$ref": "#/components/schemas/StatusInfo"}
_RESULTS: Final = {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/ResultLink"}}
_HEADERS: Final = {
    "webhook-id": "the message: the same however often it is sent, so that a second copy can be dropped",
    "webhook-timestamp": "when it was sent, Unix seconds; refuse what is older than five minutes",
    "webhook-signature": "Standard Webhooks: v1,<base64 of HMAC-SHA256 over id.timestamp.body>, one for each secret",
}


def _told(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "parameters": [
                {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
                for name, text in _HEADERS.items()
            ],
            "requestBody": {"required": True, "content": {JSON: {"schema": schema}}},
            "responses": {
                "2XX": {"description": "The receiver has it"},
                "410": {"description": "The receiver wants nothing more sent there"},
                "default": {"description": "Sent again later, unless it told progress"},
            },
        }
    }


CALLBACKS: Final[dict[str, Any]] = {
    "jobCompleted": {
        "{$request.body#/subscriber/successUri}": _told("The job is successful: its results, freshly signed", _RESULTS)
    },
    "jobFailed": {"{$request.body#/subscriber/failedUri}": _told("The job has failed: its status, and why", _STATUS)},
    "jobInProgress": {"{$request.body#/subscriber/inProgressUri}": _told("How the job goes", _STATUS)},
}
