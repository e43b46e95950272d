"""The plan of an annotation project: its tiles and how their numbers become colours, frozen before any is cut."""

from __future__ import annotations

from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict

from jobs.annotation.project import TileRecord
from jobs.record import Warned
from jobs.storage import Storage

_NAME: Final = "annotation/plan.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TilePlan(_Frozen):
    """A tile: its upload, the bands (from 1) shown as red, green and blue, the band of its alpha, its place.

    `limits` are the numbers shown as black and as white, band by band; None where they are bytes already.
    """

    upload: str
    name: str
    width: int
    height: int
    bands: tuple[int, int, int]
    alpha: int | None = None
    limits: tuple[tuple[float, float], ...] | None = None
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None

    def record(self, masks: int) -> TileRecord:
        """Return the tile as the project keeps it."""
        return TileRecord(
            name=self.name, width=self.width, height=self.height, masks=masks, crs=self.crs, transform=self.transform
        )


class ProjectPlan(_Frozen):
    """What a project is made of: its tiles in order, and how their masks are found and clustered.

    `promptable` says that a network of the model server finds them.
    """

    job: str
    title: str
    tiles: tuple[TilePlan, ...]
    neighbourhood: int
    clusters: int
    promptable: bool = False
    warnings: tuple[Warned, ...] = ()

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the tiles, each of which one task cuts into masks."""
        return tuple(f"t{number:04d}" for number in range(len(self.tiles)))


class FollowingPlan(_Frozen):
    """A job that classifies or exports a project: the project, and the version of it that is looked at."""

    job: str
    project: str
    version: int
    warnings: tuple[Warned, ...] = ()

    @property
    def blocks(self) -> tuple[str, ...]:
        """One block: the whole project."""
        return ("all",)


P = TypeVar("P", ProjectPlan, FollowingPlan)


def read_plan(storage: Storage, job: str, kind: type[P]) -> P | None:
    """Return a job's plan, or None before planning ended."""
    data = storage.get(f"jobs/{job}/{_NAME}")
    return None if data is None else kind.model_validate_json(data)


def freeze_plan(storage: Storage, plan: P) -> P:
    """Write the plan unless there is one, and return the one that holds: of two planners the first wins."""
    storage.create(f"jobs/{plan.job}/{_NAME}", plan.model_dump_json(indent=1).encode())
    return read_plan(storage, plan.job, type(plan)) or plan
