"""Reads a city's folder of seasons, buildings, streets and reference classes onto one 10 m grid."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from scipy.ndimage import distance_transform_edt

from models.data.cities.vectors import (
    BadCity,
    Kilometres,
    landuse_shares,
    read_buildings,
    read_kilometres,
    street_metres,
)
from models.morphology import HALO_METRES, RESOLUTION, burn, morphology

CELL: Final = 10  # pixels: a reference cell is 100 m
CODES: Final = 17
SEASONS: Final = ("spring", "summer", "autumn", "winter")
BANDS: Final = ("B04", "B03", "B02")
SCALE: Final = 10_000.0  # of the stored reflectance
MAX_PIXELS: Final = 60_000_000
_SHARE: Final = 0.5  # of a cell's pixels that must be imaged and classed
_OFF_GRID: Final = 0.25  # pixels: files farther apart are not on one lattice
_SKEW: Final = 1e-4  # metres a pixel: the rounding of a file's header, far less than a pixel over any city
REFERENCE_SHIFT: Final = (-5, -5)
"""Pixels down and right by which the ground that So2Sat POP's classes describe lies off their blocks: half a cell, as
if the corner of a cell had been written for its centre. Measured in Gdansk, see docs/training.md."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class CityGround:
    """A city on one north-up 10 m grid, and its reference classes on the 100 m lattice they were made on.

    Pixel arrays: `reflectance` (season, band, y, x) float32 0-1, gaps filled from the nearest pixel; `valid` (y, x)
    says where every season was seen; `morphology` (6, y, x) as in models.morphology; `streets` (4, y, x) metres of
    line per 10 m (see vectors.STREETS), `landuse` (6, y, x) shares (LANDUSE) and `zoning` (4, y, x) the shares
    commercial, industrial, residential, other: None where the folder lacks them. Cell arrays (row, column): `truth`
    uint8 codes 1-17 and 0, `known` where truth, imagery and buildings all exist, `kilometre` the square kilometre of
    the cell (-1: none). Cell (0, 0) starts at pixel `lattice`.
    """

    name: str
    crs: str
    transform: Affine
    seasons: tuple[str, ...]
    reflectance: NDArray[np.float32]
    valid: NDArray[np.bool_]
    morphology: NDArray[np.float32]
    streets: NDArray[np.float32] | None
    landuse: NDArray[np.float32] | None
    zoning: NDArray[np.float32] | None
    lattice: tuple[int, int]
    truth: NDArray[np.uint8]
    known: NDArray[np.bool_]
    kilometre: NDArray[np.int32]

    @property
    def cells(self) -> NDArray[np.int64]:
        """The known cells, (n, 2) rows and columns, in raster order."""
        return np.argwhere(self.known)

    def codes(self, cells: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Return the reference codes (n,) of cells (n, 2)."""
        codes: NDArray[np.uint8] = self.truth[cells[:, 0], cells[:, 1]]
        return codes

    def blocks(self, cells: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """Return the square kilometre (n,) each of the cells (n, 2) lies in."""
        blocks: NDArray[np.int32] = self.kilometre[cells[:, 0], cells[:, 1]]
        return blocks


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixel lattice everything is brought to."""

    crs: Any
    transform: Affine
    shape: tuple[int, int]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in metres, with the margin a morphology raster looks into."""
        left, top = self.transform.c, self.transform.f
        bottom, right = top - self.shape[0] * RESOLUTION, left + self.shape[1] * RESOLUTION
        return left - HALO_METRES, bottom - HALO_METRES, right + HALO_METRES, top + HALO_METRES


def read_city(folder: Path) -> CityGround:
    """Read `<city>_sen2_rgb_<season>.tif`, `_lcz.tif`, `_osm_buildings.gpkg.zip` and `_osm_cells.geojson` of a folder.

    Any seasons will do; `<city>_osm_full.gpkg.zip` and `<city>_lu.tif` are read where they are. Raises BadCity,
    naming the file and what to mend, before anything large is computed.
    """
    name = city_name(folder)
    seasons = tuple(s for s in SEASONS if (folder / f"{name}_sen2_rgb_{s}.tif").is_file())
    if not seasons:
        raise BadCity(f"{folder} has no {name}_sen2_rgb_<season>.tif; give at least one of {', '.join(SEASONS)}")
    grid = _grid(folder / f"{name}_sen2_rgb_{seasons[0]}.tif")
    kilometres = read_kilometres(folder / f"{name}_osm_cells.geojson", grid.crs)
    footprints, heights = read_buildings(folder / f"{name}_osm_buildings.gpkg.zip", grid.crs, grid.bounds)
    codes = _on_grid(folder / f"{name}_lcz.tif", grid, bands=1)[0]
    if codes.max(initial=0) > CODES or not np.isfinite(codes).all():
        raise BadCity(f"{name}_lcz.tif holds {codes.max():g}; codes are 1-{CODES} and 0 for no data")
    stack = np.stack([_on_grid(folder / f"{name}_sen2_rgb_{s}.tif", grid, bands=3) for s in seasons])
    valid: NDArray[np.bool_] = np.asarray((stack > 0).any(axis=1).all(axis=0))
    if not valid.any():
        raise BadCity(f"no pixel of {name} is seen in every season ({', '.join(seasons)})")
    covered = _burn(kilometres.polygons[kilometres.mapped], grid)
    full, zoning = folder / f"{name}_osm_full.gpkg.zip", folder / f"{name}_lu.tif"
    lattice = lattice_offset(codes)
    truth, known, kilometre = _cells(codes, valid, kilometres, grid, lattice)
    return CityGround(
        name=name,
        crs=grid.crs.to_string(),
        transform=grid.transform,
        seasons=seasons,
        reflectance=fill_gaps(stack / np.float32(SCALE), valid),
        valid=valid,
        morphology=morphology(footprints, heights, grid.transform, grid.shape, covered),
        streets=street_metres(full, grid.crs, grid.transform, grid.shape) if full.is_file() else None,
        landuse=landuse_shares(full, grid.crs, grid.transform, grid.shape) if full.is_file() else None,
        zoning=_on_grid(zoning, grid, bands=4) if zoning.is_file() else None,
        lattice=lattice,
        truth=truth,
        known=known,
        kilometre=kilometre,
    )


def registered(city: CityGround, shift: tuple[int, int] = REFERENCE_SHIFT) -> CityGround:
    """Return the city with every cell of its reference moved by `shift` pixels (down, right) over its imagery.

    The shift is upwards and to the left (at most 0): as many pixels are added there, reflectance repeating its edge,
    all else 0. Raises BadCity for another shift.
    """
    if max(shift) > 0 or min(shift) < -CELL:
        raise BadCity(f"a reference is moved up and left, by 0 to {CELL} pixels; not by {shift}")
    down, right = -shift[0], -shift[1]
    edges = ((down, 0), (right, 0))

    def grown(layers: NDArray[Any] | None, mode: Any = "constant") -> Any:
        return None if layers is None else np.pad(layers, [(0, 0)] * (layers.ndim - 2) + list(edges), mode=mode)

    return replace(
        city,
        transform=city.transform @ Affine.translation(-right, -down),
        reflectance=grown(city.reflectance, "edge"),
        valid=grown(city.valid),
        morphology=grown(city.morphology),
        streets=grown(city.streets),
        landuse=grown(city.landuse),
        zoning=grown(city.zoning),
    )


def city_name(folder: Path) -> str:
    """Return the city a folder's files are named after; raises BadCity where it is not exactly one."""
    if not folder.is_dir():
        raise BadCity(f"{folder} is not a folder; give one with <city>_lcz.tif and its companions")
    names = sorted(path.name.removesuffix("_lcz.tif") for path in folder.glob("*_lcz.tif"))
    if len(names) != 1 or not _NAME.fullmatch(names[0]):
        raise BadCity(
            f"{folder} holds {len(names)} files <city>_lcz.tif; one city a folder, named by letters and digits"
        )
    return names[0]


def lattice_offset(codes: NDArray[Any]) -> tuple[int, int]:
    """Return the (row, column), each 0-9, at which the 100 m blocks of a class raster (y, x) begin.

    It is where most borders between two classes fall: rows and columns are found independently. An even raster
    gives (0, 0).
    """
    return _phase(codes), _phase(codes.T)


def _phase(codes: NDArray[Any]) -> int:
    change = ((codes[1:] != codes[:-1]) & (codes[1:] > 0) & (codes[:-1] > 0)).sum(axis=1)
    votes = np.bincount((np.arange(len(change)) + 1) % CELL, weights=change, minlength=CELL)
    return int(votes.argmax())


def fill_gaps(reflectance: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Give every pixel not valid (y, x) the values of the nearest valid one; `reflectance` is (..., y, x)."""
    if valid.all():
        return reflectance
    rows, columns = distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return np.ascontiguousarray(reflectance[..., rows, columns])


def cell_means(layers: NDArray[Any], lattice: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Average pixels (..., y, x) over the 100 m cells (..., row, column); what lies beyond the raster counts as 0."""
    row, column = lattice
    rows, columns = shape[0] * CELL, shape[1] * CELL
    part = layers[..., row : row + rows, column : column + columns].astype(np.float32)
    missing = [(0, 0)] * (part.ndim - 2) + [(0, rows - part.shape[-2]), (0, columns - part.shape[-1])]
    part = np.pad(part, missing).reshape(*part.shape[:-2], shape[0], CELL, shape[1], CELL)
    return np.asarray(part.mean(axis=(-3, -1)), dtype=np.float32)


def _grid(path: Path) -> Grid:
    try:
        with rasterio.open(path) as dataset:
            crs, transform, shape = dataset.crs, dataset.transform, dataset.shape
    except RasterioError as error:
        raise BadCity(f"{path.name} cannot be read as a raster: {error}") from error
    if crs is None or not crs.is_projected:
        raise BadCity(f"{path.name} needs a projected CRS in metres, not {crs}")
    skew = max(abs(transform.a - RESOLUTION), abs(transform.e + RESOLUTION), abs(transform.b), abs(transform.d))
    if skew > _SKEW:
        raise BadCity(f"{path.name} is not north-up with {RESOLUTION:g} m pixels: {tuple(transform)[:6]}")
    if shape[0] * shape[1] > MAX_PIXELS:
        raise BadCity(f"{path.name} has {shape[0] * shape[1]} pixels; at most {MAX_PIXELS}: cut it")
    return Grid(crs, Affine(RESOLUTION, 0, transform.c, 0, -RESOLUTION, transform.f), shape)


def _on_grid(path: Path, grid: Grid, *, bands: int) -> NDArray[np.float32]:
    """Read a raster (band, y, x) that shares the grid's lattice but perhaps not its extent; 0 where it ends."""
    if not path.is_file():
        raise BadCity(f"{path.parent} lacks {path.name}")
    try:
        with rasterio.open(path) as dataset:
            crs, there, count = dataset.crs, dataset.transform, dataset.count
            if count != bands or crs != grid.crs or dataset.height * dataset.width > MAX_PIXELS:
                raise BadCity(f"{path.name} has {count} bands in {crs}; it needs {bands} in {grid.crs}")
            data = dataset.read(out_dtype="float32")
    except RasterioError as error:
        raise BadCity(f"{path.name} cannot be read as a raster: {error}") from error
    down, right = (grid.transform.f - there.f) / RESOLUTION, (there.c - grid.transform.c) / RESOLUTION
    off = max(abs(down - round(down)), abs(right - round(right)))
    if off > _OFF_GRID or abs(there.a - RESOLUTION) > _SKEW or abs(there.e + RESOLUTION) > _SKEW:
        raise BadCity(f"{path.name} does not lie on the imagery's 10 m lattice: it is {off:.2f} pixels off")
    if not np.isfinite(data).all():
        raise BadCity(f"{path.name} holds values that are not finite; write 0 for no data")
    return _shifted(data, round(down), round(right), grid.shape)


def _shifted(data: NDArray[np.float32], down: int, right: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    out = np.zeros((len(data), *shape), dtype=np.float32)
    rows = slice(max(down, 0), min(down + data.shape[1], shape[0]))
    columns = slice(max(right, 0), min(right + data.shape[2], shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        out[:, rows, columns] = data[
            :, rows.start - down : rows.stop - down, columns.start - right : columns.stop - right
        ]
    return out


def _burn(polygons: NDArray[np.object_], grid: Grid) -> NDArray[np.bool_]:
    origin = (grid.transform.c, grid.transform.f)
    return burn(polygons, np.ones(len(polygons)), origin, RESOLUTION, grid.shape) > 0


def _cells(
    codes: NDArray[np.float32],
    valid: NDArray[np.bool_],
    kilometres: Kilometres,
    grid: Grid,
    lattice: tuple[int, int],
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int32]]:
    """Return truth, known and kilometre of every cell: truth is the commonest code where enough pixels have one."""
    shape = tuple(-((at - size) // CELL) for at, size in zip(lattice, grid.shape, strict=True))
    rows, columns = shape
    shares = np.stack([cell_means(codes == code, lattice, (rows, columns)) for code in range(1, CODES + 1)])
    truth = np.where(shares.sum(axis=0) >= _SHARE, shares.argmax(axis=0) + 1, 0).astype(np.uint8)
    x = grid.transform.c + (lattice[1] + CELL * (np.arange(columns) + 0.5)) * RESOLUTION
    y = grid.transform.f - (lattice[0] + CELL * (np.arange(rows) + 0.5)) * RESOLUTION
    kilometre = kilometres.containing(np.stack(np.meshgrid(x, y), axis=-1))
    mapped = np.append(kilometres.mapped, [False])[kilometre]  # -1 finds the last
    seen = cell_means(valid, lattice, (rows, columns)) >= _SHARE
    return truth, (truth > 0) & seen & mapped, kilometre
