"""A piece of a job's work as it waits in the queue: which task, of which job, and on whose behalf.

A message of the queue names one piece, in a form that has a version, so that old and new programs can share a queue:
the version goes up where a worker of before would do the wrong thing with a message, and such a message waits for a
worker that knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict

# Names of the tasks, as messages carry them.
PLAN: Final = "cityzones.plan_job"
BLOCK: Final = "cityzones.map_block"
ASSEMBLE: Final = "cityzones.assemble_job"

VERSION: Final = 1
# The header of a message that holds the version of its form and the tenant. Messages without it are of version 0: they
# name the piece and nothing else.
HEADER: Final = "cityzones"
_STEPS: Final = {PLAN: "plan", ASSEMBLE: "assemble"}


class Work(BaseModel):
    """One piece: plan a job, map one of its blocks, or assemble it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task: str
    job: str
    block: str | None = None
    tenant: str

    @property
    def step(self) -> str:
        """What the piece is called within its job: `plan`, `assemble` or the block's name."""
        return self.block or _STEPS[self.task]

    @property
    def name(self) -> str:
        """What the piece is called everywhere."""
        return f"{self.job}/{self.step}"

    @property
    def arguments(self) -> list[str]:
        """The arguments of its task."""
        return [self.job, self.block] if self.block else [self.job]

    @property
    def header(self) -> dict[str, Any]:
        """What its message says beside task and arguments."""
        return {HEADER: {"version": VERSION, "tenant": self.tenant}}

    @property
    def ends_job(self) -> bool:
        """Whether it is the last of its job: it goes before others of its tenant, as its job is nearly done."""
        return self.task == ASSEMBLE

    @classmethod
    def of_message(cls, task: str, arguments: list[str], header: Mapping[str, Any], *, tenant: str) -> Self:
        """Read a message of this version or an older one; `tenant` is whose the job is where it does not say."""
        job, *block = arguments
        told = header.get("tenant", tenant)
        return cls(task=task, job=job, block=block[0] if block else None, tenant=told)


def version_of(header: Mapping[str, Any]) -> int:
    """Return the version of the form that a message is written in."""
    return int(header.get("version", 0))
