"""Digests clients send along, RFC 9530: Content-Digest of a message's content, Repr-Digest of the file it brings."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Final

from jobs.errors import ChecksumMismatch
from jobs.public.problems import RequestError

_SHA256: Final = re.compile(r"(?:^|,)[ \t]*sha-256=:([A-Za-z0-9+/]{43}=):[ \t]*(?=[,;]|$)")
_OTHER: Final = re.compile(r"[a-z*][a-z0-9_.*-]*=:[A-Za-z0-9+/=]*:")


def sha256_of(field: str | None) -> bytes | None:
    """Return the SHA-256 of a digest field, None where it is absent or names other algorithms only.

    Raises RequestError for a field that is no digest.
    """
    if field is None:
        return None
    found = _SHA256.search(field)
    if found:
        return base64.b64decode(found[1])
    if not _OTHER.search(field) or "sha-256=" in field:
        raise RequestError("malformed-request", "a digest reads sha-256=:<base64 of 32 bytes>:, after RFC 9530")
    return None


def check(what: str, found: bytes, expected: bytes | None) -> None:
    """Raise ChecksumMismatch unless a digest is the one expected; None expects nothing."""
    if expected is not None and found != expected:
        raise ChecksumMismatch(f"{what} has SHA-256 {found.hex()}, not {expected.hex()}: send it again")


async def checked(stream: AsyncIterator[bytes], expected: bytes | None) -> AsyncIterator[bytes]:
    """Yield a body as it comes; raises ChecksumMismatch at its end where it is not what was sent."""
    digest = hashlib.sha256()
    async for chunk in stream:
        if expected is not None:
            digest.update(chunk)
        yield chunk
    check("the request's content", digest.digest() if expected is not None else b"", expected)
