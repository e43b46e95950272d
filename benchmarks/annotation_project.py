"""How the service prepares an annotation project, and how fast its pages come.

    python -m benchmarks.annotation_project [--tiles 100] [--towns 10] [--workers 2]

draws procedural towns of 1024 pixels a side, uploads `--tiles` of them (every town turned and mirrored before it comes
twice), prepares them as one job on an embedded stack of its own, and asks for walls of 60 masks. The JSON on the last
line has `seconds` from the request to the result, `seconds_a_tile`, `masks`, `wall_ms_median` and `wall_ms_p95` (over
HTTP, tiles decoded before), `first_wall_ms` (not decoded), `cluster_ms_median` (the clusters of a neighbourhood), and
`peak_rss_mib` of any process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from PIL import Image

from benchmarks.annotation.scene import draw
from benchmarks.city.watch import usage
from service.client import Client
from service.stack.embedded import EmbeddedStack

_SIDE: Final = 1024
_WALL: Final = 60
_WALLS: Final = 40


def main() -> None:
    """Draw, prepare, look, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--tiles", type=int, default=100)
    words.add_argument("--towns", type=int, default=10)
    words.add_argument("--workers", type=int, default=2)
    told = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="annotation-") as folder:
        print(json.dumps(measure(Path(folder), told)))


def measure(folder: Path, told: argparse.Namespace) -> dict[str, Any]:
    """Prepare a project and return what that and its walls took."""
    files = tiles(folder, told.tiles, told.towns)
    with EmbeddedStack(folder / "stack", workers=told.workers) as stack, Client(stack.url) as client:
        uploads = [client.upload(path)["upload"] for path in files]
        started = time.monotonic()
        job = client.submit("annotation-project", {"inputs": {"tiles": uploads}})["jobID"]
        *_, status = client.watch(job)
        seconds = time.monotonic() - started
        if status["status"] != "successful":
            raise SystemExit(json.dumps(status))
        return {
            "tiles": told.tiles,
            "seconds": round(seconds, 1),
            "seconds_a_tile": round(seconds / told.tiles, 2),
            "peak_rss_mib": round(max(usage().peak_mib.values())),
        } | looks(f"{stack.url}/jobs/{job}/annotation")


def tiles(folder: Path, count: int, towns: int) -> list[Path]:
    """Write so many tiles as PNG: towns as drawn, then turned and mirrored."""
    pictures = [np.moveaxis(draw(seed, _SIDE).image, 0, -1) for seed in range(min(towns, count))]
    paths = []
    for number in range(count):
        town, view = number % len(pictures), number // len(pictures)
        turned, mirrored = np.rot90(pictures[town], view % 4), view % 8 >= 4  # noqa: PLR2004 - eight ways to lie
        path = folder / f"tile{number:03d}.png"
        Image.fromarray(np.ascontiguousarray(turned[::-1] if mirrored else turned)).save(path, compress_level=1)
        paths.append(path)
    return paths


def looks(here: str) -> dict[str, Any]:
    """Ask for what a page asks for, and return how long that took."""
    with httpx.Client(timeout=60) as http:
        project = http.get(here).json()
        masks, blocks = project["masks"], len(project["neighbourhoods"])
        first = _milliseconds(http, f"{here}/wall?masks={_numbers(0)}")
        again = [_milliseconds(http, f"{here}/wall?masks={_numbers(n)}") for n in range(_WALLS)]
        chosen = np.linspace(0, blocks - 1, _WALLS, dtype=int)
        lists = [_milliseconds(http, f"{here}/neighbourhoods/{n}") for n in chosen]
    return {
        "masks": masks,
        "neighbourhoods": blocks,
        "first_wall_ms": round(first, 1),
        "wall_ms_median": round(statistics.median(again), 1),
        "wall_ms_p95": round(float(np.percentile(again, 95)), 1),
        "cluster_ms_median": round(statistics.median(lists), 1),
    }


def _numbers(start: int) -> str:
    return ",".join(str(number) for number in range(start, start + _WALL))


def _milliseconds(http: httpx.Client, address: str) -> float:
    started = time.perf_counter()
    http.get(address).raise_for_status()
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main()
