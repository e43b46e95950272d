"""Runs the checks, area by area; one that fails in a way nobody foresaw is a fault itself, and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Final

from jobs.settings import Settings
from service.doctor.findings import Finding, Notes
from service.doctor.host import examine_host
from service.doctor.inference import examine_inference
from service.doctor.interface import examine_catalogue, examine_interface
from service.doctor.queue import examine_queue
from service.doctor.storage import examine_storage
from service.doctor.told import examine_settings
from service.doctor.workers import examine_workers

log = logging.getLogger("cityzones.doctor")

_EXAMINATIONS: Final[dict[str, Callable[[Settings], Iterable[Finding]]]] = {
    "settings": examine_settings,
    "storage": examine_storage,
    "queue": examine_queue,
    "inference": examine_inference,
    "workers": examine_workers,
    "host": examine_host,
    "catalogue": examine_catalogue,
    "interface": examine_interface,
}
AREAS: Final = tuple(_EXAMINATIONS)


def examine(settings: Settings, *, skipped: Collection[str] = ()) -> list[Finding]:
    """Return what was found in every area that is not skipped; takes a minute where nothing answers."""
    found: list[Finding] = []
    for area, examination in _EXAMINATIONS.items():
        if area in skipped:
            continue
        try:
            found.extend(examination(settings))
        except Exception as error:
            log.debug("the examination of %s failed", area, exc_info=True)
            said = f"the examination failed: {type(error).__name__}: {error}"
            found.append(Notes(area).fault("examination", said, "see why with --log-level DEBUG, and report it"))
    return found
