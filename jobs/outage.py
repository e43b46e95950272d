"""What is done while Redis is away: it is spared for a moment, and the log says so once a minute."""

from __future__ import annotations

import logging
import time
from typing import Final

log = logging.getLogger("cityzones.redis")

TIMEOUT_SECONDS: Final = 0.5
_SPARED_SECONDS: Final = 3.0
_TOLD_EVERY_SECONDS: Final = 60.0


class Outage:
    """An outage of Redis as one user of it sees it; `meanwhile` says what that user does without."""

    def __init__(self, meanwhile: str) -> None:
        self._meanwhile = meanwhile
        self._spared_until = 0.0
        self._silent_until = 0.0

    @property
    def lasting(self) -> bool:
        """Whether Redis did not answer a moment ago and should not be asked."""
        return time.monotonic() < self._spared_until

    def begin(self, error: Exception) -> None:
        """Note that Redis did not answer."""
        moment = time.monotonic()
        self._spared_until = moment + _SPARED_SECONDS
        if moment >= self._silent_until:
            self._silent_until = moment + _TOLD_EVERY_SECONDS
            log.warning("Redis does not answer (%s): %s", type(error).__name__, self._meanwhile)
