"""The processes of annotation as jobs: a project, whose tiles are its blocks, and those that follow one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jobs.annotation.plan import FollowingPlan, ProjectPlan, read_plan
from jobs.annotation.request import CLASSIFICATION, PROJECT
from jobs.record import Warned
from worker.annotation.assembling import assemble_project
from worker.annotation.classification import classify_project
from worker.annotation.exporting import export_project
from worker.annotation.following import finish_following, plan_following
from worker.annotation.planning import make_plan
from worker.annotation.preparing import prepare_tile
from worker.context import Context
from worker.pipeline.steps import still_wanted


@dataclass(frozen=True, slots=True)
class _Planned:
    context: Context
    plan: ProjectPlan | FollowingPlan

    @property
    def job(self) -> str:
        """Its id."""
        return self.plan.job

    @property
    def blocks(self) -> Sequence[str]:
        """The names of its blocks."""
        return self.plan.blocks

    @property
    def warnings(self) -> Sequence[Warned]:
        """What its client should know."""
        return self.plan.warnings

    def note_pace(self) -> None:
        """Nothing is estimated from it."""


@dataclass(frozen=True, slots=True)
class ProjectWork(_Planned):
    """A planned project."""

    plan: ProjectPlan
    phase: ClassVar[str] = "cutting tiles into masks"

    @property
    def told(self) -> str:
        """What it is."""
        return f"a project of {len(self.plan.tiles)} tiles"

    def run(self, block: str, *, last: bool) -> None:  # noqa: ARG002 - a tile that cannot be read fails the project
        """Cut a tile into masks."""
        prepare_tile(self.context, self.plan, block, still_wanted(self.context, self.job))

    def finish(self) -> None:
        """Cluster the masks of all tiles."""
        assemble_project(self.context, self.plan, still_wanted(self.context, self.job))


@dataclass(frozen=True, slots=True)
class FollowingWork(_Planned):
    """A planned classification or export of a project."""

    plan: FollowingPlan
    phase: ClassVar[str] = "reading the labels"

    @property
    def told(self) -> str:
        """What it is."""
        return f"{self.plan.project} at version {self.plan.version}"

    def run(self, block: str, *, last: bool) -> None:  # noqa: ARG002 - once is enough
        """Classify or export the project."""
        process = self.context.store.head(self.job).process
        act = classify_project if process == CLASSIFICATION else export_project
        act(self.context, self.plan, block, still_wanted(self.context, self.job))

    def finish(self) -> None:
        """End the job with what was written."""
        finish_following(self.context, self.plan)


def plan_annotation(context: Context, job: str) -> ProjectWork | FollowingWork:
    """Plan a job of annotation; raises a CityzonesError where it cannot be done."""
    if context.store.head(job).process == PROJECT:
        return ProjectWork(context, make_plan(context, job))
    return FollowingWork(context, plan_following(context, job))


def planned_annotation(context: Context, job: str) -> ProjectWork | FollowingWork | None:
    """Return a planned job of annotation, None before."""
    if context.store.head(job).process == PROJECT:
        project = read_plan(context.storage, job, ProjectPlan)
        return None if project is None else ProjectWork(context, project)
    following = read_plan(context.storage, job, FollowingPlan)
    return None if following is None else FollowingWork(context, following)
