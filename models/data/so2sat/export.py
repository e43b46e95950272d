"""Writes one So2Sat patch as a GeoTIFF: its bands by name, its class, and where it lies if that is known."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning

from models.classes import LOCAL_CLIMATE_ZONES
from models.data.so2sat.dataset import BANDS, CITATION, LICENCE, SIDE, BadDataset, Sensor, So2SatFile
from models.data.so2sat.geo import GeoFile, Place


def export_patch(
    source: Path, index: int, target: Path, *, sensor: Sensor = "s2", geo: Path | None = None
) -> dict[str, Any]:
    """Write patch `index` of an HDF5 file to a GeoTIFF of float32 bands and return what was written.

    With `geo` (a `*_geo.h5` file) it is georeferenced in its UTM zone. Everything is read and checked before the
    target is touched, and the target appears whole or not at all. Raises BadDataset.
    """
    with So2SatFile(source) as file:
        values = file.patch(index, sensor)
        known = LOCAL_CLIMATE_ZONES[file.code(index) - 1]
        place = _place(geo, len(file), index)
    tags = {
        "lcz_code": str(known.code),
        "lcz": f"{known.label} {known.name}",
        "source": f"So2Sat LCZ42, {source.name}, patch {index}",
        "licence": LICENCE,
        "citation": CITATION,
    }
    if place is not None and place.city:
        tags["city"] = place.city
    shape = {"count": len(values), "height": SIDE, "width": SIDE, "dtype": "float32"}
    where = {"crs": f"EPSG:{place.epsg}", "transform": place.transform} if place else {}
    with replacing(target) as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        packed = {"compress": "deflate", "predictor": 3}
        with rasterio.open(scratch, "w", driver="GTiff", **shape, **where, **packed) as out:
            out.write(values)
            out.descriptions = BANDS[sensor]
            out.update_tags(**tags)
    return {
        "file": str(target),
        "index": index,
        "sensor": sensor,
        "lcz": known.label,
        "name": known.name,
        "epsg": place.epsg if place else None,
        "city": place.city if place else None,
    }


def _place(geo: Path | None, patches: int, index: int) -> Place | None:
    if geo is None:
        return None
    with GeoFile(geo, patches) as file:
        return file.place(index)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a path to write to beside the target, moved into place at the end and removed after a failure."""
    if not target.parent.is_dir():
        msg = f"there is no folder {target.parent} to write {target.name} into; make it first"
        raise BadDataset(msg)
    scratch = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        yield scratch
        scratch.replace(target)
    except OSError as error:
        msg = f"{target} cannot be written ({error})"
        raise BadDataset(msg) from error
    finally:
        scratch.unlink(missing_ok=True)
