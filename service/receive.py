"""Receives one uploaded file: multipart form data streamed to a scratch file, counted and hashed while it comes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from jobs.errors import UploadTooLarge
from jobs.public.problems import RequestError
from jobs.scratch import no_room_told
from service import digests

FIELD: Final = "file"
_FLUSH: Final = 1024**2
_HEADER_BYTES: Final = 8192
_NAME_LENGTH: Final = 120


class FilePart:
    """Collects the part named `file` out of a multipart body; every other part is refused.

    `told` are the digests the part's own headers give of the file.
    """

    def __init__(self, boundary: bytes) -> None:
        self.filename: str | None = None
        self.told: list[bytes] = []
        self.pending = bytearray()
        self._ended = False
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_header_field": self._on_name,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_end": self._on_end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Parse a chunk; file bytes gather in `pending`. Raises RequestError for what is not the form expected."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise RequestError("malformed-request", f"the form cannot be read: {error}") from error

    def finish(self) -> str:
        """Return the file's name; raises RequestError where the form ended early or held no file."""
        if not self._ended:
            raise RequestError("malformed-request", "the form ended before its last boundary; send it again")
        if self.filename is None:
            raise RequestError("malformed-request", f"the form holds no file; send one part named {FIELD!r}")
        return self.filename

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._bound()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound()

    def _bound(self) -> None:
        if len(self._name) + len(self._value) > _HEADER_BYTES:
            raise RequestError("malformed-request", "a part's header is too long")

    def _on_header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        told = [self._headers.get(name) for name in (b"content-digest", b"repr-digest")]
        self.told = [d for t in told if t and (d := digests.sha256_of(t.decode("latin-1")))]
        self._headers = {}
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field != FIELD or b"filename" not in options:
            raise RequestError("malformed-request", f"the form may hold one file named {FIELD!r}, not {field[:60]!r}")
        if self.filename is not None:
            raise RequestError("malformed-request", "the form holds two files; send one form a file")
        self.filename = safe_name(options[b"filename"].decode("utf-8", "replace"))

    def _on_end(self) -> None:
        self._ended = True

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self.pending += data[start:end]


@dataclass(frozen=True, slots=True)
class Received:
    """A file that came whole: the client's name for it, made safe, and its SHA-256 in hexadecimal digits."""

    filename: str
    sha256: str


async def receive_file(
    stream: AsyncIterator[bytes], content_type: str, target: Path, *, limit: int, expected: bytes | None = None
) -> Received:
    """Write the form's file to `target`, and say what came.

    Raises RequestError for another content type or form, UploadTooLarge beyond `limit` bytes, ChecksumMismatch where
    its SHA-256 is not `expected` or what the part's headers say, ScratchFull where the disk is full.
    """
    part = FilePart(_boundary(content_type))
    with no_room_told():
        async with await anyio.open_file(target, "wb") as file:
            writing = _Writing(file, limit)
            async for chunk in stream:
                part.feed(chunk)
                if len(part.pending) >= _FLUSH:
                    await writing.flush(part.pending)
            await writing.flush(part.pending)
    name, digest = part.finish(), writing.digest.digest()
    for told in (expected, *part.told):
        digests.check(name, digest, told)
    return Received(name, digest.hex())


def safe_name(name: str) -> str:
    """Return a file name without folders, control characters or excess length."""
    base = PurePosixPath(name.replace("\\", "/")).name
    cleaned = re.sub(r"[^\w .()+,=@-]", "_", base).strip(" .")
    return cleaned[-_NAME_LENGTH:] or "upload"


@dataclass(slots=True)
class _Writing:
    """A file that is written: no more than `limit` bytes, hashed."""

    file: anyio.AsyncFile[bytes]
    limit: int
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    async def flush(self, pending: bytearray) -> None:
        """Write what gathered and clear it."""
        self.size += len(pending)
        if self.size > self.limit:
            raise UploadTooLarge(f"the file is larger than the {self.limit} bytes an upload may have")
        self.digest.update(pending)
        await self.file.write(bytes(pending))
        pending.clear()


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        detail = f"send multipart/form-data with one file named {FIELD!r}"
        raise RequestError("unsupported-media-type", detail)
    return options[b"boundary"]
