"""Exports the labels of a project: pairs of GeoTIFFs, COCO, and the provenance of every mask."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jobs.annotation.edits import Label
from jobs.annotation.plan import FollowingPlan
from jobs.annotation.rasters import encode_classes
from jobs.annotation.request import ExportExecute
from models.classes import LAND_COVER
from worker.annotation.coco import write_coco
from worker.annotation.following import asked_of, note_done, put_output
from worker.annotation.labelled import Labelled, image_name, labels_of_tile, read_labelled
from worker.context import Context

_TOLD: Final = {
    "tiles": ("tiles.zip", "application/zip", "Images and labels as GeoTIFF pairs, 0 = unlabelled"),
    "coco": ("coco.json", "application/json", "Masks in the COCO format"),
    "provenance": ("provenance.csv", "text/csv", "Who gave each mask its class, how and when"),
}
_COLUMNS: Final = (
    "mask", "tile", "label", "neighbourhood", "split", "code", "class", "source", "confidence", "who", "when",
    "version",
)  # fmt: skip
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # of every file in an archive: the same labels give the same bytes


def export_project(context: Context, plan: FollowingPlan, block: str, still_wanted: Callable[[], None]) -> None:
    """Write the outputs of an export; twice gives the same bytes."""
    asked = asked_of(context, plan.job)
    assert isinstance(asked, ExportExecute)  # noqa: S101 - what the process takes
    labelled = read_labelled(context, plan, asked.inputs)
    context.live.update(plan.job, phase="writing images and labels")
    with TemporaryDirectory(dir=context.desk) as folder:
        parts: dict[str, Path | bytes] = {
            "tiles": _archive(labelled, Path(folder), still_wanted),
            "coco": write_coco(labelled, Path(folder), still_wanted),
            "provenance": _provenance(labelled).encode(),
        }
        outputs = {}
        for name in asked.outputs or _TOLD:
            filename, kind, title = _TOLD[name]
            outputs[name] = put_output(context, plan.job, parts[name], name=filename, kind=kind, title=title)
    note_done(context, plan.job, block, outputs)


def _archive(labelled: Labelled, folder: Path, still_wanted: Callable[[], None]) -> Path:
    """Write <tile>/images, <tile>/masks and <tile>/validation, as folders of tiles are read for training."""
    path = folder / "tiles.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _put(archive, "classes.json", json.dumps(_legend(), indent=1).encode())
        for number, tile in enumerate(labelled.project.tiles):
            still_wanted()
            image = labelled.files.storage.get(labelled.files.image_key(number))
            assert image is not None  # noqa: S101 - the project is there
            _put(archive, image_name(number, tile), image)
            labels = labels_of_tile(labelled, number)
            for folder_name, chosen in (("masks", ~labelled.held), ("validation", labelled.held)):
                codes = _painted(labelled, number, labels, chosen)
                _put(archive, image_name(number, tile, folder_name), encode_classes(codes, tile))
    return path


def _painted(labelled: Labelled, tile: int, labels: NDArray[np.int32], chosen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the classes (y, x) of a tile's masks that lie in chosen neighbourhoods."""
    own = labelled.table.tile == tile
    codes = np.where(chosen[labelled.table.neighbourhood[own]], labelled.codes[own], 0)
    return np.concatenate([[0], codes]).astype(np.uint8)[labels]


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)


def _legend() -> dict[str, object]:
    return {"classes": [{"title": told.name, "color": told.colour.upper()} for told in LAND_COVER]}


def _provenance(labelled: Labelled) -> str:
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(_COLUMNS)
    table.writerows(_rows(labelled))
    return out.getvalue()


def _rows(labelled: Labelled) -> Iterator[tuple[object, ...]]:
    names = {told.code: told.label for told in LAND_COVER}
    for number in np.flatnonzero(labelled.codes):
        block, code = int(labelled.table.neighbourhood[number]), int(labelled.codes[number])
        yield (
            int(number), int(labelled.table.tile[number]) + 1, int(labelled.table.label[number]), block,
            "validation" if labelled.held[block] else "training", code, names[code],
            *_said(labelled, int(number)),
        )  # fmt: skip


def _said(labelled: Labelled, number: int) -> tuple[object, ...]:
    """Return source, confidence, who, when and version of a mask's class."""
    if labelled.predicted[number]:
        return "classifier", int(labelled.confidence[number]), "", "", ""
    entry = labelled.entries[int(labelled.board.version_of[number]) - 1]
    assert isinstance(entry.edit, Label)  # noqa: S101 - only labels give classes
    return entry.edit.source, 100, entry.who, entry.when.isoformat(), entry.version
