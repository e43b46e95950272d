"""What a job is made of, whatever its process: blocks that are done one by one, and an end that joins them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jobs.annotation.request import PROCESSES
from jobs.record import Warned
from worker.context import Context
from worker.pipeline.work import plan_map, planned_map


class Work(Protocol):
    """A planned job. Doing a block, or the end, twice is doing it once."""

    @property
    def job(self) -> str:
        """Its id."""

    @property
    def told(self) -> str:
        """What it is, in a few words for its log."""

    @property
    def phase(self) -> str:
        """What is being done while its blocks are."""

    @property
    def blocks(self) -> Sequence[str]:
        """The names of its blocks."""

    @property
    def warnings(self) -> Sequence[Warned]:
        """What its client should know already."""

    def run(self, block: str, *, last: bool) -> None:
        """Do a block and write its marker; `last` says that it is tried for the last time."""

    def finish(self) -> None:
        """Join the blocks, and end the job."""

    def note_pace(self) -> None:
        """Remember how long it took, for estimates of others."""


def plan_work(context: Context, job: str) -> Work:
    """Plan a job, unless that is done, and return it; raises a CityzonesError where it cannot be done."""
    if not _is_annotation(context, job):
        return plan_map(context, job)
    from worker.annotation.work import plan_annotation  # noqa: PLC0415 - scikit-image, only where projects come

    return plan_annotation(context, job)


def planned_work(context: Context, job: str) -> Work | None:
    """Return a job whose planning has ended, None before."""
    if not _is_annotation(context, job):
        return planned_map(context, job)
    from worker.annotation.work import planned_annotation  # noqa: PLC0415 - scikit-image, only where projects come

    return planned_annotation(context, job)


def _is_annotation(context: Context, job: str) -> bool:
    return context.store.head(job).process in PROCESSES
