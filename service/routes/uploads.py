"""Uploads: images, parcels and buildings, checked on arrival."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response

from jobs.errors import UnknownUpload
from jobs.inspection import inspect_file
from jobs.request import UPLOAD_ID
from jobs.uploads import UploadRecord
from service.bodies import Link, Upload
from service.receive import FIELD, receive_file
from service.state import Parts, State

router = APIRouter(tags=["Uploads"])
log = logging.getLogger("cityzones.service")

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "contentMediaType": "application/octet-stream"}},
                }
            }
        },
    }
}


@router.post("/uploads", status_code=201, summary="Send an image or vector file", openapi_extra=_FORM)
async def upload(request: Request, response: Response, parts: Parts) -> Upload:
    """Receive one file, judge it by its content, keep it, and say what was found in it."""
    settings = parts.settings
    folder = await anyio.to_thread.run_sync(_scratch, parts)
    with folder:
        path = Path(folder.name) / "arriving"
        kind = request.headers.get("content-type", "")
        name = await receive_file(request.stream(), kind, path, limit=settings.max_upload_bytes)
        record = await anyio.to_thread.run_sync(_keep, path, name, parts)
    response.headers["Location"] = f"{settings.public_url}/uploads/{record.upload}"
    return _body(record, parts)


@router.get("/uploads/{upload}", summary="What was found in an upload")
def upload_record(upload: str, parts: Parts) -> Upload:
    """Return an upload's record."""
    return _body(parts.uploads.read(_known_id(upload)), parts)


@router.delete("/uploads/{upload}", status_code=204, summary="Delete an upload")
def delete_upload(upload: str, parts: Parts) -> None:
    """Delete an upload and its file. Jobs that have not read it yet will fail."""
    parts.uploads.delete(_known_id(upload))


def _scratch(parts: State) -> tempfile.TemporaryDirectory[str]:
    if parts.settings.scratch:
        parts.settings.scratch.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="cityzones-upload-", dir=parts.settings.scratch)


def _keep(path: Path, name: str, parts: State) -> UploadRecord:
    found = inspect_file(path, name, parts.settings)
    record = parts.uploads.add(path, filename=name, kind=found.kind, suffix=found.suffix, facts=found.facts)
    log.info("%s: %s file of %d bytes", record.upload, record.kind, record.size)
    return record


def _known_id(upload: str) -> str:
    if not re.fullmatch(UPLOAD_ID, upload):
        msg = f"there is no upload {upload[:60]!r}; POST the file to /uploads first"
        raise UnknownUpload(msg)
    return upload


def _body(record: UploadRecord, parts: State) -> Upload:
    here = f"{parts.settings.public_url}/uploads/{record.upload}"
    return Upload(**record.model_dump(), links=[Link(href=here, rel="self", title=record.filename)])
