"""Buildings on the parcels of a procedural city, sized so that each block reaches its class's built share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from models.data.procedural.plan import Plan
from models.data.procedural.templates import CODE, TEMPLATES, Template

_MOST = 0.93  # of a parcel can be built over
_SHORE = 8.0  # metres


@dataclass(frozen=True, slots=True)
class Buildings:
    """Footprints (metres from the lower-left corner), heights in metres, roof materials, and their blocks."""

    footprints: NDArray[np.object_]
    heights: NDArray[np.float64]
    roofs: NDArray[np.int64]
    block: NDArray[np.int64]


def build(plan: Plan, rng: np.random.Generator) -> Buildings:
    """Put buildings on the parcels of every built block, a barn or two on the fields."""
    areas = shapely.area(plan.parcels)
    ground = np.bincount(plan.parcel_block, areas, len(plan.cells))
    footprints: list[NDArray[np.object_]] = []
    heights: list[NDArray[np.float64]] = []
    roofs: list[NDArray[np.int64]] = []
    owners: list[NDArray[np.int64]] = []
    starts = np.searchsorted(plan.parcel_block, np.arange(len(plan.cells) + 1))
    for block, code in enumerate(plan.zone):
        template = TEMPLATES[int(code)]
        mine = plan.parcels[starts[block] : starts[block + 1]]
        if template.layout == "none" or not len(mine):
            continue
        share = min(rng.uniform(*template.built) * plan.land[block] / ground[block], _MOST)
        shapes = _shapes(template, plan.blocks[block], mine, share, rng)
        footprints.append(shapes)
        heights.append(_heights(template, len(shapes), rng))
        roofs.append(_roofs(template, len(shapes), rng))
        owners.append(np.full(len(shapes), block))
    if not footprints:
        return Buildings(np.array([], dtype=object), np.array([]), np.array([], dtype=int), np.array([], dtype=int))
    shapes, tops = np.concatenate(footprints), np.concatenate(heights)
    return _off_the_water(plan, shapes, tops, np.concatenate(roofs), np.concatenate(owners))


def _off_the_water(
    plan: Plan, shapes: NDArray[np.object_], heights: NDArray[np.float64], roofs: NDArray[np.int64],
    owners: NDArray[np.int64],
) -> Buildings:  # fmt: skip
    shore = plan.river.buffer(_SHORE)
    shapely.prepare(shore)
    keep = ~shapely.intersects(shapes, shore) & (shapely.area(shapes) > 6) & (shapely.get_type_id(shapes) == 3)  # noqa: PLR2004 - m2; polygon
    return Buildings(shapes[keep], heights[keep], roofs[keep], owners[keep])


def _heights(template: Template, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw heights around the block's own mean; outliers stay within a fifth of the class's range."""
    low, high = template.height
    mean = rng.uniform(low + 0.15 * (high - low), high - 0.15 * (high - low))
    drawn = mean * np.exp(rng.normal(0, 0.16, count))
    return np.clip(drawn, 0.8 * low, 1.2 * high).round(1).astype(np.float64)


def _roofs(template: Template, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose one prevailing roof a block, every third house another."""
    names, weights = list(template.roofs), np.array(list(template.roofs.values()))
    codes = np.array([CODE[name] for name in names])
    drawn = rng.choice(codes, count, p=weights / weights.sum())
    main = rng.choice(codes, p=weights / weights.sum())
    return np.where(rng.random(count) < 0.65, main, drawn)  # noqa: PLR2004 - two thirds


def _shapes(
    template: Template, block: shapely.Polygon, parcels: NDArray[np.object_], share: float, rng: np.random.Generator
) -> NDArray[np.object_]:
    if template.layout == "rings":
        court = shapely.affinity.scale(block, *(2 * [np.sqrt(max(1 - share, 0.01))]))
        rim: NDArray[np.object_] = shapely.get_parts(shapely.difference(parcels, court))
        return rim
    along, across = {
        "detached": (np.sqrt(share), np.sqrt(share)),
        "rows": (0.99, share / 0.99),
        "shacks": (0.97, share / 0.97),
        "slabs": (min(0.95, 1.5 * np.sqrt(share)), share / min(0.95, 1.5 * np.sqrt(share))),
        "halls": (min(0.95, 1.15 * np.sqrt(share)), share / min(0.95, 1.15 * np.sqrt(share))),
        "works": (np.sqrt(share), np.sqrt(share)),
    }[template.layout]
    axis = _long_edge(block) if template.layout == "shacks" else None
    shapes = _scaled(
        parcels, along, across, 0.3 if template.layout in {"detached", "halls"} else 0.0, rng=rng, common=axis
    )
    if template.layout == "works":
        tanks = rng.random(len(shapes)) < 0.3  # noqa: PLR2004 - a third are round
        radii = np.sqrt(shapely.area(shapes[tanks]) / np.pi)
        shapes[tanks] = shapely.buffer(shapely.centroid(shapes[tanks]), radii, quad_segs=6)
    return shapes


def _scaled(
    parcels: NDArray[np.object_], along: float, across: float, wander: float, *, rng: np.random.Generator,
    common: NDArray[np.float64] | None,
) -> NDArray[np.object_]:  # fmt: skip
    """Shrink each parcel about its centroid, by `along` its longest edge and `across` it, and move it a little.

    With a `common` axis all parcels shrink along that: their houses line up in rows.
    """
    out = np.empty(len(parcels), dtype=object)
    moves = rng.uniform(-0.5, 0.5, (len(parcels), 2)) * wander
    for k, parcel in enumerate(parcels):
        points = shapely.get_coordinates(parcel)
        axis = _long_edge(parcel) if common is None else common
        frame = np.array([axis, [-axis[1], axis[0]]])
        local = (points - shapely.get_coordinates(parcel.centroid)) @ frame.T
        spare = np.ptp(local, axis=0) * [1 - along, 1 - across]
        local = local * [along, across] + moves[k] * spare
        out[k] = shapely.Polygon(local @ frame + shapely.get_coordinates(parcel.centroid))
    return out


def _long_edge(polygon: shapely.Polygon) -> NDArray[np.float64]:
    edges = np.diff(shapely.get_coordinates(polygon), axis=0)
    edge: NDArray[np.float64] = edges[np.argmax(np.square(edges).sum(axis=1))]
    return edge / float(np.hypot(*edge))
