"""Parameters as the document tells them: identifiers with their patterns, and never null, which no address can hold."""

from __future__ import annotations

from typing import Any, Final

from jobs.keys import KEY_ID
from jobs.plan import BLOCK_ID
from jobs.public import problems
from jobs.request import JOB_ID, UPLOAD_ID
from service.processes import process_ids

# A path that does not fit is answered 404, as one that names nothing.
_IDS: Final[dict[tuple[str, str], str]] = {
    ("path", "job"): JOB_ID,
    ("path", "upload"): UPLOAD_ID,
    ("path", "block"): BLOCK_ID,
    ("path", "key_id"): f"^{KEY_ID}$",
    ("header", "idempotency-key"): "^[!-~]{1,255}$",
    ("header", "Upload-Checksum"): "^(sha1 [A-Za-z0-9+/]{27}=|sha256 [A-Za-z0-9+/]{43}=)$",
}


def exact(parameter: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter with all that is known of its values."""
    schema = _without_null(parameter["schema"])
    place = parameter["in"], parameter["name"]
    if place in _IDS:
        schema["pattern"] = _IDS[place]
    elif place == ("path", "process"):
        schema["enum"] = process_ids()
    elif place == ("path", "code"):
        schema["enum"] = list(problems.PROBLEMS)
    return parameter | {"schema": schema}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return rest | kinds[0] if len(kinds) == 1 else dict(schema)
