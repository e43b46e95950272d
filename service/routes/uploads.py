"""Uploads: images, parcels and buildings, checked on arrival."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response

from jobs.inspection import inspect_file
from jobs.public.bodies import Link, Upload
from jobs.uploads import UploadRecord
from service.access import OwnUpload, Submitter
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
async def upload(request: Request, response: Response, caller: Submitter, parts: Parts) -> Upload:
    """Receive one file, judge it by its content, keep it, and say what was found in it."""
    settings = parts.settings
    folder = await anyio.to_thread.run_sync(_scratch, parts)
    with folder:
        path = Path(folder.name) / "arriving"
        kind = request.headers.get("content-type", "")
        name = await receive_file(request.stream(), kind, path, limit=settings.max_upload_bytes)
        record = await anyio.to_thread.run_sync(_keep, path, name, caller.tenant, parts)
    response.headers["Location"] = f"{settings.public_url}/uploads/{record.upload}"
    return _body(record, parts)


@router.get("/uploads/{upload}", summary="What was found in an upload")
def upload_record(upload: OwnUpload, parts: Parts) -> Upload:
    """Return an upload's record."""
    return _body(parts.uploads.read(upload), parts)


@router.delete("/uploads/{upload}", status_code=204, summary="Delete an upload")
def delete_upload(upload: OwnUpload, _: Submitter, parts: Parts) -> None:
    """Delete an upload and its file. Jobs that have not read it yet will fail."""
    parts.uploads.delete(upload)


def _scratch(parts: State) -> tempfile.TemporaryDirectory[str]:
    if parts.settings.scratch:
        parts.settings.scratch.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="cityzones-upload-", dir=parts.settings.scratch)


def _keep(path: Path, name: str, tenant: str, parts: State) -> UploadRecord:
    found = inspect_file(path, name, parts.settings)
    record = parts.uploads.add(
        path, filename=name, kind=found.kind, suffix=found.suffix, facts=found.facts, tenant=tenant
    )
    log.info("%s: %s file of %d bytes", record.upload, record.kind, record.size)
    return record


def _body(record: UploadRecord, parts: State) -> Upload:
    here = f"{parts.settings.public_url}/uploads/{record.upload}"
    return Upload(**record.model_dump(), links=[Link(href=here, rel="self", title=record.filename)])
