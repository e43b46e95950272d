"""Decides, item by item and from its metadata, how Sentinel-2 numbers become reflectance; dark pixels have a veto."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pystac
from numpy.typing import NDArray

from jobs.scenes.facts import baseline_of, first_told

# Reflectance = number / 10000 - 0.1 from baseline 04.00 on (ESA, January 2022), = number / 10000 before.
SCALE: Final = 0.0001
OFFSET: Final = -0.1
_BASELINE_WITH_OFFSET: Final = 4.0
# Surface reflectance may be slightly negative over water and in shadow, but not this far, and not often.
_IMPOSSIBLE: Final = -0.03
_SHARE: Final = 0.02
_ENOUGH: Final = 50


@dataclass(frozen=True, slots=True)
class Radiometry:
    """reflectance = number * scale + offset, why, and whether the metadata left it open or was overruled."""

    scale: float
    offset: float
    why: str
    doubtful: bool = False


def decide(item: pystac.Item, assets: list[pystac.Asset]) -> Radiometry:
    """Decide from metadata, in this order: the applied-offset flag, the bands' own scale and offset, the baseline.

    earth-search says `boa_offset_applied` true beside an offset of -0.1 in its bands: the flag counts. The date is
    never used: archives are reprocessed.
    """
    applied = first_told(item.properties, "earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
    scale, offset = _of_bands(assets)
    if applied is True:
        return Radiometry(scale or SCALE, 0.0, "the item says that the offset has been applied to its numbers")
    if offset is not None:
        return Radiometry(scale or SCALE, offset, "scale and offset as the item gives them for its bands")
    baseline = baseline_of(item)
    if baseline is None:
        return Radiometry(
            scale or SCALE, 0.0, "the item says neither offset nor baseline: none was applied", doubtful=True
        )
    if baseline >= _BASELINE_WITH_OFFSET:
        why = f"processing baseline {baseline:05.2f}: numbers carry +1000"
        return Radiometry(scale or SCALE, OFFSET, why)
    return Radiometry(scale or SCALE, 0.0, f"processing baseline {baseline:05.2f}: before the offset of 04.00")


def confirm(decided: Radiometry, numbers: NDArray[Any], valid: NDArray[np.bool_]) -> Radiometry:
    """Check a decision on pixels (band, n) and where they are valid (n): an offset that makes many negative is wrong.

    earth-search is known to say `boa_offset_applied: false` of numbers whose offset has been applied.
    """
    values = numbers[:, valid]
    if values.shape[1] < _ENOUGH:
        return replace(decided, why=f"{decided.why} (too few clear pixels to check)")
    reflectance = values * decided.scale + decided.offset
    impossible = float((reflectance < _IMPOSSIBLE).any(axis=0).mean())
    if decided.offset < 0 and impossible > _SHARE:
        why = f"{decided.why}; overruled: it would make {100 * impossible:.0f} % of the pixels negative"
        return Radiometry(decided.scale, 0.0, why, doubtful=True)
    darkest = float(np.percentile(reflectance, 1))
    return replace(decided, why=f"{decided.why}; darkest percentile {darkest:.3f}")


def _of_bands(assets: list[pystac.Asset]) -> tuple[float | None, float | None]:
    """Return the scale and offset that the assets' bands tell (raster extension 1.x, or STAC 1.1), or None."""
    for asset in assets:
        fields = asset.extra_fields
        for band in (*(fields.get("raster:bands") or ()), *(fields.get("bands") or ()), fields):
            scale, offset = (band.get(k, band.get(f"raster:{k}")) for k in ("scale", "offset"))
            if _is_number(offset):
                return (float(scale) if _is_number(scale) and scale > 0 else None), float(offset)
    return None, None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
