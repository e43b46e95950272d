"""The directories of a TIFF, looked through before any library reads them: how many, and how much their tags hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from jobs.errors import BadImage

_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# Where the blocks of pixels are and how long: two numbers a block, which the library holds in memory.
_BLOCKS: Final = frozenset({273, 279, 324, 325})
_MOST_BLOCKS: Final = 5_000_000
_MOST_TAG_BYTES: Final = 16 * 1024**2
_MOST_TAGS: Final = 4096
_MOST_DIRECTORIES: Final = 1024  # images, overviews and masks of one file
_BIG: Final = 43


@dataclass(frozen=True, slots=True)
class _Form:
    """How numbers are written: byte order, and the structs of an offset, a count of tags and a tag's entry."""

    order: str
    offset: str
    tags: str
    entry: str


def check_directories(path: Path, name: str) -> None:
    """Raise BadImage for a TIFF whose headers alone would fill the memory, or that has no end of directories.

    What is no TIFF passes, and so does a directory beyond the end of the file: the library says what is missing.
    """
    with path.open("rb") as file:
        form, first = _form(file)
        for number, entries in enumerate(_directories(file, form, first)):
            if number >= _MOST_DIRECTORIES or len(entries) > _MOST_TAGS:
                raise BadImage(f"{name} has headers without end: send one image a file, exported as a plain GeoTIFF")
            for tag, size, count in entries:
                _check_entry(tag, size, count, name)


def _check_entry(tag: int, size: int, count: int, name: str) -> None:
    if tag in _BLOCKS and count > _MOST_BLOCKS:
        raise BadImage(f"{name} is cut into {count} blocks: export it in tiles of 256 or 512 pixels")
    if tag not in _BLOCKS and size * count > _MOST_TAG_BYTES:
        raise BadImage(f"{name} holds a tag of {size * count} bytes: export it without embedded metadata")


def _form(file: BinaryIO) -> tuple[_Form, int]:
    """Return how a file's numbers are written and where its first directory is; 0 for what is no TIFF."""
    head = file.read(16).ljust(16, b"\0")
    order = "<" if head[:2] == b"II" else ">"
    if struct.unpack_from(f"{order}H", head, 2)[0] == _BIG:
        form, first = _Form(order, "Q", "Q", "HHQ8s"), struct.unpack_from(f"{order}Q", head, 8)[0]
    else:
        form, first = _Form(order, "I", "H", "HHI4s"), struct.unpack_from(f"{order}I", head, 4)[0]
    return form, first if head[:2] in {b"II", b"MM"} else 0


def _directories(file: BinaryIO, form: _Form, first: int) -> Iterator[list[tuple[int, int, int]]]:
    """Yield the entries of each directory: tag, bytes a value and number of values; none is visited twice.

    Of a directory with more entries than are accepted one more than these is read.
    """
    at, seen = first, set[int]()
    entry = struct.Struct(form.order + form.entry)
    while at and at not in seen:
        seen.add(at)
        file.seek(at)
        told = _read(file, form.order + form.tags) or 0
        body = file.read(min(told, _MOST_TAGS + 1) * entry.size)
        whole = entry.iter_unpack(body[: len(body) // entry.size * entry.size])
        yield [(tag, _SIZES.get(kind, 1), count) for tag, kind, count, _ in whole]
        at = (_read(file, form.order + form.offset) or 0) if len(body) == told * entry.size else 0


def _read(file: BinaryIO, form: str) -> int | None:
    size = struct.calcsize(form)
    data = file.read(size)
    return int(struct.unpack(form, data)[0]) if len(data) == size else None
