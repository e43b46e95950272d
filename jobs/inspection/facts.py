"""What an inspection returns, and the facts every kind of file shares."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from jobs.errors import MissingCrs

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Inspection:
    """A file that was recognised and found usable: what it is, its canonical suffix, what was read from its headers.

    `facts` is JSON-serialisable; `facts["crs"]` is an authority code or WKT, `facts["lonlat_bounds"]` is
    west, south, east, north in degrees (None for a vector file without any geometry); a picture has neither.
    """

    kind: Literal["image", "picture", "vector"]
    suffix: str
    facts: dict[str, Any]


def crs_name(crs: CRS) -> str:
    """Return a CRS as an authority code where one fits exactly, else as WKT."""
    authority = crs.to_authority(min_confidence=100)
    return f"{authority[0]}:{authority[1]}" if authority else crs.to_wkt()


def self_contained(crs: CRS, name: str) -> CRS:
    """Return a CRS that lies on the Earth's surface and needs no file.

    Raises MissingCrs for one that counts from the Earth's centre, and for one that names a grid of shifts by its path:
    PROJ would open whatever file of this machine that leads to.
    """
    if crs.is_geocentric:
        raise MissingCrs(
            f"{name} has a geocentric CRS: bring it to one that is projected or in degrees and send it again"
        )
    if "PARAMETERFILE[" in crs.to_wkt():
        raise MissingCrs(f"{name} has a CRS that needs a grid file: give it a CRS with an EPSG code and send it again")
    return crs


def lonlat_bounds(bounds: Iterable[float], crs: str) -> Bounds | None:
    """Return bounds as west, south, east, north in degrees, or None where they cannot be placed on the Earth."""
    left, bottom, right, top = bounds
    try:
        placed = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform_bounds(left, bottom, right, top)
    except ProjError:
        return None
    west, south, east, north = (float(v) for v in placed)
    if not all(math.isfinite(v) for v in (west, south, east, north)) or abs(south) > 90 or abs(north) > 90:  # noqa: PLR2004 - degrees
        return None
    return west, south, east, north
