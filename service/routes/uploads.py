"""Uploads: images, parcels and buildings, sent with a request or announced by it, and checked before they are kept."""

from __future__ import annotations

import logging
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import anyio
from fastapi import APIRouter, Query, Request, Response

from jobs.public.bodies import AreaFound, AwaitedUpload, Link, Upload, UploadList
from jobs.public.problems import RequestError
from jobs.request import UPLOAD_ID
from jobs.uploads import AwaitedRecord, UploadRecord
from jobs.uploads.arrival import complete, keep, scratch_folder
from jobs.uploads.ledger import check_allowance
from service import digests
from service.access import Caller, OwnUpload, Reader, Submitter
from service.announced import Announcement, allowance, announce, parse_announcement, told_of, way_of
from service.execution import decode
from service.limits import FORM_OVERHEAD
from service.outlines import area_of_upload
from service.receive import FIELD, receive_file
from service.state import Parts, State

router = APIRouter(tags=["Uploads"])
log = logging.getLogger("cityzones.service")

_ANNOUNCEMENT_BYTES: Final = 16_384
_BODIES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "additionalProperties": False,
                    "properties": {FIELD: {"type": "string", "contentMediaType": "application/octet-stream"}},
                }
            },
            "application/json": {"schema": Announcement.model_json_schema()},
        },
    }
}


@router.post(
    "/uploads",
    status_code=201,
    response_model_exclude_none=True,
    summary="Send an image or vector file, or announce one",
    openapi_extra=_BODIES,
)
async def upload(request: Request, response: Response, caller: Submitter, parts: Parts) -> Upload | AwaitedUpload:
    """Receive one file as a form, judge it by its content, keep it, and say what was found in it.

    Or, as JSON, take the announcement of a file that comes by itself: the answer says where its bytes go.
    """
    announced = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    record = await (_announced if announced else _received)(request, caller, parts)
    response.headers["Location"] = f"{parts.settings.public_url}/uploads/{record.upload}"
    return await anyio.to_thread.run_sync(told_of, record, caller, parts)


@router.post("/uploads/{upload}/complete", summary="Say that all bytes of an announced file are sent")
def complete_upload(upload: OwnUpload, caller: Submitter, parts: Parts) -> Upload:
    """Check an announced file that has come, and keep it; for one that is complete this only returns its record."""
    told = told_of(complete(parts.uploads, upload), caller, parts)
    assert isinstance(told, Upload)  # noqa: S101 - the record is of one that has arrived
    return told


@router.get("/uploads", response_model_exclude_none=True, summary="List the uploads, newest first")
def upload_list(
    caller: Reader,
    parts: Parts,
    limit: Annotated[int, Query(ge=1, le=1000, description="uploads a page")] = 50,
    before: Annotated[
        str | None, Query(pattern=UPLOAD_ID, description="start after this upload; the next link sets it")
    ] = None,
) -> UploadList:
    """Return a page of uploads, announced ones among them, and a `next` link where there are more."""
    found = parts.uploads.ledger.newest(caller.tenant, limit=limit + 1, before=before)
    shown = [record for upload in found[:limit] if (record := parts.uploads.look(upload))]
    links = [_page("self", "This page", limit, before, parts)]
    if len(found) > limit:
        links.append(_page("next", "Older uploads", limit, found[limit - 1], parts))
    return UploadList(uploads=[told_of(record, caller, parts) for record in shown], links=links)


@router.head("/uploads/{upload}", include_in_schema=False)
@router.get("/uploads/{upload}", response_model_exclude_none=True, summary="What was found in an upload")
def upload_record(upload: OwnUpload, caller: Reader, parts: Parts) -> Upload | AwaitedUpload:
    """Return an upload's record; of one that was announced, where its bytes go and how many have come."""
    return told_of(parts.uploads.find(upload), caller, parts)


@router.get("/uploads/{upload}/area", response_model_exclude_none=True, summary="An upload as an area of interest")
async def upload_area(
    upload: OwnUpload,
    request: Request,
    parts: Parts,
    layer: Annotated[
        str | None, Query(min_length=1, max_length=200, description="of a GeoPackage with several layers of polygons")
    ] = None,
) -> AreaFound:
    """Put the polygons of a vector file together as what `aoi` takes; of an image, return its bounds."""
    work = partial(area_of_upload, upload, layer, parts)
    return await anyio.to_thread.run_sync(work, limiter=request.app.state.outlining.here())


@router.delete("/uploads/{upload}", status_code=204, summary="Delete an upload")
def delete_upload(upload: OwnUpload, _: Submitter, parts: Parts) -> None:
    """Delete an upload and its file. Jobs that have not read it yet will fail."""
    parts.uploads.delete(upload)


async def _received(request: Request, caller: Caller, parts: State) -> UploadRecord:
    most, room = parts.settings.max_upload_bytes, allowance(caller.tenant, parts)
    if room is not None:
        announced = request.headers.get("content-length", "0")
        kept = await anyio.to_thread.run_sync(parts.uploads.ledger.kept, caller.tenant)
        check_allowance(max(0, int(announced) - FORM_OVERHEAD if announced.isdecimal() else 0), kept, room)
    kind, told = request.headers.get("content-type", ""), request.headers
    content = digests.sha256_of(told.get("content-digest"))
    expected = digests.sha256_of(told.get("repr-digest"))
    with scratch_folder(parts.settings) as folder:
        path = folder / "arriving"
        stream = digests.checked(request.stream(), content)
        came = await receive_file(stream, kind, path, limit=most, expected=expected)
        return await anyio.to_thread.run_sync(
            lambda: keep(
                parts.uploads, path, came.filename, caller.tenant, sha256=came.sha256, allowance=room
            )
        )  # fmt: skip


async def _announced(request: Request, caller: Caller, parts: State) -> AwaitedRecord:
    body = bytearray()
    async for chunk in digests.checked(request.stream(), digests.sha256_of(request.headers.get("content-digest"))):
        body += chunk
        if len(body) > _ANNOUNCEMENT_BYTES:
            raise RequestError(
                "body-too-large", "an announcement is a small JSON object; the file itself is sent later"
            )
    told = parse_announcement(decode(bytes(body)))
    way = way_of(parts.settings)
    return await anyio.to_thread.run_sync(lambda: announce(told, caller.tenant, parts, way=way))


def _page(rel: str, title: str, limit: int, before: str | None, parts: State) -> Link:
    query = urlencode({"limit": limit} | ({"before": before} if before else {}))
    return Link(href=f"{parts.settings.public_url}/uploads?{query}", rel=rel, title=title)
