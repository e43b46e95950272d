"""What the three vector formats have in common: checks of geometry, fields and the facts made from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from jobs.errors import BadVector, UploadTooLarge
from jobs.inspection.facts import Bounds, crs_name, lonlat_bounds
from jobs.settings import Settings

LONLAT = "OGC:CRS84"
INSPECTED_AT_ONCE: Final = 20_000  # features


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


def kept_columns(columns: Sequence[str] | None, optional: Sequence[str], known: Iterable[str]) -> list[str]:
    """Return which attributes to read: all where `columns` is None, else these and the optional ones there are.

    Raises BadVector where one of `columns` does not exist.
    """
    fields = list(known)
    check_columns(columns, fields)
    return fields if columns is None else list(dict.fromkeys([*columns, *(c for c in optional if c in fields)]))


def layer_facts(
    driver: str, chunks: Iterable[Sequence[BaseGeometry | None]], crs: CRS, fields: Sequence[str], name: str
) -> dict[str, Any]:
    """Return the facts of one layer, whose geometries come chunk by chunk.

    Raises BadVector where coordinates do not fit the CRS or nothing is drawn. A layer that fits once x and y are
    swapped is let in with `axes_swapped`: whoever reads it looks for that and tells.
    """
    seen = _Seen()
    for chunk in chunks:
        seen.add(np.asarray(chunk, dtype=object))
    if not seen.drawn:
        raise BadVector(f"{name} holds no geometry: export the layer with its shapes")
    bounds = [float(v) for v in seen.bounds]
    lonlat, swapped = placed(bounds, crs, name)
    facts = {
        "driver": driver,
        "crs": crs_name(crs),
        "features": seen.features,
        "without_geometry": seen.features - seen.drawn,
        "fields": list(fields),
        "geometry_types": sorted(seen.types),
        "bounds": bounds,
        "lonlat_bounds": list(lonlat),
    }
    return facts | ({"axes_swapped": True} if swapped else {})


def placed(bounds: Sequence[float], crs: CRS, name: str) -> tuple[Bounds, bool]:
    """Return bounds (left, bottom, right, top) in degrees, and whether they fit their CRS only with x and y swapped.

    Raises BadVector where they do not fit it at all.
    """
    left, bottom, right, top = bounds
    for swapped, told in enumerate(([left, bottom, right, top], [bottom, left, top, right])):
        found = _placed(told, crs)
        if found is not None:
            return found, bool(swapped)
    raise BadVector(
        f"{name} has coordinates outside its coordinate reference system ({crs_name(crs)[:60]}): "
        "reproject the layer, or correct the CRS it was given"
    )


@dataclass(slots=True)
class _Seen:
    features: int = 0
    drawn: int = 0
    types: set[str] = field(default_factory=set)
    bounds: NDArray[np.float64] = field(default_factory=lambda: np.array([np.inf, np.inf, -np.inf, -np.inf]))

    def add(self, geometries: NDArray[np.object_]) -> None:
        """Count a chunk in."""
        drawn = geometries[~(shapely.is_missing(geometries) | shapely.is_empty(geometries))]
        self.features += len(geometries)
        self.drawn += len(drawn)
        if len(drawn):
            _, firsts = np.unique(shapely.get_type_id(drawn), return_index=True)
            self.types |= {str(drawn[k].geom_type) for k in firsts}
            west, south, east, north = shapely.total_bounds(drawn)
            self.bounds[:2] = np.minimum(self.bounds[:2], (west, south))
            self.bounds[2:] = np.maximum(self.bounds[2:], (east, north))


def _placed(bounds: Sequence[float], crs: CRS) -> Bounds | None:
    if not np.isfinite(bounds).all() or (crs.is_geographic and not _in_degrees(bounds)):
        return None
    return lonlat_bounds(bounds, crs_name(crs))


def _in_degrees(bounds: Sequence[float]) -> bool:
    left, bottom, right, top = bounds
    slack = 1e-6
    return left >= -360 - slack and right <= 360 + slack and bottom >= -90 - slack and top <= 90 + slack
