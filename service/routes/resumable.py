"""Uploads piece by piece, after the tus protocol 1.0.0: any tus client sends large files over bad lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Any, Final, Literal

import anyio
from fastapi import APIRouter, Header, HTTPException, Request, Response

from jobs.errors import UnknownUpload
from jobs.public.problems import RequestError
from jobs.uploads import AwaitedRecord, UploadRecord
from jobs.uploads.arrival import complete
from service.access import OwnUpload, Submitter
from service.announced import PIECE, TUS_VERSION, Announcement, announce, parse_announcement
from service.pieces import check_offset, receive_checked, receive_piece
from service.state import Parts, State
from service.tus import CHECKSUMS, EXTENSIONS, parse_checksum, parse_metadata

router = APIRouter(prefix="/uploads/resumable", tags=["Uploads"])

Version = Annotated[Literal["1.0.0"], Header(alias="Tus-Resumable")]
Checksum = Annotated[str | None, Header(alias="Upload-Checksum", description="sha1 or sha256, and the base64 digest")]
_BINARY: Final[dict[str, Any]] = {"content": {PIECE: {"schema": {"type": "string", "contentMediaType": PIECE}}}}


@router.options("", status_code=204, summary="What this server knows of tus", response_class=Response)
def tus_abilities(parts: Parts) -> Response:
    """Return the protocol's version and extensions, and how large a file may be."""
    told = {
        "Tus-Version": TUS_VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(parts.settings.max_upload_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }
    return Response(status_code=204, headers=told)


@router.api_route("", methods=["GET", "PUT", "PATCH", "DELETE"], include_in_schema=False)
def nothing_to_read(_: Submitter) -> None:
    """Refuse other methods, which would look for an upload of this name."""
    raise HTTPException(405)


@router.post(
    "", status_code=201, summary="Announce a file that comes in pieces", response_class=Response,
    openapi_extra={"requestBody": _BINARY},
)  # fmt: skip
async def announce_in_pieces(
    request: Request,
    caller: Submitter,
    parts: Parts,
    *,
    _: Version,
    length: Annotated[int, Header(alias="Upload-Length", ge=1, description="bytes of the whole file")],
    metadata: Annotated[
        str | None, Header(alias="Upload-Metadata", description="filename, sha256 (hexadecimal); values in base64")
    ] = None,
    checksum: Checksum = None,
) -> Response:
    """Announce a file; its Location takes the pieces. A body of the pieces' type is the first of them."""
    told = _announcement(length, parse_metadata(metadata))
    awaited = await anyio.to_thread.run_sync(
        lambda: announce(told, caller.tenant, parts, way="resumable", metadata=metadata)
    )
    there = await _take(request, awaited, 0, checksum, parts) if _is_piece(request) else 0
    headers = _how_far(there, awaited.expires)
    headers["Location"] = f"{parts.settings.public_url}/uploads/resumable/{awaited.upload}"
    return Response(status_code=201, headers=headers)


@router.head("/{upload}", summary="How much of a file is there", response_class=Response)
def arrived_in_pieces(upload: OwnUpload, parts: Parts, _: Version) -> Response:
    """Return the offset to go on from.

    A file that is there whole and was not judged, as the process that took its last piece ended, is judged now.
    """
    found = _resumable(upload, parts)
    there = found.size if isinstance(found, UploadRecord) else parts.uploads.parts(upload).offset()
    headers = _how_far(there, found.expires) | {"Upload-Length": str(found.size), "Cache-Control": "no-store"}
    if isinstance(found, AwaitedRecord):
        headers |= {"Upload-Metadata": found.metadata} if found.metadata else {}
        if there == found.size:
            complete(parts.uploads, upload)
    return Response(headers=headers)


@router.patch(
    "/{upload}", status_code=204, summary="Send a piece", response_class=Response,
    openapi_extra={"requestBody": _BINARY | {"required": True}},
)  # fmt: skip
async def send_piece(
    request: Request,
    upload: OwnUpload,
    _: Submitter,
    parts: Parts,
    __: Version,
    offset: Annotated[int, Header(alias="Upload-Offset", ge=0, description="where the piece begins")],
    checksum: Checksum = None,
) -> Response:
    """Take a piece that begins where the bytes that are there end; the last one completes the upload."""
    if not _is_piece(request):
        raise RequestError("unsupported-media-type", f"a piece is sent as {PIECE}")
    found = await anyio.to_thread.run_sync(_resumable, upload, parts)
    if isinstance(found, UploadRecord):
        check_offset(offset, found.size)
        return Response(status_code=204, headers=_how_far(found.size, found.expires))
    there = await _take(request, found, offset, checksum, parts)
    return Response(status_code=204, headers=_how_far(there, found.expires))


@router.delete("/{upload}", status_code=204, summary="Give up a file that comes in pieces", response_class=Response)
def give_up_pieces(upload: OwnUpload, _: Submitter, parts: Parts, __: Version) -> Response:
    """Delete an upload and what has come of it."""
    parts.uploads.delete(_resumable(upload, parts).upload)
    return Response(status_code=204)


async def _take(request: Request, awaited: AwaitedRecord, offset: int, checksum: str | None, parts: State) -> int:
    """Store a piece, complete the upload with its last one, and return where the piece ended."""
    pieces, size = parts.uploads.parts(awaited.upload), awaited.size
    check_offset(offset, await anyio.to_thread.run_sync(pieces.offset))
    await anyio.to_thread.run_sync(pieces.check_room)
    told = parse_checksum(checksum)
    stream: AsyncIterator[bytes] = request.stream()
    if told:
        stream = receive_checked(stream, told, parts.settings, size - offset)
    offset = await receive_piece(stream, pieces, offset, size)
    if offset == size:
        await anyio.to_thread.run_sync(complete, parts.uploads, awaited.upload)
    return offset


def _announcement(length: int, metadata: dict[str, str]) -> Announcement:
    told: dict[str, Any] = {"size": length, "filename": metadata.get("filename") or metadata.get("name") or "upload"}
    return parse_announcement(told | ({"sha256": metadata["sha256"].lower()} if "sha256" in metadata else {}))


def _resumable(upload: str, parts: State) -> UploadRecord | AwaitedRecord:
    found = parts.uploads.find(upload)
    if isinstance(found, AwaitedRecord) and found.way != "resumable":
        raise UnknownUpload(f"{upload} does not come in pieces; GET /uploads/{upload} says where its bytes go")
    return found


def _is_piece(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == PIECE


def _how_far(offset: int, expires: datetime) -> dict[str, str]:
    return {"Upload-Offset": str(offset), "Upload-Expires": format_datetime(expires, usegmt=True)}
