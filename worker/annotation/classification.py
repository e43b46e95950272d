"""Classifies the masks of a project that have no label, from those that have one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from jobs.annotation.board import Board
from jobs.annotation.following import board_at
from jobs.annotation.plan import FollowingPlan
from jobs.annotation.project import Predictions, ProjectFiles
from models.classes import LAND_COVER
from worker.annotation import classifier
from worker.annotation.following import note_done, put_output
from worker.context import Context


def classify_project(context: Context, plan: FollowingPlan, block: str, still_wanted: Callable[[], None]) -> None:
    """Write predictions for every mask into the project, and a summary of them as the job's output."""
    _, board = board_at(context.store, plan.project, plan.version)
    files = ProjectFiles(context.storage, plan.project)
    context.live.update(plan.job, phase="learning from the labels")
    table = files.masks()
    found = classifier.predict(files.features(), board.codes, table.neighbourhood.astype(np.int64))
    still_wanted()
    files.write_predictions(plan.version, Predictions(found.codes, np.floor(100 * found.confidence).astype(np.uint8)))
    summary = json.dumps(_summary(plan, board, found), indent=1).encode()
    output = put_output(
        context, plan.job, summary, name="classification.json", kind="application/json",
        title="How many masks were learnt from and classified, by class",
    )  # fmt: skip
    note_done(context, plan.job, block, {"summary": output})


def _summary(plan: FollowingPlan, board: Board, found: classifier.Predictions) -> dict[str, Any]:
    new = board.codes == 0
    return {
        "project": plan.project,
        "version": plan.version,
        "masks": len(board.codes),
        "labelled": board.labelled,
        "classified": int(np.count_nonzero(found.codes[new])),
        "mean_confidence": round(float(found.confidence[new].mean()), 4) if new.any() else None,
        "surer_half": int(found.accepted.sum()),
        "classes": [
            {
                "code": told.code,
                "name": told.name,
                "labelled": int(np.count_nonzero(board.codes == told.code)),
                "classified": int(np.count_nonzero(found.codes[new] == told.code)),
            }
            for told in LAND_COVER
        ],
    }
