"""One job on one, two and three simulated hosts: the same bytes, and how far more hosts would go.

    python -m benchmarks.city.hosts --side-km 10

Hosts are workers with working directories of their own; they share Valkey, an S3 server (OpenStack Swift) and Triton,
reached by address, memory not shared. All of them sit on this machine, so that its cores bound what can be measured:
the last line, JSON, therefore also holds `on_paper`, the time each number of hosts would take if every host had this
machine's cores and the model server kept up: what only one process does (planning, assembly), measured with one host,
and the blocks' time divided by the hosts.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.city.ground import make_ground
from jobs.inspection import inspect_file
from models.cards import card_of
from models.serving import build_repository
from service.stack.triton import EmbeddedTriton
from service.stack.valkey import EmbeddedValkey
from tests.servers.hosts import Installation
from tests.servers.swift import SwiftServer

console = Console(stderr=True)
BUCKET = "shared"
ON_PAPER = (1, 3, 10, 50)


def main() -> None:
    """Run the job on each number of hosts, then print the JSON line."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--side-km", type=int, default=10, help="a multiple of five")
    words.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 3])
    words.add_argument("--folder", type=Path, default=Path(".cityzones/benchmark-city"))
    told = words.parse_args()
    ground = make_ground(told.folder, told.side_km, vectors=True)
    with tempfile.TemporaryDirectory(prefix="hosts-", dir=told.folder) as name:
        folder = Path(name).resolve()
        served = build_repository(folder / "models", [card_of("magnet")])
        with (
            SwiftServer(folder / "s3") as s3,
            EmbeddedValkey() as valkey,
            EmbeddedTriton(folder / "models", models=served, logs=folder) as triton,
        ):
            s3.create_bucket(BUCKET)
            installation = Installation(
                folder,
                s3.settings
                | {
                    "CITYZONES_STORAGE_URL": f"s3://{BUCKET}/maps",
                    "CITYZONES_BROKER_URL": valkey.broker_url(0),
                    "CITYZONES_LIVE_URL": valkey.url(1),
                    "CITYZONES_TRITON_URL": triton.grpc_url,
                    "CITYZONES_LINK_SECRET": "a secret of the benchmark",
                },
            )
            rows = run(installation, inputs_of(installation, ground), told.hosts)
    print(json.dumps(summary(rows, told.side_km)))


def inputs_of(installation: Installation, ground: Any) -> dict[str, Any]:
    """Upload a city and return the job's inputs."""
    sent = {}
    for name in ("imagery", "buildings", "parcels"):
        path = getattr(ground, name)
        found = inspect_file(path, path.name, installation.settings)
        record = installation.uploads.add(
            path, filename=path.name, kind=found.kind, suffix=found.suffix, facts=found.facts
        )
        sent[name] = record.upload
    return {
        "imagery": {"uploads": [sent["imagery"]]},
        "buildings": {"upload": sent["buildings"]},
        "parcels": {"upload": sent["parcels"], "id_field": "parcel_id"},
    }


def run(installation: Installation, inputs: dict[str, Any], numbers: list[int]) -> list[dict[str, Any]]:
    """Return a row for each number of hosts."""
    rows: list[dict[str, Any]] = []
    job = ""
    for number in numbers:
        with installation.hosts(number) as hosts:
            started = time.monotonic()
            if job:
                installation.again(job)
            else:
                job = installation.submit(inputs)
            phases = watch(installation, job, started)
            outputs = installation.wait(job, 60)
            rows.append(
                {
                    "hosts": number,
                    **phases,
                    "worker_cpu_seconds": round(sum(host.seconds for host in hosts), 1),
                    "blocks_by_host": sorted(len(host.blocks) for host in hosts),
                    "outputs": outputs,
                }
            )
            console.print({k: v for k, v in rows[-1].items() if k != "outputs"}, markup=False)
    return rows


def watch(installation: Installation, job: str, started: float) -> dict[str, float]:
    """Follow a job to its end and return when its blocks began, when they ended, and when it did, in seconds."""
    began = ended = None
    while installation.store.ended(job) is None:
        live = installation.store.live.read(job)
        if began is None and live and live.blocks_total:
            began = time.monotonic() - started
        if ended is None and live and live.blocks_total and live.blocks_done >= live.blocks_total:
            ended = time.monotonic() - started
        time.sleep(0.05)
    whole = time.monotonic() - started
    return {"planned": round(began or whole, 1), "mapped": round(ended or whole, 1), "seconds": round(whole, 1)}


def summary(rows: list[dict[str, Any]], side_km: int) -> dict[str, Any]:
    """Return the JSON line."""
    first = rows[0]
    alone = first["planned"] + first["seconds"] - first["mapped"]
    blocks = first["mapped"] - first["planned"]
    return {
        "side_km": side_km,
        "cores": os.cpu_count(),
        "rows": [{k: v for k, v in row.items() if k != "outputs"} for row in rows],
        "identical_outputs": all(row["outputs"] == first["outputs"] for row in rows),
        "measured_speedup": {row["hosts"]: round(first["seconds"] / row["seconds"], 2) for row in rows},
        "on_paper": {n: round((alone + blocks) / (alone + blocks / n), 2) for n in ON_PAPER},
        "serial_share": round(alone / first["seconds"], 3),
    }


if __name__ == "__main__":
    main()
