"""What BentoML may read as a form of its native endpoint: it would fetch an address it finds in place of a file."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Any, Final

from bentoml.exceptions import BadInput
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

_FORM: Final = "multipart/form-data"


def guard_form(method: Any, *, file: str) -> None:
    """Let a BentoML method read multipart forms alone, whose field `file` is a file and whose others it knows.

    BentoML takes JSON with the path of a file of the server as well, fetches http addresses, leaves out fields it does
    not know, and takes a form that cannot be parsed for a fault of its own.
    """
    read, known = method.input_spec.from_http_request, frozenset(method.input_spec.model_fields)

    async def from_http_request(request: Request, serde: Any) -> Any:
        _check_type(request)
        await _check_fields(request, known, file)
        return await read(request, serde)

    method.input_spec.from_http_request = from_http_request


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        detail = f"the body's Content-Type is {kind[:80] or 'missing'}; send {_FORM}"
        raise BadInput(detail, error_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


async def _check_fields(request: Request, known: Collection[str], file: str) -> None:
    """Raise BadInput for a form that is none, and for fields that are unknown, there twice, or text for a file."""
    try:
        fields = (await request.form()).multi_items()
    except HTTPException as error:
        raise BadInput(error.detail) from error
    names = [name for name, _ in fields]
    for name, value in fields:
        if name not in known:
            raise BadInput(f"the form has a field {name[:60]!r}; known: {', '.join(sorted(known))}")
        if names.count(name) > 1:
            raise BadInput(f"the form has the field {name!r} twice")
        if name == file and not isinstance(value, UploadFile):
            raise BadInput(f"the field {file!r} is not a file: send its bytes, with a filename")
