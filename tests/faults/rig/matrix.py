"""All faults of the long matrix."""

from __future__ import annotations

from typing import Final

from tests.faults.rig import breaking, breaking_api
from tests.faults.rig.trial import Fault

STEPS: Final = ("plan", "block", "assemble")
# A clock that is off by more than fifteen minutes is refused by S3 servers, which nothing here could mend.
_CLOCK_SECONDS: Final = 600.0


def general(*, gone: float, ailing: float, full: float) -> list[Fault]:
    """Return the faults that strike any installation; S3 is gone, ailing and full for so many seconds."""
    return [
        *(breaking.killed_process(step) for step in STEPS),
        *(breaking.killed_host(step) for step in STEPS),
        breaking.killed_model_server(),
        breaking.killed_stub(),
        breaking.killed_valkey(with_data=True),
        breaking.killed_valkey(with_data=False),
        breaking.flushed_valkey(),
        breaking.killed_storage(gone),
        breaking.ailing_storage(ailing),
        breaking.full_storage(full),
        breaking.poisoned_block(),
        breaking.delivered_twice(),
        breaking.rolling_restart(),
        breaking_api.killed_before_queue(),
        breaking_api.killed_in_upload(),
    ]


MATRIX: Final = [*general(gone=30.0, ailing=20.0, full=10.0), breaking.jumping_clock(_CLOCK_SECONDS)]
IN_A_FOLDER: Final[list[Fault]] = [breaking.full_folder(10.0)]
