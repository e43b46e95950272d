"""An area where probabilities, parcels and the truth are all known, and what thresholds make of it there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import geopandas as gpd
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from shapely.geometry import box

from jobs.area import Grid
from models.cards import UnitThresholds
from models.classes import MapClass
from models.errors import CityzonesError
from worker.parcels.units import PARCEL, PIXEL, SCENE, Decided, Mode, Verdicts, decide_block, group_small, judge_parcels
from worker.parcels.units.borders import boundary_f1, patch_sizes
from worker.parcels.units.filtering import smooth
from worker.parcels.vectors.cleaning import clean_parcels
from worker.parcels.zonal import Sums, coverage_sums

Bytes = NDArray[np.uint8]
Rows = NDArray[np.int64]

# Metres: what is smaller is no Local Climate Zone (Stewart & Oke 2012 speak of hundreds of metres).
SMALLEST_AREA: Final = 1e4
# Probabilities come as 255ths; one that was rounded to 0 counts as half of one.
_LEAST: Final = 0.5 / 255
_MOST_PIXELS: Final = 100_000_000
FILES: Final = ("probabilities.tif", "truth.tif", "parcels.parquet")


class BadValidationArea(CityzonesError):
    """A folder of validation data lacks a file, or its files do not fit one another."""

    code = "bad-validation-area"


@dataclass(frozen=True, slots=True)
class Loss:
    """What a map costs: four figures, 0 for a perfect one.

    `surprise` is the mean of -ln p of the truth, `borders` 1 - boundary F1, `crumbs` the share of the map in patches
    under SMALLEST_AREA, `harm` the share of pixels by which it is less right than the pixels' own classes, if it is.
    """

    surprise: float
    borders: float
    crumbs: float
    harm: float


@dataclass(frozen=True, eq=False)
class Area:
    """Probabilities (class, y, x) uint8 as served, truth (y, x) class codes (0: unknown), and cleaned parcels.

    `grid` is that of the probabilities' nodes, a scene cell has `scene` of them a side.
    """

    name: str
    probabilities: Bytes
    truth: Bytes
    parcels: gpd.GeoDataFrame
    grid: Grid
    classes: tuple[MapClass, ...]
    scene: int = 10

    def filtered(self, scale: float) -> tuple[Bytes, Sums]:
        """Return the probabilities filtered as far as `scale`, and the parcels' sums of them."""
        return _filtered(self, scale)

    def decide(self, thresholds: UnitThresholds, mode: Mode = "auto") -> tuple[Decided, Verdicts]:
        """Map the area as a job of one block does."""
        values, sums = self.filtered(thresholds.filter_scale)
        limits = (thresholds.parcel_min_area, thresholds.pixel_elongation, thresholds.pixel_mean_width)
        verdicts = judge_parcels(
            self.parcels, sums, cell_area=self.grid.resolution**2, thresholds=thresholds, classes=self.classes,
            mode=mode, block=_grouped(self, limits),
        )  # fmt: skip
        decided = decide_block(
            self.grid, values, scene_cells(values, self.scene), mode=mode, classes=self.classes, scene=self.scene,
            parcels=self.parcels, verdicts=verdicts, thresholds=thresholds,
        )  # fmt: skip
        return decided, verdicts

    def loss(self, thresholds: UnitThresholds) -> Loss:
        """Map the area and compare it with the truth where that is known."""
        decided, verdicts = self.decide(thresholds)
        values, _ = self.filtered(thresholds.filter_scale)
        mapped = np.where(self.truth > 0, decided.map, 0)
        sizes = patch_sizes(mapped) * self.grid.resolution**2
        crumbs = sizes[sizes < SMALLEST_AREA].sum() / max(1.0, sizes.sum())
        surprise = float(-np.log(np.maximum(self._given(decided, verdicts, values), _LEAST)).mean())
        return Loss(surprise, 1 - boundary_f1(mapped, self.truth), float(crumbs), self._harm(decided.map))

    def _harm(self, mapped: Bytes) -> float:
        """Return how much less of the map is right than of the most probable classes of its pixels, unfiltered."""
        codes = np.array([kind.code for kind in self.classes], np.uint8)
        known = (self.truth > 0) & (mapped > 0) & self.probabilities.any(axis=0)
        alone = codes[self.probabilities.argmax(axis=0)] == self.truth
        return max(0.0, float(alone[known].mean() - (mapped == self.truth)[known].mean())) if known.any() else 0.0

    def _given(self, decided: Decided, verdicts: Verdicts, values: Bytes) -> NDArray[np.float64]:
        """Return the probability that the deciding unit of each pixel gave the true class, (m,) of known pixels."""
        known = (self.truth > 0) & (decided.map > 0)
        place = {kind.code: k for k, kind in enumerate(self.classes)}
        layer = np.array([place.get(code, 0) for code in range(256)])[self.truth]
        cells = scene_cells(values, self.scene)
        by_scene = cells.repeat(self.scene, axis=1).repeat(self.scene, axis=2)[:, : self.grid.height, : self.grid.width]
        given = np.zeros(self.truth.shape)
        for unit, source in ((PIXEL, values), (SCENE, by_scene)):
            mine = known & (decided.units == unit)
            rows, columns = np.nonzero(mine)
            total = source[:, rows, columns].sum(axis=0, dtype=np.float64)
            given[mine] = source[layer[mine], rows, columns] / np.maximum(total, 1.0)
        mine = known & (decided.units >= PARCEL)
        given[mine] = verdicts.mean[decided.parcel[mine], layer[mine]]
        return given[known]


def scene_cells(values: Bytes, side: int) -> Bytes:
    """Return what the node at the centre of each scene cell of `side` nodes says, as a job's scene cells do."""
    if side == 1:
        return values
    rows, columns = (np.minimum(np.arange(side // 2, n + side // 2, side), n - 1) for n in values.shape[1:])
    return values[:, rows][:, :, columns]


def read_area(folder: Path, classes: tuple[MapClass, ...], *, resolution: float, scene: int) -> Area:
    """Read `probabilities.tif` (a band a class, uint8, 255 for 1), `truth.tif` (codes) and `parcels.parquet`.

    The two rasters lie on one north-up grid of pixels of `resolution` metres; parcels come in any CRS. Raises
    BadValidationArea naming the file and what to mend.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise BadValidationArea(f"{folder} lacks {name}; a validation area is a folder of {', '.join(FILES)}")
    values, grid = _raster(folder / FILES[0])
    truth, truth_grid = _raster(folder / FILES[1])
    if len(values) != len(classes) or len(truth) != 1 or truth_grid != grid or grid.resolution != resolution:
        raise BadValidationArea(
            f"{folder}: give {len(classes)} bands of probabilities and one of truth on one grid of {resolution:g} m; "
            f"they have {len(values)} and {len(truth)}, at {grid.resolution:g} m"
        )
    if int(truth.max(initial=0)) > max(kind.code for kind in classes) or not (truth > 0).any():
        raise BadValidationArea(f"{folder}: truth.tif needs codes of the product's classes, 0 where unknown")
    frame = _parcels(folder / FILES[2], grid)
    return Area(folder.name, values, truth[0], frame, grid, classes, scene)


def write_area(area: Area, folder: Path) -> None:
    """Write an area as `read_area` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, layers in zip(FILES[:2], (area.probabilities, area.truth[None]), strict=True):
        profile = {"driver": "GTiff", "dtype": "uint8", "count": len(layers), "compress": "deflate", "tiled": True,
                   "height": area.grid.height, "width": area.grid.width, "crs": area.grid.crs,
                   "transform": area.grid.transform}  # fmt: skip
        with rasterio.open(folder / name, "w", **profile) as target:
            target.write(layers)
    area.parcels[["parcel_id", "geometry"]].to_parquet(folder / FILES[2], index=False)


@lru_cache(maxsize=64)
def _filtered(area: Area, scale: float) -> tuple[Bytes, Sums]:
    values = smooth(area.probabilities, resolution=area.grid.resolution, classes=area.classes, scale=scale)
    seen = np.asarray(values.any(axis=0), np.bool_)
    return values, coverage_sums(area.parcels.geometry.to_numpy(), values, seen, area.grid)


@lru_cache(maxsize=512)
def _grouped(area: Area, limits: tuple[float, float, float]) -> Rows:
    small, elongation, width = limits
    thresholds = UnitThresholds(parcel_min_area=small, pixel_elongation=elongation, pixel_mean_width=width)
    return group_small(area.parcels, thresholds)


def _raster(path: Path) -> tuple[Bytes, Grid]:
    try:
        with rasterio.open(path) as source:
            pixels, transform, kind = source.width * source.height, source.transform, source.dtypes[0]
            square = abs(transform.a + transform.e) < 1e-6 and transform.b == transform.d == 0  # noqa: PLR2004 - metres
            if source.crs is None or not square or kind != "uint8" or pixels > _MOST_PIXELS:
                raise BadValidationArea(
                    f"{path.name} must be uint8 on a north-up grid with a CRS, of at most {_MOST_PIXELS} pixels"
                )
            grid = Grid(source.crs.to_string(), transform.c, transform.f, transform.a, source.width, source.height)
            return source.read(), grid
    except RasterioError as error:
        raise BadValidationArea(f"{path.name} cannot be read as a raster: {error}") from error


def _parcels(path: Path, grid: Grid) -> gpd.GeoDataFrame:
    try:
        frame = gpd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise BadValidationArea(f"{path.name} cannot be read as GeoParquet: {error}") from error
    if frame.crs is None or not len(frame):
        raise BadValidationArea(f"{path.name} needs parcels, and their CRS")
    if "parcel_id" not in frame.columns:
        frame = frame.assign(parcel_id=[str(row) for row in range(len(frame))])
    return clean_parcels(frame.to_crs(grid.crs), box(*grid.bounds)).frame
