"""Texts that JSON can spell and no encoding can write: halves of a surrogate pair, escaped."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Final

_ESCAPED: Final = re.compile(r"\\u[dD][89a-fA-F]")


def check_writable(value: Any, text: str, start: int = 0, end: int = sys.maxsize) -> None:
    """Raise UnicodeEncodeError, a ValueError, for a value that cannot be written as UTF-8 again.

    `text`, from `start` to `end`, is the JSON it was decoded from, where almost always nothing is escaped.
    """
    if _ESCAPED.search(text, start, end):
        json.dumps(value, ensure_ascii=False).encode()
