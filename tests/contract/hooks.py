"""Teaches schemathesis what an OpenAPI document cannot say of this interface. Loaded by `st run`, see run.py."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData

from jobs.public.bodies import ProblemBody
from jobs.public.problems import MEDIA_TYPE

_IMAGE: Final = Path(os.environ["CONTRACT_IMAGE"]).read_bytes()
_OWN_KEY: Final = os.environ["CONTRACT_KEY_ID"]
_LINK: Final = {"expires", "key", "signature"}

# Files: one that can be used, and bytes that are none.
_FILES: Final = st.one_of(st.just(_IMAGE), st.binary(max_size=300), st.just(_IMAGE[:-100]))
for kind in ("image/tiff", "application/octet-stream", "application/offset+octet-stream"):
    schemathesis.openapi.media_type(kind, _FILES)

# OGC API has a format of its own: a time, or two of them, either left open by two dots.
_MOMENTS: Final = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.isoformat().replace("+00:00", "Z")
)
schemathesis.openapi.format(
    "date-time-interval",
    st.one_of(
        _MOMENTS,
        st.tuples(_MOMENTS, _MOMENTS).map(lambda pair: "/".join(sorted(pair))),
        _MOMENTS.map(lambda moment: f"{moment}/.."),
        _MOMENTS.map(lambda moment: f"../{moment}"),
    ),
)


@schemathesis.serializer("application/offset+octet-stream")
def piece(ctx: Any, value: Any) -> Any:
    """Send a piece of a file as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Leave out what is only a part of a signed link: keys are to be tried there too."""
    return {name: value for name, value in query.items() if name not in _LINK} if _partial(query) else query


def _partial(query: Any) -> bool:
    return bool(query) and bool(set(query) & _LINK) and not set(query) >= _LINK


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Spare the key of the run itself, which a key that may do everything could revoke."""
    return (case.path_parameters or {}).get("key_id") != _OWN_KEY


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Let pass what is as it should be, and no schema can say.

    A header nobody knows is ignored (RFC 9110, 5.1). A model whose weights are downloads, and are not here, is a 503.
    """
    if case.operation.path == "/classify" and b'"weights-unavailable"' in response.content:
        return False
    said = failure.message
    return not (isinstance(failure, AcceptedNegativeData) and "in header - object with unexpected properties" in said)


@schemathesis.check
def errors_are_problems(ctx: Any, response: Any, case: Any) -> None:
    """Whatever refuses a request, and however, answers as RFC 9457 has it."""
    if response.status_code < 400 or response.request.method == "HEAD":
        return
    assert response.headers.get("content-type") == [MEDIA_TYPE], "an error is no problem+json"
    assert ProblemBody.model_validate_json(response.content).status == response.status_code, "the status differs"
