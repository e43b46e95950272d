"""The procedural sample city of the demo: made once per folder, and the check of a finished map against its truth."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import geopandas as gpd
import numpy as np
import pystac
import rasterio
from PIL import Image
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rio_cogeo.cogeo import cog_validate

from service.stack.process import StackFailed

SEED: Final = 7


def make_sample(folder: Path, *, width: int = 6000, height: int = 5000) -> Path:
    """Return the folder of a city of that many metres, making it if it is not there.

    It is a test bed and never poses as a real place.
    """
    target = folder / f"sample-{SEED}-{width}x{height}"
    if (target / "aoi.geojson").is_file():
        return target
    half = target.with_name(target.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    size = ["--width", str(width), "--height", str(height)]
    command = [sys.executable, "-m", "models.data.procedural", "--seed", str(SEED), *size, "--out", str(half)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603 - our own module
    if done.returncode:
        msg = f"the sample city could not be made:\n{done.stderr[-2000:]}"
        raise StackFailed(msg)
    return half.rename(target)


def overall_accuracy(map_path: Path, truth_path: Path) -> float:
    """Return the share of mapped pixels whose class is the truth's; the truth is laid onto the map's grid."""
    with rasterio.open(map_path) as mapped, rasterio.open(truth_path) as truth:
        codes = mapped.read(1)
        grid = {"crs": mapped.crs, "transform": mapped.transform, "width": mapped.width, "height": mapped.height}
        with WarpedVRT(truth, resampling=Resampling.nearest, **grid) as laid:
            known = laid.read(1)
    both = (codes > 0) & (known > 0)
    return float(np.mean(codes[both] == known[both])) if both.any() else 0.0


def unusable(outputs: Mapping[str, Path]) -> list[str]:
    """Open every output as its users would and return what is wrong, in words; nothing is wrong if it is empty."""
    faults = []
    for name, path in outputs.items():
        try:
            fault = _fault(path)
        except (OSError, ValueError, KeyError, rasterio.errors.RasterioError, pystac.STACError) as error:
            fault = str(error)
        if fault:
            faults.append(f"{name}: {fault}")
    return faults


def _fault(path: Path) -> str | None:
    opener = _OPENERS.get(path.suffix)
    if opener is not None:
        return opener(path)
    return None if path.stat().st_size else "empty"


def _raster(path: Path) -> str | None:
    valid, errors, _ = cog_validate(path, quiet=True)
    return None if valid else f"not a valid COG: {'; '.join(errors)}"


def _table(path: Path) -> str | None:
    frame = gpd.read_parquet(path) if path.suffix == ".parquet" else gpd.read_file(path, layer="parcels")
    return None if len(frame) else "no parcels"


def _picture(path: Path) -> str | None:
    with Image.open(path) as image:
        image.verify()
    return None


def _page(path: Path) -> str | None:
    return None if "</html>" in path.read_text(encoding="utf-8") else "not a whole page"


def _item(path: Path) -> str | None:
    item = pystac.Item.from_dict(json.loads(path.read_text(encoding="utf-8")))
    return None if item.assets else "no assets"


_OPENERS: Final[dict[str, Callable[[Path], str | None]]] = {
    ".tif": _raster,
    ".parquet": _table,
    ".gpkg": _table,
    ".png": _picture,
    ".html": _page,
    ".json": _item,
}
