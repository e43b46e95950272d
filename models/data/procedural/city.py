"""A whole procedural city: Sentinel-2-like imagery, buildings, parcels, streets and the truth they were made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from models.classes import LOCAL_CLIMATE_ZONES
from models.data.procedural.buildings import Buildings, build
from models.data.procedural.cover import Cover, Ground, paint, prepare
from models.data.procedural.materials import HAZE, LAND_COVER_OF, SHADE, SPECTRA
from models.data.procedural.plan import Plan, lay_out
from models.data.procedural.templates import CODE, IMPERVIOUS, MATERIALS, ROOFS
from models.errors import CityzonesError
from models.morphology import burn, morphology

CRS: Final = "EPSG:32633"
# In the open Baltic, where no city is: nobody can take the map for a place.
CORNER: Final = (655_000.0, 6_235_000.0)
NOTICE: Final = "procedural, not a real place"
PHOTO_METRES: Final = 0.5

_PIXEL: Final = 10.0
_CELL: Final = 2.5
_SUB: Final = 4
_FINE_BLUR, _COARSE_BLUR = 0.5, 0.95  # pixels of 10 m: the blur of the 10 m and of the 20 m bands
_COARSE: Final = (3, 4, 5, 7, 8, 9)
_MARGIN: Final = 130.0  # metres around a photograph, for the shadows that fall into it


class BadCity(CityzonesError):
    """A procedural city or a window of it was asked for that cannot be made."""

    code = "bad-procedural-city"


@dataclass(frozen=True, slots=True)
class City:
    """One procedural city.

    `reflectance` (10, y, x) float32 in the order of BANDS, 0-1; `truth` (y, x) uint8, LCZ codes; `scene_classes` (y, x)
    uint8 in the codes of Sentinel-2's SCL. Tables are in `CRS`: buildings (height, metres), parcels (parcel_id, lcz,
    block_id), blocks (block_id, lcz, built, impervious, pervious: shares of its area), streets (kind).
    """

    seed: int
    name: str
    transform: Affine
    reflectance: NDArray[np.float32]
    scene_classes: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    buildings: gpd.GeoDataFrame
    parcels: gpd.GeoDataFrame
    blocks: gpd.GeoDataFrame
    streets: gpd.GeoDataFrame
    sun: tuple[float, float]
    plan: Plan
    stock: Buildings
    ground: Ground

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of 10 m."""
        return (int(self.truth.shape[0]), int(self.truth.shape[1]))

    def morphology(self) -> NDArray[np.float32]:
        """Return the city's own morphology raster (6, y, x), everywhere valid."""
        covered = np.ones(self.shape, dtype=bool)
        heights = self.buildings["height"].to_numpy(dtype=float)
        return morphology(self.buildings.geometry.to_numpy(), heights, self.transform, self.shape, covered)


def generate(
    seed: int, shape: tuple[int, int] = (500, 600), *, fragmentation: float = 0.0, river: bool | None = None
) -> City:
    """Make the city of a seed: `shape` rows and columns of 10 m; the same seed gives the same bytes.

    `fragmentation` is the share of blocks whose class differs from their district's; `river` forces or forbids one.
    Raises BadCity for a seed below zero, a grid under 20 pixels a side or a share outside 0-1.
    """
    if seed < 0 or min(shape) < 20 or not 0 <= fragmentation <= 1:  # noqa: PLR2004 - two blocks
        raise BadCity("a procedural city needs a seed of 0 or more, 20 pixels a side or more, and a share within 0-1")
    height, width = shape[0] * _PIXEL, shape[1] * _PIXEL
    rng = np.random.default_rng([seed, 20_180])
    plan = lay_out(seed, width, height, fragmentation, river=river)
    stock = build(plan, rng)
    ground = prepare(plan, stock, rng)
    sun = (np.radians(rng.uniform(130, 175)), np.radians(rng.uniform(38, 62)))
    fine = (shape[0] * _SUB, shape[1] * _SUB)
    cover = paint(plan, stock, ground, origin=(0.0, height), cell=_CELL, shape=fine, sun=sun, seed=seed)
    truth = burn(plan.cells, plan.zone, (0.0, height), _PIXEL, shape).astype(np.uint8)
    if plan.river.area:
        truth[burn(np.array([plan.river]), np.ones(1), (0.0, height), _PIXEL, shape) > 0] = len(LOCAL_CLIMATE_ZONES)
    move = np.array([CORNER[0], CORNER[1] - height])
    return City(
        seed, f"Procedural city {seed}", Affine(_PIXEL, 0, CORNER[0], 0, -_PIXEL, CORNER[1]),
        _observe(cover, rng), _scene_classes(cover), truth,
        _table({"height": stock.heights}, stock.footprints, move), _parcels(plan, seed, move),
        _blocks(plan, cover, seed, move), _streets(plan, width, height, move), sun, plan, stock, ground,
    )  # fmt: skip


def photograph(
    city: City, row: int, column: int, size: tuple[int, int]
) -> tuple[Affine, NDArray[np.uint8], NDArray[np.uint8]]:
    """Photograph a window of the city at 0.5 m.

    `row`, `column` are the 10 m pixel of the upper-left corner, `size` rows and columns of 0.5 m. Returns transform,
    RGB (3, y, x) uint8 and the land cover (y, x) uint8, codes of models.classes.LAND_COVER. Raises BadCity when
    the window leaves the city.
    """
    per = int(_PIXEL / PHOTO_METRES)
    inside = row >= 0 and column >= 0 and min(size) > 0
    if not inside or row * per + size[0] > city.shape[0] * per or column * per + size[1] > city.shape[1] * per:
        raise BadCity(
            f"the window at {row}, {column} of {size[0]} x {size[1]} half metres leaves the city; move it inside"
        )
    pad = int(_MARGIN / PHOTO_METRES)
    left, top = column * _PIXEL - _MARGIN, (city.shape[0] - row) * _PIXEL + _MARGIN
    grown = (size[0] + 2 * pad, size[1] + 2 * pad)
    cover = paint(
        city.plan, city.stock, city.ground, origin=(left, top), cell=PHOTO_METRES, shape=grown, sun=city.sun,
        seed=city.seed,
    )  # fmt: skip
    cut = (slice(pad, -pad), slice(pad, -pad))
    colour = SPECTRA[:, [2, 1, 0]][cover.material[cut]] * cover.bright[cut][..., None]
    colour = np.where(cover.shadow[cut][..., None], colour * SHADE[[2, 1, 0]], colour)
    grain = np.random.default_rng([city.seed, row, column]).normal(0, 0.008, (*size, 1))
    shades = np.clip((colour + grain) / 0.38, 0, 1) ** (1 / 1.6)
    transform = Affine(PHOTO_METRES, 0, CORNER[0] + column * _PIXEL, 0, -PHOTO_METRES, CORNER[1] - row * _PIXEL)
    rgb = np.rint(255 * gaussian_filter(shades, (0.6, 0.6, 0))).astype(np.uint8)
    covers: NDArray[np.uint8] = LAND_COVER_OF[cover.material[cut]]
    return transform, np.ascontiguousarray(np.moveaxis(rgb, -1, 0)), covers


def _observe(cover: Cover, rng: np.random.Generator) -> NDArray[np.float32]:
    """Mix the cells of each pixel, blur as the sensor does, and add this city's light, haze and noise."""
    tint = np.exp(rng.normal(0, 0.10, (len(MATERIALS), 1)) + rng.normal(0, 0.04, SPECTRA.shape))
    spectra = (SPECTRA * tint).astype(np.float32)
    height, width = cover.material.shape[0] // _SUB, cover.material.shape[1] // _SUB
    out = np.empty((SPECTRA.shape[1], height, width), dtype=np.float32)
    light = (cover.bright, cover.bright * cover.shadow)
    gain = rng.uniform(0.93, 1.07) * np.exp(np.linspace(-0.5, 0.5, len(out)) * rng.normal(0, 0.06))
    haze = HAZE * rng.uniform(0.0, 0.035)
    for band in range(len(out)):
        value = spectra[:, band][cover.material]
        value = value * (light[0] - (1 - SHADE[band]) * light[1])
        mixed = value.reshape(height, _SUB, width, _SUB).mean(axis=(1, 3))
        seen = gaussian_filter(mixed, _COARSE_BLUR if band in _COARSE else _FINE_BLUR, mode="nearest")
        noise = rng.normal(0, 1, seen.shape) * (0.0012 + 0.012 * seen)
        out[band] = np.clip(gain[band] * seen + haze[band] + noise, 0.0, 1.4)
    return out


def _scene_classes(cover: Cover) -> NDArray[np.uint8]:
    """Return SCL codes: 6 water, 4 vegetation, 5 not vegetated, by the commonest cover of a pixel."""
    green = [CODE[name] for name in MATERIALS if name in {"grass", "green crop", "broadleaf", "conifer", "bush"}]
    kind = np.full(len(MATERIALS), 5, dtype=np.uint8)
    kind[green], kind[CODE["water"]] = 4, 6
    height, width = cover.material.shape[0] // _SUB, cover.material.shape[1] // _SUB
    cells = kind[cover.material].reshape(height, _SUB, width, _SUB)
    counts = np.stack([(cells == code).sum(axis=(1, 3)) for code in (4, 5, 6)])
    codes: NDArray[np.uint8] = np.array([4, 5, 6], dtype=np.uint8)[counts.argmax(axis=0)]
    return codes


def _table(columns: dict[str, object], shapes: NDArray[np.object_], move: NDArray[np.float64]) -> gpd.GeoDataFrame:
    placed = shapely.transform(shapes, lambda xy: np.round(xy + move, 3)) if len(shapes) else shapes
    return gpd.GeoDataFrame(columns, geometry=list(placed), crs=CRS)


def _block_ids(plan: Plan, seed: int) -> NDArray[np.str_]:
    return np.array([f"{seed:04d}-{d:03d}-{k:04d}" for k, d in enumerate(plan.district)])


def _parcels(plan: Plan, seed: int, move: NDArray[np.float64]) -> gpd.GeoDataFrame:
    blocks = _block_ids(plan, seed)[plan.parcel_block]
    first = np.searchsorted(plan.parcel_block, plan.parcel_block)
    numbers = np.arange(len(blocks)) - first + 1
    names = [f"{block}-{number:03d}" for block, number in zip(blocks, numbers, strict=True)]
    return _table({"parcel_id": names, "block_id": blocks, "lcz": plan.zone[plan.parcel_block]}, plan.parcels, move)


def _blocks(plan: Plan, cover: Cover, seed: int, move: NDArray[np.float64]) -> gpd.GeoDataFrame:
    """Measure what covers each block, on its 2.5 m cells; the river is not counted."""
    height = cover.material.shape[0] * _CELL
    owner = burn(plan.cells, np.arange(1, len(plan.cells) + 1), (0.0, height), _CELL, cover.material.shape)
    index = owner.astype(np.int64)
    lake = np.concatenate([[False], plan.zone == len(LOCAL_CLIMATE_ZONES)])
    index[(cover.material == CODE["water"]) & ~lake[index]] = 0
    index = index.ravel()
    total = np.maximum(np.bincount(index, minlength=len(plan.cells) + 1)[1:], 1)

    def share(names: frozenset[str]) -> NDArray[np.float64]:
        hit = np.isin(cover.material, [CODE[name] for name in names]).ravel()
        return np.bincount(index, hit, len(plan.cells) + 1)[1:] / total

    built, impervious = share(ROOFS), share(IMPERVIOUS)
    columns = {"block_id": _block_ids(plan, seed), "lcz": plan.zone, "built": built, "impervious": impervious}
    return _table({**columns, "pervious": 1 - built - impervious}, plan.cells, move)


def _streets(plan: Plan, width: float, height: float, move: NDArray[np.float64]) -> gpd.GeoDataFrame:
    """Return every street once a stretch between crossings is not needed: whole lines, and the road around the city."""
    outer = shapely.get_exterior_ring(shapely.box(0, 0, width, height))
    lines = [shapely.LineString(segment) for segment in plan.streets]
    shapes = np.array([*lines, shapely.LineString(shapely.get_coordinates(outer))], dtype=object)
    return _table({"kind": [*plan.street_kinds, "ring"]}, shapes, move)
