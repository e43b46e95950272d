"""A map as a job: blocks of its grid, and an assembly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobs.errors import ImageryUnavailable
from jobs.pace import Pace
from jobs.plan import Plan
from jobs.record import Warned
from worker.context import Context
from worker.pipeline.assembly import assemble
from worker.pipeline.mapping import leave_unread, map_block
from worker.pipeline.planning import make_plan
from worker.pipeline.steps import still_wanted, tell


@dataclass(frozen=True, slots=True)
class MapWork:
    """A planned map."""

    context: Context
    plan: Plan
    phase: Final[str] = "mapping"

    @property
    def job(self) -> str:
        """Its id."""
        return self.plan.job

    @property
    def told(self) -> str:
        """How large it is, and by which model it is mapped."""
        return f"{self.plan.km2:.4g} km2 with {self.plan.model}"

    @property
    def blocks(self) -> Sequence[str]:
        """The names of its blocks."""
        return [block.id for block in self.plan.blocks]

    @property
    def warnings(self) -> Sequence[Warned]:
        """What its client should know."""
        return self.plan.warnings

    def run(self, block: str, *, last: bool) -> None:
        """Map a block; one that can never be read is left empty."""
        chosen = next(b for b in self.plan.blocks if b.id == block)
        try:
            map_block(self.context, self.plan, chosen, still_wanted=still_wanted(self.context, self.job))
        except ImageryUnavailable as error:
            if not last:
                raise
            tell(self.context, self.job, block, f"left empty: {error.detail}", level="warning")
            leave_unread(self.context, self.plan, chosen, error.detail)

    def finish(self) -> None:
        """Assemble the map and its products."""
        assemble(self.context, self.plan, still_wanted=still_wanted(self.context, self.job))

    def note_pace(self) -> None:
        """Remember how long it took."""
        Pace(self.context.live).note(self.plan, self.context.store.read(self.job))


def plan_map(context: Context, job: str) -> MapWork:
    """Plan a map; raises a CityzonesError where the area cannot be mapped."""
    return MapWork(context, make_plan(context, job))


def planned_map(context: Context, job: str) -> MapWork | None:
    """Return a planned map, None before."""
    plan = context.store.plan(job)
    return None if plan is None else MapWork(context, plan)
