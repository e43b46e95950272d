"""What covers the ground of the procedural city at any resolution: a material, a brightness and a shadow a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from models.compiled import compiled
from models.data.procedural.buildings import Buildings
from models.data.procedural.plan import Plan
from models.data.procedural.templates import CODE, TEMPLATES
from models.morphology import burn

_SHADOW_REACH: Final = 120.0
_TILE: Final = 8  # cells a side of the blocks whose highest roof ends a shadow ray
_PATCH: Final = 11.0  # metres: the grain of paved yards
_CROWN: Final = 7.0  # metres: the grain of tree crowns


@dataclass(frozen=True, slots=True)
class Ground:
    """One row a parcel: thresholds of the noise below which it is paved or treed, its materials, its brightness."""

    paved: NDArray[np.float32]
    treed: NDArray[np.float32]
    paving: NDArray[np.uint8]
    canopy: NDArray[np.uint8]
    lawn: NDArray[np.uint8]
    patch: NDArray[np.uint8]
    bright: NDArray[np.float32]
    street: NDArray[np.uint8]  # one row a block
    roof_bright: NDArray[np.float32]  # one row a building


@dataclass(frozen=True, slots=True)
class Cover:
    """Rasters (y, x): material code, brightness factor (1: as the spectrum), shadow, and roof height in metres."""

    material: NDArray[np.uint8]
    bright: NDArray[np.float32]
    shadow: NDArray[np.bool_]
    tall: NDArray[np.float32]


def prepare(plan: Plan, buildings: Buildings, rng: np.random.Generator) -> Ground:
    """Decide what the parcels are covered with, so that each block meets its class's pervious share."""
    areas = shapely.area(plan.parcels)
    blocks = len(plan.cells)
    parcel_area = np.bincount(plan.parcel_block, areas, blocks)
    built = np.bincount(buildings.block, shapely.area(buildings.footprints), blocks)
    templates = [TEMPLATES[int(code)] for code in plan.zone]
    pervious = np.array([rng.uniform(*template.pervious) for template in templates])
    paved_street = np.array([template.code != 7 for template in templates])  # noqa: PLR2004 - alleys of LCZ 7 are earth
    open_ground = np.maximum(parcel_area - built, 1.0)
    wanted = (
        np.where(paved_street, pervious, pervious - (plan.land - parcel_area) / plan.land) * plan.land / open_ground
    )
    paved = np.clip(1 - wanted, 0.0, 1.0)[plan.parcel_block]
    trees = np.array([rng.uniform(*template.trees) for template in templates])[plan.parcel_block]
    sample = np.sort(_noise_sample())
    count = len(plan.parcels)
    return Ground(
        paved=_quantile(sample, paved),
        treed=_quantile(sample, np.clip(trees * rng.uniform(0.85, 1.1, count), 0, 0.99)),
        paving=_drawn(plan, rng, "paving"),
        canopy=np.array([CODE[t.canopy] for t in templates], dtype=np.uint8)[plan.parcel_block],
        lawn=_drawn(plan, rng, "ground"),
        patch=_drawn(plan, rng, "ground"),
        bright=np.exp(rng.normal(0, 0.06, count)).astype(np.float32),
        street=np.where(paved_street, CODE["road"], CODE["soil"]).astype(np.uint8),
        roof_bright=np.exp(rng.normal(0, 0.15, len(buildings.heights))).astype(np.float32),
    )


def paint(
    plan: Plan, buildings: Buildings, ground: Ground, *, origin: tuple[float, float], cell: float,
    shape: tuple[int, int], sun: tuple[float, float], seed: int,
) -> Cover:  # fmt: skip
    """Paint a window so that the same place looks alike at every resolution.

    `origin` is its upper-left corner in the plan's metres, `cell` the pixel's side, `sun` azimuth and elevation in
    radians.
    """
    roofs = _rows(buildings.footprints, origin, cell, shape)
    parcels = _rows(plan.parcels, origin, cell, shape)
    blocks = _rows(plan.cells, origin, cell, shape)
    water = burn(np.array([plan.river]) if plan.river.area else np.array([]), np.ones(1), origin, cell, shape)
    bridges = shapely.get_parts(plan.bridges)
    bridges = bridges[shapely.area(bridges) > 0]
    decks = burn(bridges, np.ones(len(bridges)), origin, cell, shape)
    material, bright = np.zeros(shape, dtype=np.uint8), np.ones(shape, dtype=np.float32)
    half = float(np.median(_noise_sample()))
    _paint(
        roofs, parcels, blocks, water, decks, buildings.roofs.astype(np.uint8), ground.roof_bright,
        ground.paved, ground.treed, ground.paving, ground.canopy, ground.lawn, ground.patch, ground.bright,
        ground.street, CODE["water"], CODE["road"], half, origin[0], origin[1], cell, seed, material, bright,
    )  # fmt: skip
    tall = np.concatenate([[0.0], buildings.heights]).astype(np.float32)[roofs]
    return Cover(material, bright, cast(tall, cell, sun), tall)


def cast(tall: NDArray[np.float32], cell: float, sun: tuple[float, float]) -> NDArray[np.bool_]:
    """Return the shadows (y, x) that roofs cast; `sun` is its azimuth from north and its elevation, radians."""
    steps = np.arange(1, int(_SHADOW_REACH / cell) + 1)
    azimuth, elevation = sun
    rows, cols = np.rint(-np.cos(azimuth) * steps).astype(np.int64), np.rint(np.sin(azimuth) * steps).astype(np.int64)
    rise = (steps * cell * np.tan(elevation)).astype(np.float32)
    height, width = tall.shape
    padded = np.pad(tall, ((0, -height % _TILE), (0, -width % _TILE)))
    peaks = padded.reshape(padded.shape[0] // _TILE, _TILE, padded.shape[1] // _TILE, _TILE).max(axis=(1, 3))
    skyline = maximum_filter(peaks, size=2 * int(np.ceil(_SHADOW_REACH / cell / _TILE)) + 3, mode="constant")
    out = np.zeros(tall.shape, dtype=np.bool_)
    _cast(tall, skyline, rows, cols, rise, out)
    return out


def _rows(
    polygons: NDArray[np.object_], origin: tuple[float, float], cell: float, shape: tuple[int, int]
) -> NDArray[np.int32]:
    """Burn row number + 1; 0 is outside."""
    near = np.array([], dtype=int)
    if len(polygons):
        window = shapely.box(origin[0], origin[1] - shape[0] * cell, origin[0] + shape[1] * cell, origin[1])
        near = np.flatnonzero(shapely.intersects(polygons, window))
    return burn(polygons[near], near + 1, origin, cell, shape).astype(np.int32)


def _drawn(plan: Plan, rng: np.random.Generator, kind: str) -> NDArray[np.uint8]:
    """Draw a material for each parcel from its class's weights."""
    out = np.zeros(len(plan.parcels), dtype=np.uint8)
    zones = plan.zone[plan.parcel_block]
    for code, template in TEMPLATES.items():
        weights = getattr(template, kind)
        mine = zones == code
        shares = np.array(list(weights.values()))
        out[mine] = rng.choice([CODE[name] for name in weights], int(mine.sum()), p=shares / shares.sum())
    return out


def _quantile(sample: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the noise level below which the given share of the ground lies; 0 and 1 mean nothing and everything."""
    level = np.quantile(sample, share)
    return np.where(share <= 0, -1.0, np.where(share >= 1, 2.0, level)).astype(np.float32)


@compiled
def _hash(i: int, j: int, seed: int) -> float:
    """Return a number in [0, 1) for a lattice point: PCG-like integer mixing."""
    h = (np.uint64(i & 0xFFFFFFFF) * np.uint64(0x9E3779B1)) ^ (np.uint64(j & 0xFFFFFFFF) * np.uint64(0x85EBCA77))
    h = (h ^ np.uint64(seed)) * np.uint64(0xC2B2AE3D27D4EB4F)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0x165667B19E3779F9)
    h ^= h >> np.uint64(32)
    return (h & np.uint64(0xFFFFFF)) / 16777216.0


@compiled
def _noise(x: float, y: float, size: float, seed: int) -> float:
    """Smooth noise in [0, 1) with a grain of `size` metres, the same at a place whatever the raster."""
    u, v = x / size, y / size
    i, j = int(np.floor(u)), int(np.floor(v))
    a, b = u - i, v - j
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    low = _hash(i, j, seed) * (1 - a) + _hash(i + 1, j, seed) * a
    high = _hash(i, j + 1, seed) * (1 - a) + _hash(i + 1, j + 1, seed) * a
    return low * (1 - b) + high * b


@compiled
def _noise_sample() -> Any:
    out = np.empty(40000)
    for k in range(len(out)):
        out[k] = _noise((k % 200) * 3.7, (k // 200) * 3.7, 9.0, 4242)
    return out


@compiled
def _paint(  # noqa: C901, PLR0912, PLR0917 - compiled: one pass over the raster, no keywords
    roofs: Any, parcels: Any, blocks: Any, water: Any, decks: Any, roof: Any, roof_bright: Any,
    paved: Any, treed: Any, paving: Any, canopy: Any, lawn: Any, patch: Any, bright: Any, street: Any,
    wet: int, tar: int, half: float, x0: float, y0: float, cell: float, seed: int, material: Any, factor: Any,
) -> None:  # fmt: skip
    for row in range(material.shape[0]):
        y = y0 - (row + 0.5) * cell
        for column in range(material.shape[1]):
            x = x0 + (column + 0.5) * cell
            light = 0.9 + 0.2 * _noise(x, y, 2.0, seed + 5)
            if roofs[row, column]:
                house = roofs[row, column] - 1
                material[row, column] = roof[house]
                light *= roof_bright[house]
            elif decks[row, column] > 0:
                material[row, column] = tar
            elif water[row, column] > 0:
                material[row, column] = wet
                light = 0.95 + 0.1 * _noise(x, y, 60.0, seed + 6)
            elif parcels[row, column]:
                lot = parcels[row, column] - 1
                light *= bright[lot]
                if _noise(x, y, _PATCH, seed + 1) < paved[lot]:
                    material[row, column] = paving[lot]
                elif _noise(x, y, _CROWN, seed + 2) < treed[lot]:
                    material[row, column] = canopy[lot]
                    light *= 0.75 + 0.5 * _noise(x, y, 3.0, seed + 3)
                elif _noise(x, y, 25.0, seed + 4) < 0.6 * half:
                    material[row, column] = patch[lot]
                else:
                    material[row, column] = lawn[lot]
                if material[row, column] == wet:
                    light = 0.95 + 0.1 * _noise(x, y, 60.0, seed + 6)
            elif blocks[row, column]:
                material[row, column] = street[blocks[row, column] - 1]
            else:
                material[row, column] = tar
            factor[row, column] = light


@compiled
def _cast(  # noqa: PLR0917 - compiled code takes no keywords
    tall: Any, skyline: Any, rows: Any, cols: Any, rise: Any, out: Any
) -> None:
    for row in range(tall.shape[0]):
        for column in range(tall.shape[1]):
            top = skyline[row // _TILE, column // _TILE]
            own = tall[row, column]
            for step in range(len(rise)):
                if own + rise[step] >= top:
                    break
                r, c = row + rows[step], column + cols[step]
                if not (0 <= r < tall.shape[0] and 0 <= c < tall.shape[1]):
                    break
                if tall[r, c] > own + rise[step]:
                    out[row, column] = True
                    break
