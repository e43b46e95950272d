"""Annotation projects made of squares: four kinds of ground in blocks of sixteen masks, clustered as a worker would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import linkage

from jobs.annotation.project import (
    Forest,
    MaskTable,
    Neighbourhood,
    Predictions,
    Project,
    ProjectFiles,
    TileRecord,
)
from jobs.annotation.rasters import encode_raster
from jobs.record import now
from jobs.store import JobStore
from tests.servers.api import finish, new_job

SIDE, SQUARE, BLOCK, KINDS = 256, 32, 128, 4
_COLOURS = np.array([(60, 120, 50), (180, 160, 130), (40, 70, 160), (200, 60, 50)])
CODES = (5, 1, 6, 8)  # tree, bareland, water, building


@dataclass(frozen=True)
class Squares:
    """A project of squares, and the class that each of its masks really has."""

    job: str
    files: ProjectFiles
    truth: np.ndarray

    def predict(self, version: int) -> None:
        """Write predictions that know the truth, and are 90 percent sure."""
        sure = np.full(len(self.truth), 90, np.uint8)
        self.files.write_predictions(version, Predictions(self.truth, sure))


def squares_project(store: JobStore, job: str | None = None, *, tiles: int = 2) -> Squares:
    """Store a project of so many tiles as the outcome of a job, by default a new one."""
    job, rng = job or new_job(store), np.random.default_rng(7)
    files = ProjectFiles(store.storage, job)
    across = SIDE // SQUARE
    kinds = rng.integers(0, KINDS, (tiles, across, across))
    labels = np.kron(np.arange(1, across**2 + 1, dtype=np.int32).reshape(across, across), np.ones((SQUARE, SQUARE)))
    record = TileRecord(name="squares.tif", width=SIDE, height=SIDE, masks=across**2)
    for tile in range(tiles):
        noise = rng.normal(0, 8, (SIDE, SIDE, 3))
        ground = np.kron(_COLOURS[kinds[tile]], np.ones((SQUARE, SQUARE, 1)))
        image = np.clip(ground + noise, 0, 255).astype(np.uint8)
        files.storage.put(files.image_key(tile), encode_raster(image, record))
        files.storage.put(files.labels_key(tile), encode_raster(labels.astype(np.int32), record))
    table = _table(tiles, across)
    truth = np.array(CODES, np.uint8)[kinds.ravel()]
    places = [(tile, row, column) for tile in range(tiles) for row in (0, BLOCK) for column in (0, BLOCK)]
    project = Project(
        job=job,
        title="Squares",
        created=now(),
        segmenter="squares",
        features=("kind",),
        tiles=(record,) * tiles,
        neighbourhoods=tuple(
            Neighbourhood(tile=t, row=r, column=c, height=BLOCK, width=BLOCK, masks=(BLOCK // SQUARE) ** 2)
            for t, r, c in places
        ),
    )
    feature = kinds.ravel().astype(np.float32) + rng.normal(0, 0.05, kinds.size).astype(np.float32)
    files.write(project, table, _forest(table, feature), feature[:, None])
    finish(store, job, {})
    return Squares(job, files, truth)


def _table(tiles: int, across: int) -> MaskTable:
    count = tiles * across**2
    tile, place = np.divmod(np.arange(count), across**2)
    row, column = np.divmod(place, across)
    in_block = BLOCK // SQUARE
    block = tile * (SIDE // BLOCK) ** 2 + row // in_block * (SIDE // BLOCK) + column // in_block
    box = np.stack([row * SQUARE, column * SQUARE, (row + 1) * SQUARE, (column + 1) * SQUARE], axis=1)
    whole = (values.astype(np.int32) for values in (tile, block, place + 1, box, np.full(count, SQUARE**2)))
    return MaskTable(*whole)


def _forest(table: MaskTable, feature: np.ndarray) -> Forest:
    """Cut every neighbourhood's tree into two clusters, each of which holds about two kinds."""
    members, children, heights, roots = [], [], [], []
    for block in range(int(table.neighbourhood.max()) + 1):
        own = np.flatnonzero(table.neighbourhood == block).astype(np.int32)
        joints = linkage(feature[own, None], "ward")
        members.append(own)
        children.append(joints[:, :2].astype(np.int32))
        heights.append(joints[:, 2].astype(np.float32))
        roots.append(joints[-1, :2].astype(np.int32))
    counts = np.full(len(members), 2, np.int32)
    return Forest(*(np.concatenate(part) for part in (members, children, heights, roots)), counts)
