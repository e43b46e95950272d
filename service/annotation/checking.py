"""Every check of a request for an annotation project that needs no worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobs.annotation.following import check_project_of
from jobs.annotation.request import MOST_PIXELS, AnnotationExecute, ProjectExecute, parse_annotation
from jobs.callbacks.subscribers import check_subscriber
from jobs.errors import InvalidRequest
from jobs.uploads import UploadRecord
from models.errors import Fault
from service.access import Caller
from service.named import named_uploads
from service.state import State

_SIDE: Final = 64  # pixels a tile has at least


@dataclass(frozen=True, slots=True)
class CheckedAnnotation:
    """A request that can be done: its tiles, where it has some, or its project are the caller's."""

    process: str
    execute: AnnotationExecute
    uploads: tuple[UploadRecord, ...]

    @property
    def told(self) -> str:
        """What it is, in a few words."""
        return f"{len(self.uploads)} tiles" if self.uploads else f"of {self.execute.model_dump()['inputs']['project']}"


def check_annotation(process: str, body: Any, caller: Caller, state: State) -> CheckedAnnotation:
    """Check a decoded body; raises CityzonesError for everything a client can put right."""
    execute = parse_annotation(process, body)
    uploads = named_uploads(execute.inputs.uploads, caller, state, kinds=lambda _: ("image", "picture"))
    faults = [Fault(pointer, told) for pointer, told in _unusable(uploads)]
    if faults:
        raise InvalidRequest(f"{faults[0].pointer}: {faults[0].detail}", faults=faults)
    if not isinstance(execute, ProjectExecute):
        check_project_of(state.jobs, execute, tenant=caller.tenant)
    check_subscriber(execute.subscriber, state.settings)
    return CheckedAnnotation(process, execute, tuple(uploads.values()))


def _unusable(uploads: Mapping[str, UploadRecord]) -> Iterator[tuple[str, str]]:
    for pointer, record in uploads.items():
        width, height, count = (int(record.facts[name]) for name in ("width", "height", "count"))
        if width * height > MOST_PIXELS:
            yield pointer, f"{record.filename} has {width} x {height} pixels, more than 4096 x 4096: cut it into tiles"
        if min(width, height) < _SIDE:
            yield pointer, f"{record.filename} has {width} x {height} pixels; a tile has at least {_SIDE} a side"
        if count == 2 and "alpha" not in record.facts["colours"]:  # noqa: PLR2004 - neither grey nor colours
            yield pointer, f"{record.filename} has two bands: send red, green and blue, or one band"
