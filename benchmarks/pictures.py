"""How the service maps a large picture: time, and the highest memory of any process.

    python -m benchmarks.pictures [--side 10000] [--files 2] [--deep] [--parcels] [--image] [--workers 1]
        [--model land-cover]

draws tiles side by side, `--files` a side and `--side` pixels of 0.5 m a side together, maps them as one job of the
process land-cover on an embedded stack of its own, and prints a JSON line last: `seconds` from the request to the
result, `seconds_a_km2`, `peak_rss_mib` (the highest resident memory of any process, and by role).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.transform import from_origin
from rasterio.windows import Window

from benchmarks.city.watch import usage
from jobs.request import DEFAULT_OUTPUTS
from models.classes import LAND_COVER
from service.client import Client
from service.stack.embedded import EmbeddedStack

_CRS: Final = "EPSG:32639"
_LEFT, _TOP, _PIXEL = 500_000.0, 2_780_000.0, 0.5
_PATCH: Final = 50
_NOISE: Final = 12.0
_PLOT_METRES: Final = 40.0


def main() -> None:
    """Draw, map, measure, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--side", type=int, default=10_000, help="pixels; a multiple of 100")
    words.add_argument("--files", type=int, default=2, help="files a side")
    words.add_argument("--deep", action="store_true", help="numbers of two bytes, which the service stretches")
    words.add_argument("--model", default="land-cover")
    words.add_argument("--parcels", action="store_true", help="a plot of 40 m everywhere")
    words.add_argument("--image", action="store_true", help="the output `image` beside the default ones")
    words.add_argument("--workers", type=int, default=1)
    told = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        print(json.dumps(measure(Path(folder), told)))


def measure(folder: Path, told: argparse.Namespace) -> dict[str, Any]:
    """Map one picture and return what that took."""
    files = draw(folder, told.side // told.files, told.files, np.dtype(np.uint16 if told.deep else np.uint8))
    with EmbeddedStack(folder / "stack", workers=told.workers) as stack, Client(stack.url) as client:
        inputs: dict[str, Any] = {"imagery": {"uploads": [client.upload(path)["upload"] for path in files]}}
        if told.parcels:
            inputs["parcels"] = {"upload": client.upload(plots(folder, told.side))["upload"]}
        if told.image:
            inputs["outputs"] = [*DEFAULT_OUTPUTS, "image"]
        before, started = usage(), time.monotonic()
        job = client.submit("land-cover", {"inputs": inputs | {"model": told.model}})["jobID"]
        *_, last = client.watch(job)
        seconds = time.monotonic() - started
        spent = usage().since(before)
        if last["status"] != "successful":
            sys.exit(f"{last}\n{(stack.logs / 'worker.log').read_text()[-4000:]}")
        outputs = {name: link["file:size"] for name, link in client.results(job).items()}
    km2 = (told.side * _PIXEL / 1000) ** 2
    return {
        "side": told.side,
        "km2": km2,
        "files": len(files),
        "deep": told.deep,
        "model": told.model,
        "parcels": told.parcels,
        "blocks": last["blocks"]["total"],
        "warnings": [warned["code"] for warned in last.get("warnings", ())],
        "seconds": round(seconds, 1),
        "seconds_a_km2": round(seconds / km2, 2),
        "cpu_seconds": {role: round(value, 1) for role, value in sorted(spent.seconds.items())},
        "output_bytes": outputs,
        "peak_rss_mib": round(max(spent.peak_mib.values())),
        "peak_rss_mib_by_role": {role: round(value) for role, value in sorted(spent.peak_mib.items())},
    }


def draw(folder: Path, side: int, count: int, kind: np.dtype[Any]) -> list[Path]:
    """Write `count` x `count` tiles of noisy squares in the legend's colours, strip by strip; return their paths."""
    rng, gain = np.random.default_rng(7), 16 if kind == np.uint16 else 1
    colours = np.array([c.rgb for c in LAND_COVER], np.float32).T
    paths = []
    for row, column in np.ndindex(count, count):
        path = folder / f"tile-{row}-{column}.tif"
        placed = from_origin(_LEFT + column * side * _PIXEL, _TOP - row * side * _PIXEL, _PIXEL, _PIXEL)
        profile = {"crs": _CRS, "transform": placed, "dtype": kind, "photometric": "rgb", "tiled": True}
        with rasterio.open(path, "w", "GTiff", side, side, 3, compress="deflate", **profile) as out:
            for top in range(0, side, _PATCH):
                codes = rng.integers(0, len(LAND_COVER), -(-side // _PATCH)).repeat(_PATCH)[:side]
                height = min(_PATCH, side - top)
                strip = colours[:, None, codes] + rng.normal(0, _NOISE, (3, height, side))
                out.write((strip.clip(0, 255) * gain).astype(kind), window=Window(0, top, side, height))
        paths.append(path)
    return paths


def plots(folder: Path, side: int) -> Path:
    """Write square plots all over the picture as a GeoPackage and return its path."""
    count = int(side * _PIXEL / _PLOT_METRES)
    rows, columns = np.divmod(np.arange(count**2), count)
    x, y = _LEFT + columns * _PLOT_METRES, _TOP - rows * _PLOT_METRES
    shapes = shapely.box(x, y - _PLOT_METRES, x + _PLOT_METRES, y)
    gpd.GeoDataFrame({"plot": np.arange(count**2)}, geometry=shapes, crs=_CRS).to_file(folder / "plots.gpkg")
    return folder / "plots.gpkg"


if __name__ == "__main__":
    main()
