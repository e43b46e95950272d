"""An annotation project as a job: its tiles are its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobs.annotation.plan import ProjectPlan, read_plan
from jobs.record import Warned
from worker.annotation.assembling import assemble_project
from worker.annotation.planning import make_plan
from worker.annotation.preparing import prepare_tile
from worker.context import Context
from worker.pipeline.steps import still_wanted


@dataclass(frozen=True, slots=True)
class ProjectWork:
    """A planned project."""

    context: Context
    plan: ProjectPlan
    phase: Final[str] = "cutting tiles into masks"

    @property
    def job(self) -> str:
        """Its id."""
        return self.plan.job

    @property
    def told(self) -> str:
        """What it is."""
        return f"a project of {len(self.plan.tiles)} tiles"

    @property
    def blocks(self) -> Sequence[str]:
        """The names of its tiles."""
        return self.plan.blocks

    @property
    def warnings(self) -> Sequence[Warned]:
        """What its client should know."""
        return self.plan.warnings

    def run(self, block: str, *, last: bool) -> None:  # noqa: ARG002 - a tile that cannot be read fails the project
        """Cut a tile into masks."""
        prepare_tile(self.context, self.plan, block, still_wanted(self.context, self.job))

    def finish(self) -> None:
        """Cluster the masks of all tiles."""
        assemble_project(self.context, self.plan, still_wanted(self.context, self.job))

    def note_pace(self) -> None:
        """Nothing is estimated from projects."""


def plan_project(context: Context, job: str) -> ProjectWork:
    """Plan a project; raises BadImage or UnknownUpload where it cannot be done."""
    return ProjectWork(context, make_plan(context, job))


def planned_project(context: Context, job: str) -> ProjectWork | None:
    """Return a planned project, None before."""
    plan = read_plan(context.storage, job)
    return None if plan is None else ProjectWork(context, plan)
