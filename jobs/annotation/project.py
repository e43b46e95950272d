"""An annotation project as storage holds it: its tiles, its neighbourhoods and masks, written once by its job."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from jobs.errors import UnknownProject
from jobs.record import Warned
from jobs.storage import Storage


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TileRecord(_Strict):
    """A tile: its file's name, size in pixels, place on the Earth where it has one, and how many masks it was cut into.

    `transform` holds the affine coefficients (a, b, c, d, e, f) from (column, row) to coordinates of `crs`.
    """

    name: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    masks: int = Field(ge=0)
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None


class Neighbourhood(_Strict):
    """A block of a tile inside which masks that look alike are clustered: first pixel, size, number of masks."""

    tile: int = Field(ge=0)
    row: int = Field(ge=0)
    column: int = Field(ge=0)
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    masks: int = Field(ge=0)


class Project(_Strict):
    """annotation/project.json: the project exists because this exists; `segmenter` says what cut the masks."""

    job: str
    title: str
    created: datetime
    segmenter: str
    features: tuple[str, ...]
    tiles: tuple[TileRecord, ...]
    neighbourhoods: tuple[Neighbourhood, ...]
    warnings: tuple[Warned, ...] = ()

    @property
    def masks(self) -> int:
        """How many masks there are; they are numbered from 0, tile by tile."""
        return sum(tile.masks for tile in self.tiles)


@dataclass(frozen=True, slots=True)
class MaskTable:
    """Where each of n masks is. Arrays over masks, by number.

    `tile` and `neighbourhood` (n,) int32; `label` (n,) int32: its value in the tile's labels, from 1; `box` (n, 4)
    int32: first row and column, and those behind the last; `area` (n,) int32 in pixels.
    """

    tile: NDArray[np.int32]
    neighbourhood: NDArray[np.int32]
    label: NDArray[np.int32]
    box: NDArray[np.int32]
    area: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Forest:
    """The trees of all neighbourhoods, one after another.

    `members` (n,) int32: numbers of masks, those of a neighbourhood together, in the order of its leaves; `children`
    (k, 2) int32: of each joint of a neighbourhood's m - 1, the nodes it joins, where 0 to m - 1 are leaves and m + i is
    joint i; `heights` (k,) float32: how unlike they are; `roots` (r,) int32: the nodes that are its first clusters;
    `root_counts` (neighbourhoods,) int32: how many of them each has.
    """

    members: NDArray[np.int32]
    children: NDArray[np.int32]
    heights: NDArray[np.float32]
    roots: NDArray[np.int32]
    root_counts: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a classifier says of all n masks: `codes` (n,) uint8, and `confidence` (n,) uint8 in percent."""

    codes: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


class ProjectFiles:
    """The objects of one project below jobs/<job>/annotation; `project.json` is written last."""

    def __init__(self, storage: Storage, job: str) -> None:
        self.storage = storage
        self._place = f"jobs/{job}/annotation"
        self.job = job

    def write(self, project: Project, masks: MaskTable, forest: Forest, features: NDArray[np.float32]) -> None:
        """Write everything but the tiles' rasters, which are there already; `features` are (mask, feature)."""
        self.storage.put(self._key("masks.npz"), _packed(masks))
        self.storage.put(self._key("trees.npz"), _packed(forest))
        self.storage.put(self._key("features.npz"), _archive(features=features))
        self.storage.create(self.project_key, project.model_dump_json(indent=1).encode())

    @property
    def project_key(self) -> str:
        """Where the record of the project lies."""
        return self._key("project.json")

    def project(self) -> Project:
        """Return the project; raises UnknownProject where the job has none."""
        data = self.storage.get(self.project_key)
        if data is None:
            msg = f"{self.job} has no annotation project; execute the process annotation-project and wait for its end"
            raise UnknownProject(msg)
        return Project.model_validate_json(data)

    def masks(self) -> MaskTable:
        """Return where the masks are."""
        return MaskTable(**self._arrays("masks.npz"))

    def forest(self) -> Forest:
        """Return the trees of clusters."""
        return Forest(**self._arrays("trees.npz"))

    def features(self) -> NDArray[np.float32]:
        """Return what describes every mask, (mask, feature)."""
        return np.asarray(self._arrays("features.npz")["features"])

    def image_key(self, tile: int) -> str:
        """Return where a tile's image lies: a GeoTIFF of three bands, uint8."""
        return self._key(f"tiles/{tile:04d}/image.tif")

    def labels_key(self, tile: int) -> str:
        """Return where a tile's labels lie: a GeoTIFF of one band, int32, 0 where there is no mask."""
        return self._key(f"tiles/{tile:04d}/masks.tif")

    def write_predictions(self, version: int, predictions: Predictions) -> None:
        """Write what a classifier that learnt from the project's first `version` edits says."""
        self.storage.put(self._key(f"predictions/{version:08d}.npz"), _packed(predictions))

    def newest_predictions(self) -> int | None:
        """Return the version that the newest predictions were learnt from, None where there are none."""
        found = self.prediction_versions()
        return found[-1] if found else None

    def prediction_versions(self) -> list[int]:
        """Return every version that predictions were learnt from, oldest first."""
        found = self.storage.keys(self._key("predictions"))
        return [int(key.rpartition("/")[2].removesuffix(".npz")) for key in found]

    def predictions(self, version: int) -> Predictions:
        """Return what a classifier that learnt from a version says."""
        return Predictions(**self._arrays(f"predictions/{version:08d}.npz"))

    def _arrays(self, name: str) -> dict[str, Any]:
        data = self.storage.get(self._key(name))
        if data is None:
            msg = f"{name} of the project {self.job} is gone"
            raise UnknownProject(msg)
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return {part: found[part] for part in found.files}

    def _key(self, name: str) -> str:
        return f"{self._place}/{name}"


def _packed(arrays: MaskTable | Forest | Predictions) -> bytes:
    return _archive(**{f.name: getattr(arrays, f.name) for f in fields(arrays)})


def _archive(**arrays: NDArray[Any]) -> bytes:
    """Return arrays as an .npz file; the same arrays give the same bytes."""
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=False, **arrays)
    return out.getvalue()
