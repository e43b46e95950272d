"""How fast zonal sums by exact coverage are, beside exactextract and beside rasterising, over the same parcels.

    python -m benchmarks.zonal

draws a raster of 4000 x 4000 pixels (a hard map of 17 classes, and 17 bands of probabilities as uint8) and 20,000
parcels that tile it and overhang its rim: Voronoi cells with crooked, shared borders, a tenth with a hole, some of two
parts. In one process and on one thread each, from geometry objects to numbers: `class_areas` against exactextract's
`frac` and against rasterio's `rasterize` with numpy's `bincount`, `coverage_sums` against exactextract's `mean` of 17
bands. Ours and `rasterize` count with the quickest of several rounds, exactextract's single rounds take minutes; told
apart are the time to compile ours, once a machine, and `rasterize` on parcels that were made into GeoJSON before.
`max_abs_diff` is the largest difference from exactextract's fractions and means of any parcel and class; `peak_mib`
what a fresh process grows by while it sums. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import psutil
import shapely
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.spatial import Voronoi

from worker.parcels.zonal import class_areas, coverage_sums

CLASSES = 17
PIXEL, LEFT, TOP = 10.0, 500_000.0, 6_000_000.0
OVERHANG = 20.0
GOALS = {"fractions_speedup": 20, "probabilities_speedup": 150, "rasterize_speedup": 2.5}


@dataclass(frozen=True, slots=True)
class Scene:
    """Parcels (n,), a hard map (y, x) with codes 1..17, probabilities (class, y, x) uint8, and where they lie."""

    parcels: np.ndarray[Any, Any]
    codes: np.ndarray[Any, Any]
    stack: np.ndarray[Any, Any]

    @property
    def transform(self) -> Affine:
        """From column and row to metres."""
        return Affine(PIXEL, 0, LEFT, 0, -PIXEL, TOP)

    def areas(self, threads: int = 1) -> np.ndarray[Any, Any]:
        """Our areas of each class."""
        return class_areas(self.parcels, self.codes, self.transform, classes=CLASSES, threads=threads)

    def sums(self, threads: int = 1) -> np.ndarray[Any, Any]:
        """Our mean probabilities."""
        found = coverage_sums(self.parcels, self.stack, self.codes > 0, self.transform, threads=threads)
        return fractions(found.probability, found.area)


def main() -> None:
    """Measure all, print a table and the JSON line."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--side", type=int, default=4000, help="pixels")
    words.add_argument("--parcels", type=int, default=20_000)
    words.add_argument("--rounds", type=int, default=7, help="of ours and of rasterize")
    words.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    told = words.parse_args()
    if told.memory_of:
        print(growth(Scene(**np.load(told.memory_of / "scene.npz", allow_pickle=True))))
        return
    scene = draw_scene(told.side, told.parcels)
    compile_seconds = once(lambda: (scene.areas(), scene.sums()))[0]
    seconds, found = measure(scene, told.rounds)
    print(
        f"{'compiling, or loading what was compiled':40} {compile_seconds - seconds['areas'] - seconds['sums']:9.3f} s"
    )
    for name, value in seconds.items():
        print(f"{name:40} {value:9.3f} s")
    result = {
        "fractions_speedup": round(seconds["exactextract frac"] / seconds["areas"], 1),
        "probabilities_speedup": round(seconds["exactextract mean of 17 bands"] / seconds["sums"], 1),
        "rasterize_speedup": round(seconds["rasterize and bincount"] / seconds["areas"], 2),
        "rasterize_from_geojson_speedup": round(seconds["rasterize and bincount from GeoJSON"] / seconds["areas"], 2),
        "max_abs_diff": difference(found),
        "peak_mib": memory(scene),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "same_bits_on_two_threads": same(found),
        "parcels": len(scene.parcels),
        "vertices": int(shapely.get_num_coordinates(scene.parcels).sum()),
        "load": [round(value, 1) for value in psutil.getloadavg()],
        "goals": GOALS,
    }
    print(json.dumps(result))


def draw_scene(side: int, count: int) -> Scene:
    """Draw parcels and rasters; the same seed, the same scene."""
    draw = np.random.default_rng(0)
    patches = draw.integers(1, CLASSES + 1, (side // 10 + 1, side // 10 + 1), dtype=np.uint8)
    codes = patches.repeat(10, 0).repeat(10, 1)[:side, :side].copy()
    specks = draw.random(codes.shape) < 0.05  # noqa: PLR2004 - one pixel in twenty
    codes[specks] = draw.integers(1, CLASSES + 1, int(specks.sum()))
    stack = draw.integers(0, 256, (CLASSES, side, side), dtype=np.uint8)
    return Scene(draw_parcels(side, count, draw), codes, stack)


def draw_parcels(side: int, count: int, draw: np.random.Generator) -> np.ndarray[Any, Any]:
    """Draw parcels in metres: they tile the raster and share their borders; a tenth has a hole, some are two parts."""
    low, high = -OVERHANG, side + OVERHANG
    seeds = draw.uniform(low, high, (count + count // 50, 2))
    mirrored = [seeds]
    for axis in (0, 1):
        for rim in (low, high):
            image = seeds.copy()
            image[:, axis] = 2 * rim - image[:, axis]
            mirrored.append(image)
    diagram = Voronoi(np.concatenate(mirrored))
    bend = draw.uniform(-0.08, 0.08, (2, len(diagram.vertices)))
    regions = [diagram.regions[diagram.point_region[k]] for k in range(len(seeds))]
    cells = np.array([crooked(region, diagram.vertices, bend, (low, high)) for region in regions])
    cells = cells[shapely.is_valid(cells)]
    holed = draw.choice(len(cells), len(cells) // 10, replace=False)
    wells = shapely.buffer(shapely.point_on_surface(cells[holed]), draw.uniform(1, 6, len(holed)), quad_segs=4)
    cells[holed] = shapely.difference(cells[holed], wells)
    pairs = cells[count:]
    parcels = cells[:count].copy()
    parcels[: len(pairs)] = shapely.union(parcels[: len(pairs)], pairs)
    parcels = parcels[shapely.area(parcels) > 0]
    metres = shapely.transform(parcels, lambda xy: xy * [PIXEL, -PIXEL] + [LEFT, TOP])
    return np.asarray(metres)


def crooked(region: list[int], vertices: Any, bend: Any, limits: tuple[float, float]) -> shapely.Polygon:
    """Return a cell whose borders bend at three places each, the same seen from both sides."""
    ring = []
    for a, b in pairwise([*region, region[0]]):
        first, last = min(a, b), max(a, b)
        along = vertices[last] - vertices[first]
        across = np.array([-along[1], along[0]])
        shift = bend[0, first] + bend[1, last]
        middle = [vertices[first] + t * along + shift * w * across for t, w in ((0.25, 0.8), (0.5, 1), (0.75, -0.5))]
        ring += [vertices[a], *(middle if a == first else middle[::-1])]
    return shapely.Polygon(np.clip(np.array(ring), *limits))


def measure(scene: Scene, rounds: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Return seconds and answers by name; ours run before and after the long rounds of exactextract."""
    frame = gpd.GeoDataFrame(geometry=scene.parcels, crs="EPSG:32633")
    shapes = [(parcel.__geo_interface__, k + 1) for k, parcel in enumerate(scene.parcels)]
    ours: dict[str, Callable[[], Any]] = {
        "areas": scene.areas,
        "sums": scene.sums,
        "areas on two threads": lambda: scene.areas(2),
        "sums on two threads": lambda: scene.sums(2),
        "rasterize and bincount": lambda: rasterized(scene, [(g, k + 1) for k, g in enumerate(scene.parcels)]),
        "rasterize and bincount from GeoJSON": lambda: rasterized(scene, shapes),
    }
    peers: dict[str, Callable[[], Any]] = {
        "exactextract frac": lambda: extracted_fractions(scene, frame),
        "exactextract mean of 17 bands": lambda: extracted_means(scene, frame),
    }
    seconds: dict[str, float] = {}
    found: dict[str, Any] = {}
    for turn in range(2):
        for name, way in ours.items():
            for _ in range((rounds + 1 - turn) // 2):
                taken, found[name] = once(way)
                seconds[name] = min(taken, seconds.get(name, taken))
        for name, way in peers.items() if turn == 0 else ():
            seconds[name], found[name] = once(way)
    return seconds, found


def once(way: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds and answer."""
    begun = time.perf_counter()
    answer = way()
    return time.perf_counter() - begun, answer


def rasterized(scene: Scene, shapes: list[tuple[Any, int]]) -> np.ndarray[Any, Any]:
    """Count the pixels of each class whose centre a parcel holds (n, class), whatever the form of the parcels."""
    rows = rasterize(shapes, out_shape=scene.codes.shape, transform=scene.transform, dtype=np.int32)
    width = CLASSES + 1
    counts = np.bincount(rows.ravel() * width + scene.codes.ravel(), minlength=(len(shapes) + 1) * width)
    return counts.reshape(-1, width)[1:, 1:]


def source(band: np.ndarray[Any, Any]) -> NumPyRasterSource:
    """Return a band as exactextract reads it."""
    height, width = band.shape
    right, bottom = LEFT + PIXEL * width, TOP - PIXEL * height
    return NumPyRasterSource(band, xmin=LEFT, ymin=bottom, xmax=right, ymax=TOP)


def extracted_fractions(scene: Scene, frame: gpd.GeoDataFrame) -> Any:
    """Return exactextract's answer: for each parcel, the classes met and the share of each."""
    return exact_extract(source(scene.codes), frame, ["unique", "frac"], output="pandas")


def extracted_means(scene: Scene, frame: gpd.GeoDataFrame) -> np.ndarray[Any, Any]:
    """Return exactextract's mean of each band, one after the other (n, class)."""
    bands = [exact_extract(source(band), frame, ["mean"], output="pandas")["mean"] for band in scene.stack]
    return np.column_stack(bands) / 255


def fractions(values: np.ndarray[Any, Any], whole: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Divide (n, class) by (n,), nothing by nothing being nothing."""
    return values / np.where(whole > 0, whole, 1)[:, None]


def difference(found: dict[str, Any]) -> float:
    """Return the largest difference between ours and exactextract's, as shares of 1."""
    areas, told = found["areas"], found["exactextract frac"]
    theirs = np.zeros_like(areas)
    rows = np.repeat(np.arange(len(areas)), [len(codes) for codes in told["unique"]])
    theirs[rows, np.concatenate(told["unique"].to_list()).astype(int) - 1] = np.concatenate(told["frac"].to_list())
    shares = np.abs(fractions(areas, areas.sum(axis=1)) - theirs)
    means = np.abs(found["sums"] - np.nan_to_num(found["exactextract mean of 17 bands"]))
    return float(f"{max(shares.max(), means.max()):.2g}")


def same(found: dict[str, Any]) -> bool:
    """Tell whether two threads gave the bits of one."""
    return all(found[name].tobytes() == found[f"{name} on two threads"].tobytes() for name in ("areas", "sums"))


def memory(scene: Scene) -> float:
    """Return by how many MiB a fresh process grows while it sums."""
    with tempfile.TemporaryDirectory(prefix="zonal-") as folder:
        parcels = np.array(shapely.to_wkb(scene.parcels), dtype=object)
        np.savez(Path(folder) / "scene.npz", parcels=parcels, codes=scene.codes, stack=scene.stack)
        command = [sys.executable, "-m", "benchmarks.zonal", "--memory-of", folder]
        answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return float(answer.stdout)


def growth(scene: Scene) -> float:
    """Sum once over a corner, to load what was compiled, then over all: return the peak's growth in MiB."""
    scene = Scene(shapely.from_wkb(scene.parcels), scene.codes, scene.stack)
    corner = Scene(scene.parcels[:10], scene.codes, scene.stack)
    corner.areas()
    corner.sums()
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    scene.areas()
    scene.sums()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    return round((peak - before) / (1 << 20), 1)


if __name__ == "__main__":
    main()
