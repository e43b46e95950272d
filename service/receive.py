"""Receives one uploaded file: multipart form data streamed to a scratch file, counted while it comes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import Final

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from jobs.errors import UploadTooLarge
from jobs.public.problems import RequestError

FIELD: Final = "file"
_FLUSH: Final = 1024**2
_HEADER_BYTES: Final = 8192
_NAME_LENGTH: Final = 120


class FilePart:
    """Collects the part named `file` out of a multipart body; every other part is refused."""

    def __init__(self, boundary: bytes) -> None:
        self.filename: str | None = None
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


async def receive_file(stream: AsyncIterator[bytes], content_type: str, target: Path, *, limit: int) -> str:
    """Write the form's file to `target` and return its name.

    Raises RequestError for another content type or form, UploadTooLarge beyond `limit` bytes.
    """
    part = FilePart(_boundary(content_type))
    size = 0
    async with await anyio.open_file(target, "wb") as file:
        async for chunk in stream:
            part.feed(chunk)
            if len(part.pending) >= _FLUSH:
                size = await _flush(part, file, size, limit)
        await _flush(part, file, size, limit)
    return part.finish()


def safe_name(name: str) -> str:
    """Return a file name without folders, control characters or excess length."""
    base = PurePosixPath(name.replace("\\", "/")).name
    cleaned = re.sub(r"[^\w .()+,=@-]", "_", base).strip(" .")
    return cleaned[-_NAME_LENGTH:] or "upload"


async def _flush(part: FilePart, file: anyio.AsyncFile[bytes], size: int, limit: int) -> int:
    size += len(part.pending)
    if size > limit:
        msg = f"the file is larger than the {limit} bytes an upload may have"
        raise UploadTooLarge(msg)
    await file.write(bytes(part.pending))
    part.pending.clear()
    return size


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        detail = f"send multipart/form-data with one file named {FIELD!r}"
        raise RequestError("unsupported-media-type", detail)
    return options[b"boundary"]
