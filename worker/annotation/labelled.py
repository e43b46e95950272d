"""A project at one version, with the class of every mask: what annotators said, and what a classifier did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.annotation.board import Board, board_of
from jobs.annotation.edits import Entry
from jobs.annotation.log import EditLog
from jobs.annotation.plan import FollowingPlan
from jobs.annotation.project import MaskTable, Predictions, Project, ProjectFiles, TileRecord
from jobs.annotation.rasters import decode_raster
from jobs.annotation.request import ExportInputs
from worker.context import Context


@dataclass(frozen=True, slots=True)
class Labelled:
    """A project with the class of every mask, 0 for none, and where that comes from.

    `codes` (n,) uint8; `confidence` (n,) uint8 in percent, 100 where somebody said so; `predicted` (n,) bool; `held`
    (neighbourhoods,) bool: set apart for validation.
    """

    files: ProjectFiles
    project: Project
    table: MaskTable
    entries: tuple[Entry, ...]
    board: Board
    codes: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    predicted: NDArray[np.bool_]
    held: NDArray[np.bool_]


def image_name(number: int, tile: TileRecord, folder: str = "images") -> str:
    """Return where an export has a tile's image, or what else belongs to it in another `folder`."""
    return f"tile{number + 1:04d}/{folder}/{Path(tile.name).stem or 'tile'}.tif"


def labels_of_tile(labelled: Labelled, tile: int) -> NDArray[np.int32]:
    """Return the labels (y, x) of a tile's masks, 0 for none."""
    data = labelled.files.storage.get(labelled.files.labels_key(tile))
    assert data is not None  # noqa: S101 - the project is there
    return np.asarray(decode_raster(data), np.int32)


def read_labelled(context: Context, plan: FollowingPlan, inputs: ExportInputs) -> Labelled:
    """Return the project at the version of a plan, with predictions where they are asked for."""
    files = ProjectFiles(context.storage, plan.project)
    project, entries = files.project(), tuple(EditLog(context.storage, plan.project).entries()[: plan.version])
    board = board_of(project.masks, entries)
    codes, confidence = board.codes.copy(), np.where(board.codes > 0, 100, 0).astype(np.uint8)
    predicted = np.zeros(len(codes), np.bool_)
    learnt = _learnt(files, plan.version) if inputs.predictions else None
    if learnt is not None:
        predicted = (codes == 0) & (learnt.codes > 0) & (learnt.confidence >= inputs.least_confidence)
        codes[predicted], confidence[predicted] = learnt.codes[predicted], learnt.confidence[predicted]
    count = len(project.neighbourhoods)
    order = np.random.default_rng(0).permutation(count)  # the same for every export of a project
    held = np.isin(np.arange(count), order[: int(inputs.validation * count)])
    return Labelled(files, project, files.masks(), entries, board, codes, confidence, predicted, held)


def _learnt(files: ProjectFiles, version: int) -> Predictions | None:
    """Return the newest predictions that were learnt from a version or one before it."""
    known = [found for found in files.prediction_versions() if found <= version]
    return files.predictions(known[-1]) if known else None
