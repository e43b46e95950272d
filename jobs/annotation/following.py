"""Which projects may be classified and exported."""

from __future__ import annotations

from typing import Final

import numpy as np

from jobs.annotation.board import Board, board_of
from jobs.annotation.log import EditLog
from jobs.annotation.project import ProjectFiles
from jobs.annotation.request import PROJECT, ExportExecute, Following
from jobs.errors import InvalidRequest, UnknownJob
from jobs.store import JobStore
from models.errors import Fault

POINTER: Final = "/inputs/project"
LEAST_LABELS: Final = 20
"""Masks with a label from which on a classifier learns."""


def check_project_of(store: JobStore, following: Following, *, tenant: str) -> None:
    """Raise InvalidRequest unless the project that a request names is the tenant's, there, and labelled enough."""
    job = following.inputs.project
    try:
        head = store.head(job)
    except UnknownJob as error:
        raise _refused(error.detail) from error
    if head.tenant != tenant:
        raise _refused(f"there is no job {job}")
    if head.process != PROJECT:
        raise _refused(f"{job} is of {head.process}, not {PROJECT}")
    result = store.result(job)
    if store.ended(job) != "successful" or result is None or result.deleted:
        raise _refused(f"{job} has no project: it is not finished, or failed, or was deleted")
    board = board_at(store, job)[1]
    labels = np.unique(board.codes[board.codes > 0])
    if isinstance(following, ExportExecute):
        if not len(labels):
            raise _refused(f"no mask of {job} has a label: there is nothing to export")
    elif board.labelled < LEAST_LABELS or len(labels) < 2:  # noqa: PLR2004 - one class is no choice
        told = f"{board.labelled} masks of {len(labels)} classes are labelled"
        raise _refused(f"{told}: a classifier learns from {LEAST_LABELS} of two classes on")


def board_at(store: JobStore, project: str, version: int | None = None) -> tuple[int, Board]:
    """Return a version of a project, by default its newest, and what its edits add up to by then."""
    entries = EditLog(store.storage, project).entries()[:version]
    return len(entries), board_of(ProjectFiles(store.storage, project).project().masks, entries)


def _refused(detail: str) -> InvalidRequest:
    return InvalidRequest(f"{POINTER}: {detail}", faults=[Fault(POINTER, detail)])
