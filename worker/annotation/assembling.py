"""Puts a project together: masks numbered tile by tile, neighbourhoods, their trees, and the record of it all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jobs.annotation.plan import ProjectPlan
from jobs.annotation.project import Forest, MaskTable, Neighbourhood, Project, ProjectFiles
from jobs.annotation.request import PROJECT
from jobs.errors import BadImage
from jobs.record import OutputFile, ResultRecord, Warned, now
from models.errors import Fault
from worker.annotation.clusters import Tree, neighbourhoods_of, standardised, tree_of
from worker.annotation.features import FEATURES
from worker.annotation.preparing import TilePart, read_part
from worker.annotation.promptable import NAME
from worker.context import Context

SEGMENTER: Final = "Felzenszwalb (2004), fine and coarse levels fused; no trained network"
_NAMED: Final = 5
_JSON: Final = "application/json"


def assemble_project(context: Context, plan: ProjectPlan, still_wanted: Callable[[], None]) -> None:
    """Write the project of tiles that are all prepared, then result.json; twice gives the same project.

    Raises BadImage where no tile has a mask.
    """
    context.live.update(plan.job, phase="clustering the masks")
    parts = [read_part(context, plan, number) for number in range(len(plan.tiles))]
    if not any(len(part.area) for part in parts):
        msg = "no tile holds a valid pixel; check their no-data values and masks"
        raise BadImage(msg, faults=[Fault("/inputs/tiles", "no valid pixel")])
    still_wanted()
    table, neighbourhoods = _placed(plan, parts)
    features = np.concatenate([part.features for part in parts])
    forest = _forest(table, standardised(features), len(neighbourhoods), plan.clusters)
    still_wanted()
    warnings = (*plan.warnings, *_empty(plan, parts))
    project = Project(
        job=plan.job,
        title=plan.title,
        created=context.store.request(plan.job).created,
        segmenter=f"{NAME}; elsewhere {SEGMENTER}" if plan.promptable else SEGMENTER,
        features=FEATURES,
        tiles=tuple(tile.record(len(part.area)) for tile, part in zip(plan.tiles, parts, strict=True)),
        neighbourhoods=neighbourhoods,
        warnings=warnings,
    )
    ProjectFiles(context.storage, plan.job).write(project, table, forest, features)
    outputs = {"project": _output(context, project)}
    context.store.finish(ResultRecord(job=plan.job, finished=now(), outputs=outputs, warnings=warnings))


def _placed(plan: ProjectPlan, parts: Sequence[TilePart]) -> tuple[MaskTable, tuple[Neighbourhood, ...]]:
    """Number masks and neighbourhoods, tile by tile."""
    found: list[Neighbourhood] = []
    members = []
    for number, (tile, part) in enumerate(zip(plan.tiles, parts, strict=True)):
        rows, columns = part.middle.T.astype(np.float64)
        own = neighbourhoods_of(rows, columns, plan.neighbourhood)
        members.append(own + len(found))
        for block in range(int(own.max(initial=-1)) + 1):
            here = own == block
            side = plan.neighbourhood
            row, column = (int(values[here][0] // side) * side for values in (rows, columns))
            size = min(side, tile.height - row), min(side, tile.width - column)
            found.append(
                Neighbourhood(tile=number, row=row, column=column, height=size[0], width=size[1], masks=int(here.sum()))
            )
    counts = [len(part.area) for part in parts]
    table = MaskTable(
        tile=np.repeat(np.arange(len(parts), dtype=np.int32), counts),
        neighbourhood=np.concatenate(members).astype(np.int32),
        label=np.concatenate([np.arange(1, count + 1, dtype=np.int32) for count in counts]),
        box=np.concatenate([part.box for part in parts]),
        area=np.concatenate([part.area for part in parts]),
    )
    return table, tuple(found)


def _forest(table: MaskTable, features: NDArray[np.float32], neighbourhoods: int, clusters: int) -> Forest:
    trees: list[Tree] = []
    for number in range(neighbourhoods):
        members = np.flatnonzero(table.neighbourhood == number)
        trees.append(tree_of(members, features[members]))
    roots = [tree.cut(clusters) for tree in trees]
    return Forest(
        members=np.concatenate([tree.members for tree in trees]).astype(np.int32),
        children=np.concatenate([tree.children for tree in trees]),
        heights=np.concatenate([tree.heights for tree in trees]),
        roots=np.concatenate([np.array(nodes, np.int32) for nodes in roots]),
        root_counts=np.array([len(nodes) for nodes in roots], np.int32),
    )


def _empty(plan: ProjectPlan, parts: Sequence[TilePart]) -> list[Warned]:
    names = [tile.name for tile, part in zip(plan.tiles, parts, strict=True) if not len(part.area)]
    if not names:
        return []
    detail = f"no valid pixel was found in {', '.join(names[:_NAMED])}" + (" and others" if names[_NAMED:] else "")
    return [Warned(code="image-empty", detail=f"{detail}: nothing is to be labelled there")]


def _output(context: Context, project: Project) -> OutputFile:
    filename = f"{PROJECT}.json"
    key, data = f"jobs/{project.job}/outputs/{filename}", project.model_dump_json(indent=1).encode()
    context.storage.put(key, data, content_type=_JSON)
    return OutputFile(
        key=key, media_type=_JSON, title="The project: its tiles, neighbourhoods and masks", size=len(data),
        sha256=hashlib.sha256(data).hexdigest(), filename=filename,
    )  # fmt: skip
