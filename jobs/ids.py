"""Identifiers that sort by the time they were made and cannot be guessed."""

from __future__ import annotations

import secrets
import time
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_MIRROR: Final = str.maketrans(_ALPHABET, _ALPHABET[::-1])
_RANDOM_BITS: Final = 80


def new_id(prefix: str) -> str:
    """Return `<prefix>_` and 26 characters: 10 of milliseconds, 16 random (the ULID layout, lower case)."""
    return _id(prefix, time.time_ns() // 1_000_000, secrets.randbits(_RANDOM_BITS))


def first_id(prefix: str, milliseconds: int) -> str:
    """Return the id that sorts before every other made in this millisecond since 1970 or later."""
    return _id(prefix, milliseconds, 0)


def mirrored(identifier: str) -> str:
    """Return an id with the order of its characters turned, so that the newest sorts first; twice is the id again."""
    prefix, _, digits = identifier.partition("_")
    return f"{prefix}_{digits.translate(_MIRROR)}"


def _id(prefix: str, milliseconds: int, random: int) -> str:
    value = milliseconds << _RANDOM_BITS | random
    digits = [_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(digits)}"
