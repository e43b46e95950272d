"""City blocks where no parcels come: the faces that streets, railways and shores enclose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry.base import BaseGeometry

from jobs.errors import BadVector
from jobs.record import Warned
from jobs.shapes import entanglement, polygons_of
from models.errors import Fault

# Metres. Lines are laid onto this lattice, which closes gaps of careless drawing and makes shared borders equal.
SNAP: Final = 0.5
# Faces below are land of the street itself: medians, traffic islands, strips between tracks. A 10 m pixel sees none.
LEAST_WIDTH: Final = 15.0
LEAST_AREA: Final = 1000.0
# What stays below this without a neighbour to join is dropped.
CRUMB_AREA: Final = 5.0
# Corners of lines, and two for each crossing: about 1 GB while they are worked through.
MOST_NODES: Final = 800_000
_ROUNDS: Final = 16

# OpenStreetMap's keys, and the values of each that enclose no block: ways through a block or beside a street that is
# drawn itself, and what is not built. Ditches part fields, not blocks, and trams run in streets.
TAGS: Final = ("highway", "railway", "waterway")
_LEFT_OUT: Final[Mapping[str, frozenset[str]]] = {
    "highway": frozenset({
        "footway", "path", "steps", "cycleway", "bridleway", "service", "corridor", "platform", "elevator", "escape",
        "crossing", "proposed", "construction", "razed", "abandoned", "raceway", "via_ferrata", "bus_guideway",
    }),
    "railway": frozenset({
        "tram", "subway", "platform", "platform_edge", "abandoned", "razed", "dismantled", "disused", "proposed",
        "construction", "turntable", "miniature", "funicular",
    }),
    "waterway": frozenset({
        "ditch", "drain", "dam", "weir", "pressurised", "lock_gate", "fairway", "fish_pass", "tidal_channel",
    }),
}  # fmt: skip
_UNDERGROUND: Final = frozenset({"yes", "true", "1", "culvert", "flooded"})

Geometries = NDArray[np.object_]
Numbers = NDArray[np.float64]
Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks that tile the area, from north to south and west to east (parcel_id, geometry), and what to warn of."""

    frame: gpd.GeoDataFrame
    warnings: tuple[Warned, ...]


def enclosing(frame: gpd.GeoDataFrame) -> Mask:
    """Return which features may border a block, (n,): all, but for those that OpenStreetMap's tags speak against.

    A feature without a value in the columns `highway`, `railway` and `waterway`, or from a file without them, counts.
    One with values counts if any of them is a kind that encloses (tracks and pedestrian streets do: they part fields
    and old towns; footways, cycleways, steps and service roads lead through blocks; trams run in streets; ditches part
    fields). What the column `tunnel` says lies underground does not count; a passage through a building does.
    """
    tagged, counts = np.zeros(len(frame), bool), np.zeros(len(frame), bool)
    for key in TAGS:
        if key in frame:
            values = frame[key]
            there = values.notna().to_numpy() & (values.astype(str) != "").to_numpy()
            tagged |= there
            counts |= there & ~values.astype(str).isin(_LEFT_OUT[key]).to_numpy()
    counts |= ~tagged
    if "tunnel" in frame:
        counts &= ~frame["tunnel"].astype(str).str.lower().isin(_UNDERGROUND).to_numpy()
    return counts


def borders_of(geometries: Geometries) -> Geometries:
    """Return the single lines of lines, outlines and collections of any depth; points have none."""
    parts = shapely.force_2d(geometries)
    while np.isin(shapely.get_type_id(parts), [shapely.GeometryType.GEOMETRYCOLLECTION]).any():
        parts = shapely.get_parts(parts)
    parts = shapely.get_parts(parts)
    polygon = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    outlines = shapely.get_parts(shapely.boundary(polygons_of(parts[polygon])))
    parts = np.concatenate([parts[~polygon], shapely.get_parts(outlines)])
    lines: Geometries = parts[np.isin(shapely.get_type_id(parts), _LINES) & ~shapely.is_empty(parts)]
    return lines


_LINES: Final = (int(shapely.GeometryType.LINESTRING), int(shapely.GeometryType.LINEARRING))


def derive_blocks(lines: Geometries, area: BaseGeometry, crs: str) -> Blocks:
    """Return all faces of the planar graph of `lines` (n,) and the outline of `area`, both in metres of `crs`.

    Lines need not be cut where they cross (bridges count as crossings); ends that lead nowhere are passed over. Faces
    narrower than 15 m or smaller than 1000 m2 join the block they share most of their border with. Raises BadVector
    where the lines are too many or cross too often to be worked through.
    """
    left, bottom, right, top = area.bounds
    near = shapely.clip_by_rect(lines, left - 1, bottom - 1, right + 1, top + 1)
    near = borders_of(near[~shapely.is_empty(near)])
    _check_size(near)
    faces = _faces(near, area)
    blocks = _merged(faces)
    kept = blocks[shapely.area(blocks) >= CRUMB_AREA]
    frame = _numbered(kept, crs)
    parts = shapely.get_num_geometries(area)
    return Blocks(frame, _warnings(len(faces) - len(blocks), len(blocks) - len(kept), len(kept) > parts))


def _faces(lines: Geometries, area: BaseGeometry) -> Geometries:
    edges = shapely.get_parts(shapely.union_all(np.append(lines, shapely.boundary(area)), grid_size=SNAP))
    faces = shapely.polygonize(edges)
    del edges  # as large as all that follows
    faces = shapely.get_parts(faces)
    shapely.prepare(area)
    inside: Geometries = faces[shapely.contains(area, shapely.point_on_surface(faces))]
    return inside


def _check_size(lines: Geometries) -> None:
    """Raise BadVector where nodes and crossings, judged by a sample, are more than memory and patience allow."""
    corners, crossings = shapely.get_num_coordinates(lines).sum(), entanglement(lines).crossings
    if corners + 2 * crossings > MOST_NODES:
        detail = (
            f"the streets have {corners} corners and about {crossings} crossings in the area, more than can be "
            "worked through: leave out minor lines, or map the area in parts"
        )
        raise BadVector(detail, faults=[Fault("/inputs/parcels/streets", detail)])


def _merged(faces: Geometries) -> Geometries:
    """Join faces that are no blocks to the neighbour they share most of their border with; two blocks never join."""
    if len(faces) < 2:  # noqa: PLR2004 - nothing to join
        return faces
    group = _groups(faces)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    whole = faces[order[starts]]
    sizes = np.diff(starts, append=len(order))
    for k in np.flatnonzero(sizes > 1):
        whole[k] = shapely.coverage_union_all(faces[order[starts[k] : starts[k] + sizes[k]]])
    return whole


def _groups(faces: Geometries) -> Rows:
    """Return the number of the block each face belongs to, (n,)."""
    first, second, shared = _neighbours(faces)
    group = np.arange(len(faces))
    size, outline = shapely.area(faces), shapely.length(faces)
    for _ in range(_ROUNDS):
        left, right = group[first], group[second]
        apart = left != right
        inner = np.bincount(left, np.where(apart, 0, 2 * shared), minlength=len(faces))
        areas = np.bincount(group, size, minlength=len(faces))
        perimeters = np.maximum(np.bincount(group, outline, minlength=len(faces)) - inner, SNAP)
        small = (areas < LEAST_AREA) | (2 * areas / perimeters < LEAST_WIDTH)
        one = np.concatenate([left[apart], right[apart]])
        other = np.concatenate([right[apart], left[apart]])
        pairs, index = np.unique(one * len(faces) + other, return_inverse=True)
        lengths = np.bincount(index, np.tile(shared[apart], 2))
        one, other = pairs // len(faces), pairs % len(faces)
        one, other, lengths = one[small[one]], other[small[one]], lengths[small[one]]
        if not len(one):
            break
        order = np.lexsort((other, -lengths, one))
        best = order[np.flatnonzero(np.diff(one[order], prepend=-1))]
        links = coo_array((np.ones(len(best)), (one[best], other[best])), shape=(len(faces), len(faces)))
        group = connected_components(links, directed=False)[1][group].astype(np.intp)
    return group


def _neighbours(faces: Geometries) -> tuple[Rows, Rows, Numbers]:
    """Return pairs of faces that share a border, and its length; borders are equal edge by edge, as graph edges are."""
    rings, face_of_ring = shapely.get_rings(faces, return_index=True)
    points, ring_of_point = shapely.get_coordinates(rings, return_index=True)
    lattice = np.rint((points - points.min(axis=0)) / SNAP).astype(np.int64)
    _, node = np.unique(lattice[:, 0] * (lattice[:, 1].max() + 1) + lattice[:, 1], return_inverse=True)
    start = np.flatnonzero(ring_of_point[1:] == ring_of_point[:-1])
    low, high = np.minimum(node[start], node[start + 1]), np.maximum(node[start], node[start + 1])
    length = np.hypot(*(points[start + 1] - points[start]).T)
    face = face_of_ring[ring_of_point[start]]
    key = low * (node.max() + 1) + high
    order = np.lexsort((face, key))
    same = np.flatnonzero(key[order][1:] == key[order][:-1])
    return face[order[same]], face[order[same + 1]], length[order[same]]


def _numbered(blocks: Geometries, crs: str) -> gpd.GeoDataFrame:
    blocks = shapely.normalize(blocks)
    west, south, east, north = shapely.bounds(blocks).T
    ordered = blocks[np.lexsort((south, east, west, -north))]
    names = [f"block-{k}" for k in range(1, len(ordered) + 1)]
    return gpd.GeoDataFrame({"parcel_id": names}, geometry=ordered, crs=crs)


def _warnings(merged: int, dropped: int, enclosed: Any) -> tuple[Warned, ...]:
    warnings = []
    if merged:
        text = (
            f"{merged} faces between the lines are narrower than {LEAST_WIDTH:g} m or smaller than {LEAST_AREA:g} m2 "
            "(medians, traffic islands, land between tracks); each joined a neighbouring block"
        )
        warnings.append(Warned(code="blocks-merged", detail=text))
    if dropped:
        text = f"{dropped} faces under {CRUMB_AREA:g} m2 without a neighbour were left out"
        warnings.append(Warned(code="blocks-dropped", detail=text))
    if not enclosed:
        text = "the lines enclose no block within the area of interest: all of it is one block"
        warnings.append(Warned(code="no-blocks", detail=text))
    return tuple(warnings)
