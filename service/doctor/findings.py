"""What the doctor found: a check, how it ended, a sentence, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. A fault keeps jobs from being mapped or kept; a warning is a risk, or costs something."""

    area: str
    check: str
    state: State
    said: str
    mend: str | None = None


@dataclass(frozen=True, slots=True)
class Notes:
    """Writes the findings of one area."""

    area: str

    def ok(self, check: str, said: str) -> Finding:
        """All is well."""
        return Finding(self.area, check, "ok", said)

    def warning(self, check: str, said: str, mend: str) -> Finding:
        """It works, but."""
        return Finding(self.area, check, "warning", said, mend)

    def fault(self, check: str, said: str, mend: str) -> Finding:
        """It does not work."""
        return Finding(self.area, check, "fault", said, mend)
