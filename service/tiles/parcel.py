"""Finds the parcel at a place in a job's table of parcels, a GeoPackage or a GeoParquet file, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from jobs.area import project
from jobs.errors import MapUnreadable
from jobs.products import PARCELS_LAYER
from service.importing import ONE_AT_A_TIME
from service.tiles.spot import Spot

_AT_ONCE: Final = 4096
_MOST_VERTICES: Final = 5000
_COARSER: Final = 24  # times a tolerance is doubled: from a tenth of a pixel beyond any city
_DIGITS: Final = 7  # of a degree, a centimetre


@dataclass(frozen=True, slots=True)
class Found:
    """A row of the table: its columns by name, and its outline in the CRS of the map."""

    columns: dict[str, Any]
    outline: BaseGeometry


@dataclass(frozen=True, slots=True)
class _Rows:
    """Some rows whose bounds hold a place: their numbers, their columns as an Arrow batch, their outlines as WKB."""

    numbers: NDArray[np.int64]
    batch: Any
    outlines: NDArray[np.object_]


def parcel_at(path: Path, place: Spot) -> Found | None:
    """Return the parcel whose outline holds a place, the last in the table where several do, as in the map.

    Raises MapUnreadable.
    """
    # pandas and Arrow come with them: only where parcels are asked for.
    with ONE_AT_A_TIME:
        import pyarrow as pa  # noqa: PLC0415
        from pyogrio.errors import DataLayerError, DataSourceError  # noqa: PLC0415

    found, last = None, -1
    try:
        for rows in (_of_geopackage if path.suffix == ".gpkg" else _of_geoparquet)(path, place):
            outlines = shapely.from_wkb(rows.outlines)
            inside = np.flatnonzero(shapely.intersects_xy(outlines, place.x, place.y))
            if len(inside) and rows.numbers[inside].max() > last:
                row = inside[rows.numbers[inside].argmax()]
                found, last = Found(rows.batch.slice(row, 1).to_pylist()[0], outlines[row]), rows.numbers[row]
    except (DataLayerError, DataSourceError, pa.ArrowException, shapely.GEOSException, OSError, KeyError) as error:
        raise MapUnreadable(f"{path.name} cannot be read as a table of parcels") from error
    return found


def geojson(found: Found, place: Spot) -> dict[str, Any]:
    """Return a parcel's outline in longitude/latitude, simplified where it has more than 5,000 vertices.

    Longitudes go on beyond 180 degrees rather than jump to the other side of the Earth.
    """
    outline = project(_light(found.outline, place.resolution), "EPSG:4326", source=place.crs)

    def beside(points: NDArray[np.float64]) -> NDArray[np.float64]:
        turns = np.round((place.longitude - points[:, 0]) / 360)
        return np.round(points + np.stack((360 * turns, 0 * turns), axis=1), _DIGITS)

    return dict(mapping(shapely.orient_polygons(shapely.transform(outline, beside))))


def _light(outline: BaseGeometry, resolution: float) -> BaseGeometry:
    """Return an outline fit to be sent: ever coarser, and the hull of what would vanish for being in small pieces."""
    light, tolerance = outline, resolution / 10
    for _ in range(_COARSER):
        if shapely.get_num_coordinates(light) <= _MOST_VERTICES:
            break
        coarse, tolerance = shapely.simplify(light, tolerance, preserve_topology=False), 2 * tolerance
        light = shapely.convex_hull(light) if coarse.is_empty else coarse
    return light


def _of_geopackage(path: Path, place: Spot) -> Iterator[_Rows]:
    """Yield what the R-tree inside the file leads to, in any order."""
    with ONE_AT_A_TIME:
        import pyogrio.raw  # noqa: PLC0415

        from jobs.inspection.geopackage import READ_ONLY  # noqa: PLC0415

    batches = pyogrio.raw.open_arrow(
        path, layer=PARCELS_LAYER, bbox=(place.x, place.y, place.x, place.y), return_fids=True, batch_size=_AT_ONCE,
        use_pyarrow=True, **READ_ONLY,
    )  # fmt: skip
    with batches as (told, reader):
        for batch in reader:
            outlines = batch.column(told["geometry_name"]).to_numpy(zero_copy_only=False)
            yield _Rows(batch.column(0).to_numpy(), batch.drop_columns([told["geometry_name"]]), outlines)


def _of_geoparquet(path: Path, place: Spot) -> Iterator[_Rows]:
    """Yield the rows whose bounds hold the place, reading the other columns of row groups that have some alone."""
    with ONE_AT_A_TIME:
        import pyarrow.parquet as pq  # noqa: PLC0415

    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            near = _near(file.read_row_group(group, columns=["bbox"]).column("bbox").combine_chunks(), place)
            at = 0
            for batch in file.iter_batches(_AT_ONCE, row_groups=[group]) if near.any() else ():
                rows = np.flatnonzero(near[at : at + len(batch)])
                picked = batch.take(rows)
                outlines = picked.column("geometry").to_numpy(zero_copy_only=False)
                yield _Rows(start + at + rows, picked.drop_columns(["geometry", "bbox"]), outlines)
                at += len(batch)
            start += len(near)


def _near(boxes: Any, place: Spot) -> NDArray[np.bool_]:
    west, south, east, north = (boxes.field(name).to_numpy() for name in ("xmin", "ymin", "xmax", "ymax"))
    near: NDArray[np.bool_] = (west <= place.x) & (place.x <= east) & (south <= place.y) & (place.y <= north)
    return near
