"""How the service maps cities of growing size: time, memory, and how much of the work is the network's.

    python -m benchmarks.city --side-km 10 20 40 [--resolution 100] [--imagery-only] [--workers 2]

writes procedural cities (kept in --folder for the next time), starts the embedded stack anew for each, sends it the
imagery, the buildings and the blocks as parcels, and waits for the map. The last line is JSON: per size `seconds` (from
the request to result.json), `network_seconds` (Triton's own count of computing), `peak_rss_mib` (the highest resident
memory of any process, and by role); `linearity_r2` of seconds over area; `network_share`, the processor seconds of
the model server over those of all processes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc
from rich.console import Console

from benchmarks.city.ground import Ground, make_ground
from benchmarks.city.watch import usage
from service.client import Client
from service.stack.embedded import EmbeddedStack

console = Console(stderr=True)


def main() -> None:
    """Map each size on a stack of its own, then print the JSON line."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--side-km", type=int, nargs="+", default=[10, 20, 40], help="multiples of five")
    words.add_argument("--resolution", type=int, choices=(10, 100), default=10)
    words.add_argument("--imagery-only", action="store_true", help="neither buildings nor parcels")
    words.add_argument("--model", default="magnet")
    words.add_argument("--workers", type=int, default=2)
    words.add_argument("--folder", type=Path, default=Path(".cityzones/benchmark-city"))
    told = words.parse_args()
    rows = []
    for side in told.side_km:
        ground = make_ground(told.folder, side, vectors=not told.imagery_only)
        rows.append(measure(ground, side, told))
        console.print(rows[-1], markup=False)
    print(json.dumps(summary(rows, told)))


def measure(ground: Ground, side: int, told: argparse.Namespace) -> dict[str, Any]:
    """Map one city and return its row."""
    with (
        tempfile.TemporaryDirectory(prefix="city-", dir=told.folder) as folder,
        EmbeddedStack(Path(folder), workers=told.workers) as stack,
        Client(stack.url) as client,
    ):
        body = {"inputs": _inputs(client, ground, told)}
        assert stack.triton is not None
        before, idle = usage(), _network_seconds(stack.triton.grpc_url)
        started = time.monotonic()
        job = client.submit("local-climate-zones", body)["jobID"]
        last: dict[str, Any] = {}
        for last in client.watch(job):
            console.print(last["message"], last.get("blocks"), end="\r", markup=False)
        seconds = time.monotonic() - started
        if last["status"] != "successful":
            console.print(last, (stack.logs / "worker.log").read_text()[-4000:], markup=False)
            sys.exit(1)
        spent = usage().since(before)
        network = _network_seconds(stack.triton.grpc_url) - idle
        outputs = sum(link["file:size"] for link in client.results(job).values())
        stored = sum(path.stat().st_size for path in (stack.folder / "store/jobs" / job).rglob("*") if path.is_file())
    return {
        "side_km": side,
        "km2": side * side,
        "seconds": round(seconds, 1),
        "network_seconds": round(network, 1),
        "network_share": round(spent.seconds["triton"] / sum(spent.seconds.values()), 3),
        "cpu_seconds": {role: round(value, 1) for role, value in sorted(spent.seconds.items())},
        "peak_rss_mib": round(max(spent.peak_mib.values())),
        "peak_rss_mib_by_role": {role: round(value) for role, value in sorted(spent.peak_mib.items())},
        "output_mib": round(outputs / 2**20, 1),
        "stored_mib": round(stored / 2**20, 1),
    }


def summary(rows: list[dict[str, Any]], told: argparse.Namespace) -> dict[str, Any]:
    """Return the JSON line."""
    area, seconds = (np.array([row[name] for row in rows], float) for name in ("km2", "seconds"))
    fitted = np.polyval(np.polyfit(area, seconds, 1), area) if len(rows) > 1 else seconds
    spread = float(((seconds - seconds.mean()) ** 2).sum())
    return {
        "sizes": rows,
        "linearity_r2": round(1 - float(((seconds - fitted) ** 2).sum()) / spread, 5) if spread else None,
        "network_share": rows[-1]["network_share"],
        "peak_rss_mib": max(row["peak_rss_mib"] for row in rows),
        "resolution": told.resolution,
        "model": told.model,
        "workers": told.workers,
        "cores": os.cpu_count(),
    }


def _inputs(client: Client, ground: Ground, told: argparse.Namespace) -> dict[str, Any]:
    inputs: dict[str, Any] = {"imagery": {"uploads": [client.upload(ground.imagery)["upload"]]}, "model": told.model}
    if told.resolution != 10:  # noqa: PLR2004 - the default
        inputs["resolution"] = told.resolution
    if ground.buildings:
        inputs["buildings"] = {"upload": client.upload(ground.buildings)["upload"]}
    if ground.parcels:
        inputs["parcels"] = {"upload": client.upload(ground.parcels)["upload"], "id_field": "parcel_id"}
    return inputs


def _network_seconds(address: str) -> float:
    """Return how long Triton has computed, summed over requests; those that run side by side count each."""
    with tritonclient.grpc.InferenceServerClient(address) as client:
        told = client.get_inference_statistics(as_json=True)
    numbers = [int(m["inference_stats"]["compute_infer"].get("ns", 0)) for m in told["model_stats"]]
    return sum(numbers) / 1e9


if __name__ == "__main__":
    main()
