"""The plan of the procedural city: districts, blocks, streets, river and parcels, all by splitting convex polygons."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

import numpy as np
import shapely
from numpy.typing import NDArray

from models.data.procedural.templates import KIN, RINGS, TEMPLATES

Ring = list[tuple[float, float]]
Segment = tuple[tuple[float, float], tuple[float, float]]

_DISTRICT_AREA = 42e4  # m2, on average two thirds of that after the last split
_MAIN_ROADS = 3
_MAIN_WIDTH = 20.0
_SPLINTER = 25.0  # m2


@dataclass(slots=True)
class Plan:
    """Where everything goes; polygons in metres from the lower-left corner of the extent.

    `cells` are blocks with half of their streets, they tile the extent; `blocks` are without the streets. `zone` is the
    class of a block, `district` its district, `land` the area of its cell without the river, m2. `parcels` and
    `parcel_block` say which ground belongs to which block.
    """

    cells: NDArray[np.object_]
    blocks: NDArray[np.object_]
    zone: NDArray[np.int64]
    district: NDArray[np.int64]
    land: NDArray[np.float64]
    parcels: NDArray[np.object_]
    parcel_block: NDArray[np.int64]
    river: shapely.Polygon
    bridges: NDArray[np.object_]
    streets: list[Segment] = field(default_factory=list)
    street_kinds: list[str] = field(default_factory=list)


def lay_out(seed: int, width: float, height: float, fragmentation: float, *, river: bool | None = None) -> Plan:
    """Plan a city of `width` x `height` metres; the share `fragmentation` of blocks differs from its district.

    `river`: whether one flows through it (None: three cities in four).
    """
    random = Random(f"plan {seed}")  # noqa: S311 - a city, not a secret
    extent: Ring = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    streets: list[Segment] = []
    skew = random.uniform(-0.5, 0.5)
    districts = split(extent, partial(_drawn, random, _DISTRICT_AREA, (0.7, 1.5)), random, streets, skew)
    mains = streets[: _MAIN_ROADS if len(districts) > 2 * _MAIN_ROADS else 0]
    kinds = ["main" if k < len(mains) else "district" for k in range(len(streets))]
    zones = _zones(districts, width, height, random)
    cells: list[Ring] = []
    zone: list[int] = []
    district: list[int] = []
    for index, (ring, code) in enumerate(zip(districts, zones, strict=True)):
        size = TEMPLATES[code].block ** 2
        inner: list[Segment] = []
        pieces = split(ring, partial(_drawn, random, size, (1.0, 1.6)), random, inner)
        cells += pieces
        district += [index] * len(pieces)
        zone += [random.choice(KIN[code]) if random.random() < fragmentation else code for _ in pieces]
        if code <= 10:  # noqa: PLR2004 - the built classes
            streets += inner
            kinds += ["local"] * len(inner)
    flows = random.random() < 0.75 if river is None else river  # noqa: PLR2004 - three in four
    water = _river(width, height, random) if flows else shapely.Polygon()
    return _parcelled(
        cells, zone, district, water, mains=mains, streets=streets, kinds=kinds, random=random
    )  # fmt: skip


def split(ring: Ring, limit: Callable[[], float], random: Random, cuts: list[Segment], skew: float = 0.0) -> list[Ring]:
    """Split a convex ring across its long side until every piece is smaller than `limit()`; cuts are recorded."""
    pieces: list[Ring] = []
    pending = [(ring, 0)]
    while pending:
        piece, depth = pending.pop(0)
        if _area(piece) <= limit():
            pieces.append(piece)
            continue
        (cx, cy), (dx, dy) = _centre(piece), _long_axis(piece)
        turn = random.uniform(-0.06, 0.06) + (skew if depth < 2 else 0.0)  # noqa: PLR2004 - the whole town's slant
        nx, ny = dx * math.cos(turn) - dy * math.sin(turn), dx * math.sin(turn) + dy * math.cos(turn)
        shift = random.uniform(-0.12, 0.12) * math.sqrt(_area(piece))
        halves, cut = _halve(piece, cx + shift * dx, cy + shift * dy, nx, ny)
        if cut is None:
            pieces.append(piece)
            continue
        cuts.append(cut)
        pending += [(half, depth + 1) for half in halves]
    return pieces


def _drawn(random: Random, size: float, factors: tuple[float, float]) -> float:
    return size * random.uniform(*factors)


def _area(ring: Ring) -> float:
    return 0.5 * sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True))


def _centre(ring: Ring) -> tuple[float, float]:
    return sum(x for x, _ in ring) / len(ring), sum(y for _, y in ring) / len(ring)


def _long_axis(ring: Ring) -> tuple[float, float]:
    """Return the unit vector along the longer side of the box that stands on the longest edge."""
    ax, ay = max(
        ((b[0] - a[0], b[1] - a[1]) for a, b in zip(ring, ring[1:] + ring[:1], strict=True)),
        key=lambda edge: edge[0] ** 2 + edge[1] ** 2,
    )
    length = math.hypot(ax, ay)
    ax, ay = ax / length, ay / length
    along = [x * ax + y * ay for x, y in ring]
    across = [y * ax - x * ay for x, y in ring]
    return (ax, ay) if max(along) - min(along) >= max(across) - min(across) else (-ay, ax)


def _halve(ring: Ring, px: float, py: float, nx: float, ny: float) -> tuple[list[Ring], Segment | None]:
    """Cut a convex ring by the line through p with normal n."""
    sides = [(x - px) * nx + (y - py) * ny for x, y in ring]
    one: Ring = []
    other: Ring = []
    cut: list[tuple[float, float]] = []
    for k, (point, side) in enumerate(zip(ring, sides, strict=True)):
        (one if side >= 0 else other).append(point)
        after = sides[(k + 1) % len(ring)]
        if (side >= 0) != (after >= 0):
            share, end = side / (side - after), ring[(k + 1) % len(ring)]
            crossing = (point[0] + share * (end[0] - point[0]), point[1] + share * (end[1] - point[1]))
            one.append(crossing)
            other.append(crossing)
            cut.append(crossing)
    if len(cut) != 2 or min(len(one), len(other)) < 3:  # noqa: PLR2004 - a line cuts a convex ring twice
        return [ring], None
    return [one, other], (cut[0], cut[1])


def _zones(districts: list[Ring], width: float, height: float, random: Random) -> list[int]:
    """Give each district a class: dense in the middle, neighbours alike, 14 classes or more if there is room."""
    centres = [_centre(ring) for ring in districts]
    middle = (width * random.uniform(0.4, 0.6), height * random.uniform(0.4, 0.6))
    radius = 0.5 * math.hypot(width, height) * 0.68
    zones: list[int] = []
    for index, (x, y) in enumerate(centres):
        distance = math.hypot(x - middle[0], y - middle[1]) / radius * random.uniform(0.8, 1.2)
        weights = next(ring for limit, ring in RINGS if distance <= limit)
        near = min(range(index), key=lambda k: math.dist(centres[k], (x, y)), default=None)
        if near is not None and random.random() < 0.3 and zones[near] in weights:  # noqa: PLR2004 - a share of likes
            zones.append(zones[near])
        else:
            zones.append(random.choices(list(weights), list(weights.values()))[0])
    wanted = [code for code in TEMPLATES if code not in zones]
    random.shuffle(wanted)
    while wanted and len(set(zones)) < min(14 + random.randrange(4), len(districts)):
        common = max(set(zones), key=zones.count)
        if zones.count(common) < 2:  # noqa: PLR2004 - nothing to spare
            break
        zones[random.choice([k for k, code in enumerate(zones) if code == common])] = wanted.pop()
    return zones


def _river(width: float, height: float, random: Random) -> shapely.Polygon:
    """Draw a meandering river 110-220 m wide from edge to edge."""
    across = random.random() < 0.5  # noqa: PLR2004 - a coin
    length, room = (height, width) if across else (width, height)
    base, swing, phase = room * random.uniform(0.25, 0.75), room * 0.09, random.uniform(0, 2 * math.pi)
    waves = random.uniform(0.7, 1.6)
    along = np.linspace(-300.0, length + 300.0, 80)
    beside = base + swing * np.sin(phase + 2 * np.pi * waves * along / length) + 0.05 * room * np.sin(along / 390.0)
    line = shapely.LineString(np.stack([beside, along] if across else [along, beside], axis=1))
    return line.buffer(random.uniform(55, 110), quad_segs=4)


def _parcelled(
    cells: list[Ring], zone: list[int], district: list[int], water: shapely.Polygon, *,
    mains: list[Segment], streets: list[Segment], kinds: list[str], random: Random,
) -> Plan:  # fmt: skip
    cell_polygons = shapely.polygons([shapely.linearrings(ring) for ring in cells])
    margins = np.array([TEMPLATES[code].street / 2 for code in zone])
    blocks = shapely.buffer(cell_polygons, -margins, join_style="mitre")
    roads = shapely.buffer(shapely.linestrings(mains), _MAIN_WIDTH / 2, cap_style="flat") if mains else np.array([])
    parcels: list[Ring] = []
    owner: list[int] = []
    for index, (block, code) in enumerate(zip(blocks, zone, strict=True)):
        if block.is_empty:
            continue
        ring = [(x, y) for x, y in shapely.get_coordinates(shapely.orient_polygons(block))[:-1]]
        size = TEMPLATES[code].parcel
        pieces = split(ring, partial(_drawn, random, size, (1.1, 1.7)), random, [])
        parcels += pieces
        owner += [index] * len(pieces)
    ground = shapely.polygons([shapely.linearrings(ring) for ring in parcels])
    land = np.maximum(shapely.area(shapely.difference(cell_polygons, water)), 1.0)
    cleared, owners = _cleared(ground, np.array(owner), shapely.union_all([water, *roads]))
    bridges = shapely.intersection(roads, water) if len(roads) else np.array([], dtype=object)
    return Plan(cell_polygons, blocks, np.array(zone), np.array(district), land, cleared, owners, water,
                bridges, streets, kinds)  # fmt: skip


def _cleared(
    parcels: NDArray[np.object_], owners: NDArray[np.int64], taken: shapely.Geometry
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Take river and main roads out of the parcels; splinters under 25 m2 go."""
    shapely.prepare(taken)
    hit = shapely.intersects(parcels, taken)
    pieces, index = shapely.get_parts(shapely.difference(parcels[hit], taken), return_index=True)
    geometry = np.concatenate([parcels[~hit], pieces])
    owner = np.concatenate([owners[~hit], owners[hit][index]])
    whole = shapely.get_type_id(geometry) == shapely.GeometryType.POLYGON
    keep = whole & (shapely.area(geometry) > _SPLINTER)
    order = np.argsort(owner[keep], kind="stable")
    return geometry[keep][order], owner[keep][order]
