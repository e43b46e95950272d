"""Receives a piece of an upload: what comes is put into storage as it comes, so that a lost connection loses little."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import ClientDisconnect

from jobs.errors import OffsetConflict, PieceMismatch, UploadTooLarge
from jobs.scratch import no_room_told
from jobs.settings import Settings
from jobs.uploads import Parts
from jobs.uploads.arrival import scratch_folder
from jobs.uploads.parts import PART_BYTES


async def receive_piece(stream: AsyncIterator[bytes], pieces: Parts, offset: int, size: int) -> int:
    """Store a body that begins at `offset` of a file of `size` bytes, and return where it ends.

    What had come is kept when the client goes away. Raises OffsetConflict where another request was first,
    UploadTooLarge for bytes beyond the file's end, ClientDisconnect.
    """
    pending = bytearray()
    try:
        async for chunk in stream:
            pending += chunk
            if offset + len(pending) > size:
                raise UploadTooLarge(f"the piece goes beyond the {size} bytes that were announced")
            if len(pending) >= PART_BYTES:
                offset = await _store(pieces, offset, pending)
    except ClientDisconnect:
        await _store(pieces, offset, pending)
        raise
    return await _store(pieces, offset, pending)


async def receive_checked(
    stream: AsyncIterator[bytes], checksum: tuple[Any, bytes], settings: Settings, most: int
) -> AsyncIterator[bytes]:
    """Yield a body of at most `most` bytes once it has come whole and has the checksum sent along.

    Raises PieceMismatch or UploadTooLarge before anything is yielded, so that nothing of it is kept.
    """
    digest, wanted = checksum
    with scratch_folder(settings) as folder, no_room_told():
        path = folder / "piece"
        await _spool(stream, path, digest, most)
        if digest.digest() != wanted:
            raise PieceMismatch("the piece does not have the checksum sent along; send it again")
        async with await anyio.open_file(path, "rb") as file:
            while chunk := await file.read(PART_BYTES):
                yield chunk


def check_offset(offset: int, there: int) -> None:
    """Raise OffsetConflict unless a piece begins where the parts that are there end."""
    if offset != there:
        raise OffsetConflict(f"{there} bytes are there; a piece from {offset} on does not join them")


async def _spool(stream: AsyncIterator[bytes], path: Path, digest: Any, most: int) -> None:
    seen = 0
    async with await anyio.open_file(path, "wb") as file:
        async for chunk in stream:
            seen += len(chunk)
            if seen > most:
                raise UploadTooLarge(f"the piece goes beyond the {most} bytes that are missing")
            digest.update(chunk)
            await file.write(chunk)


async def _store(pieces: Parts, offset: int, pending: bytearray) -> int:
    if not pending:
        return offset
    data = bytes(pending)
    pending.clear()
    return await anyio.to_thread.run_sync(pieces.add, offset, data)
