"""How much of the area of interest a job could map, and whether that is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jobs.errors import ImageryUnavailable, NoImagery, TooLittleCoverage
from jobs.plan import Plan
from jobs.record import Warned
from models.errors import Fault
from worker.context import Context
from worker.pipeline.mapping import unread_folder

_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Coverage:
    """The share (0-1) of the area of interest that has a class, and what the client should know of the rest."""

    share: float
    warnings: tuple[Warned, ...]


def checked_coverage(context: Context, plan: Plan, *, mapped_km2: float, asked_km2: float) -> Coverage:
    """Return a job's coverage, both areas measured in the plane of its grid.

    Raises NoImagery or ImageryUnavailable where nothing could be mapped, TooLittleCoverage where it is less than the
    client asks for.
    """
    share = min(1.0, mapped_km2 / asked_km2) if asked_km2 else 0.0
    unread = _unread(context, plan)
    if mapped_km2 == 0:
        raise _nothing(unread)
    if share < plan.min_coverage:
        raise _too_little(plan, share, unread)
    warnings = [_partly(share)] if share < 1 else []
    if unread:
        warnings.append(Warned(code="blocks-unread", detail=_told(unread, plan)))
    return Coverage(share, tuple(warnings))


def _unread(context: Context, plan: Plan) -> Mapping[str, str]:
    """Return why, by block, imagery could not be read."""
    found = (context.storage.get_json(key) for key in context.storage.keys(unread_folder(plan.job)))
    return {str(told["block"]): str(told["why"]) for told in found if told is not None}


def _partly(share: float) -> Warned:
    shown = f"{100 * share:.1f}" if share < 0.9995 else f"{100 * share:.4f}"  # noqa: PLR2004 - never a rounded 100
    detail = f"{shown} % of the area of interest could be mapped; the rest had no clear imagery"
    return Warned(code="partly-mapped", detail=detail)


def _told(unread: Mapping[str, str], plan: Plan) -> str:
    names = ", ".join(sorted(unread)[:_NAMED]) + (", ..." if len(unread) > _NAMED else "")
    why = unread[min(unread)]
    return f"the imagery of {len(unread)} of {len(plan.blocks)} blocks could not be read ({names}): {why}"


def _nothing(unread: Mapping[str, str]) -> NoImagery | ImageryUnavailable:
    if unread:
        return ImageryUnavailable(unread[min(unread)])
    return NoImagery("no pixel of the area of interest has clear imagery; widen the dates or allow more cloud")


def _too_little(plan: Plan, share: float, unread: Mapping[str, str]) -> TooLittleCoverage:
    detail = (
        f"{100 * share:.1f} % of the area of interest could be mapped, less than the {100 * plan.min_coverage:g} % "
        "asked for; widen the dates, allow more cloud, or lower min_coverage"
    )
    if unread:
        detail += f"; {_told(unread, plan)}"
    return TooLittleCoverage(detail, faults=[Fault("/inputs/min_coverage", f"coverage {share:.4f}")])
