"""What the three vector formats have in common: checks of geometry, fields and the facts made from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from jobs.errors import BadVector, UploadTooLarge
from jobs.inspection.facts import crs_name, lonlat_bounds
from jobs.settings import Settings

LONLAT = "OGC:CRS84"


def check_count(count: int, name: str, settings: Settings) -> None:
    """Raise UploadTooLarge where a file holds more features than accepted."""
    if count > settings.max_features:
        raise UploadTooLarge(f"{name} holds {count} features, more than {settings.max_features}: send fewer")


def check_columns(columns: Sequence[str] | None, known: Iterable[str]) -> None:
    """Raise BadVector, naming the fields there are, where a column asked for does not exist."""
    fields = list(known)
    missing = [c for c in columns or () if c not in fields]
    if missing:
        there = ", ".join(fields[:30]) or "none"
        raise BadVector(f"the file has no field {', '.join(map(repr, missing))}; its fields: {there}")


def layer_facts(
    driver: str, geometries: Sequence[BaseGeometry | None], crs: CRS, fields: Sequence[str], name: str
) -> dict[str, Any]:
    """Return the facts of one layer; raises BadVector where coordinates do not fit the CRS or nothing is drawn."""
    array = np.asarray(geometries, dtype=object)
    drawn = array[~(shapely.is_missing(array) | shapely.is_empty(array))]
    if not drawn.size:
        raise BadVector(f"{name} holds no geometry: export the layer with its shapes")
    bounds = [float(v) for v in shapely.total_bounds(drawn)]
    code = crs_name(crs)
    placed = lonlat_bounds(bounds, code) if np.isfinite(bounds).all() else None
    if placed is None or (crs.is_geographic and not _in_degrees(bounds)):
        raise BadVector(
            f"{name} has coordinates outside its coordinate reference system ({code[:60]}): "
            "reproject the layer, or correct the CRS it was given"
        )
    types = sorted({str(t) for t in np.unique([g.geom_type for g in drawn])})
    return {
        "driver": driver, "crs": code, "features": len(array), "without_geometry": len(array) - int(drawn.size),
        "fields": list(fields), "geometry_types": types, "bounds": bounds, "lonlat_bounds": list(placed),
    }  # fmt: skip


def _in_degrees(bounds: Sequence[float]) -> bool:
    left, bottom, right, top = bounds
    slack = 1e-6
    return left >= -360 - slack and right <= 360 + slack and bottom >= -90 - slack and top <= 90 + slack
