"""Compares this machine's clock with a server's: signatures of links and requests hold for minutes."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Final

from service.doctor.findings import Finding, Notes

_RISKY_SECONDS: Final = 30.0
_WRONG_SECONDS: Final = 300.0


def compare_clocks(notes: Notes, whose: str, date: str | None, *, now: float | None = None) -> Finding:
    """Return what a server's Date header says of the clocks."""
    try:
        apart = abs(parsedate_to_datetime(date or "").timestamp() - (time.time() if now is None else now))
    except ValueError:
        return notes.warning("clock", f"{whose} tells no time", "compare its clock with this machine's by hand")
    said = f"{apart:.0f} s between this machine and {whose}"
    mend = "let both keep time by NTP (timedatectl set-ntp true)"
    if apart > _WRONG_SECONDS:
        return notes.fault("clock", f"{said}: signatures are refused", mend)
    return notes.warning("clock", said, mend) if apart > _RISKY_SECONDS else notes.ok("clock", said)
