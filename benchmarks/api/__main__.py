"""How many jobs a second the interface takes, and how fast it tells how they stand.

    python -m benchmarks.api

Serves the interface as in production (`bentoml serve`, keys asked for, limits counted) on loopback over a folder, with
a real Valkey and a real Triton but no worker. Then 64 clients on kept-alive connections (1) submit areas of interest
as fast as they are answered, (2) after which the queue is flushed, recovered, and looked through for every job that was
accepted, and (3) read the status of those jobs, in turn with a bare Starlette application under uvicorn that does the
same storage reads and nothing else: in a thread, as Starlette offers for what blocks, and on its event loop. Clients
and servers share the machine. The last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import redis

from benchmarks.api.load import Load, request, run
from jobs.keys import KeyStore
from jobs.live import LiveJobs, connect
from jobs.queue import JobQueue
from jobs.recover import recover
from jobs.storage import Storage
from jobs.store import JobStore
from models.cards import card_of
from models.serving import build_repository
from service.stack.process import GuardedProcess, free_port
from service.stack.triton import EmbeddedTriton
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import LCZ, ROOT, Served

CLIENTS = 64
ROUNDS = 3


def main() -> None:
    """Run the three parts, then print the JSON line."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--clients", type=int, default=CLIENTS)
    words.add_argument("--seconds", type=float, default=15.0, help="of submitting, and of each round of reading")
    told = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="api-") as name:
        folder = Path(name)
        served = build_repository(folder / "models", [card_of("magnet")])
        with EmbeddedValkey() as valkey, EmbeddedTriton(folder / "models", models=served, logs=folder) as triton:
            environment = {
                "CITYZONES_BROKER_URL": valkey.broker_url(0),
                "CITYZONES_LIVE_URL": valkey.url(1),
                "CITYZONES_TRITON_URL": triton.grpc_url,
                "CITYZONES_AUTH": "keys",
                "CITYZONES_REQUESTS_PER_MINUTE": "10000000",
                "CITYZONES_RUNNING_JOBS": "0",
                "CITYZONES_KM2_PER_MONTH": "0",
            }
            with Served(folder, environment) as interface:
                figures = measure(interface, valkey, folder, told)
    sys.stdout.write(json.dumps(figures) + "\n")


def measure(interface: Served, valkey: EmbeddedValkey, folder: Path, told: argparse.Namespace) -> dict[str, float]:
    """Return the figures of one service."""
    storage = Storage(interface.settings)
    key = KeyStore(storage).create("benchmark", ["submit"]).text
    headers = {"Authorization": f"Bearer {key}"}
    run(interface.url, itertools.islice(bodies(interface.url, headers), 200), clients=8, seconds=30)  # warm
    load = run(interface.url, bodies(interface.url, headers), clients=told.clients, seconds=told.seconds, keep=True)
    accepted = [json.loads(body)["jobID"] for body in load.bodies if b'"jobID"' in body]
    say("submissions", load)
    store = JobStore(storage, LiveJobs(connect(interface.settings.live_url)))
    lost = flushed(store, interface, valkey, set(accepted))
    ours, bare, now = reading(interface, folder, accepted, headers, told)
    return {
        "accepted_jobs_per_second": round(len(accepted) / load.seconds, 1),
        "p50_ms": round(load.percentile(0.5), 1),
        "p99_ms": round(load.percentile(0.99), 1),
        "refused": len(load.latencies) - len(accepted),
        "lost_jobs": lost,
        "status_rps": round(ours, 1),
        "bare_rps": round(bare, 1),
        "bare_now_rps": round(now, 1),
        "status_rps_ratio": round(ours / bare, 3),
        "status_rps_ratio_now": round(ours / now, 3),
    }


def bodies(url: str, headers: dict[str, str]) -> Iterator[bytes]:
    """Yield execute requests, each for a place of its own."""
    for number in itertools.count():
        west, south = round(5 + number % 97 / 10, 4), round(45 + number % 89 / 10, 4)
        inputs = {
            "aoi": {"bbox": [west, south, west + 0.05, south + 0.04]},
            "imagery": {"stac": {"datetime": "2026-05-01/2026-09-30"}},
        }
        told = headers | {"Content-Type": "application/json", "Idempotency-Key": f"request-{number}"}
        body = json.dumps({"inputs": inputs}).encode()
        yield request("POST", f"{url}/processes/{LCZ}/execution", headers=told, body=body)


def flushed(store: JobStore, interface: Served, valkey: EmbeddedValkey, accepted: set[str]) -> int:
    """Empty Redis, recover, and return how many accepted jobs are not in the queue again."""
    for database in (0, 1):
        redis.Redis.from_url(valkey.url(database)).flushdb()
    recover(store, JobQueue.of_settings(interface.settings), interface.settings, all_jobs=True)
    queued: set[str] = set()
    client = redis.Redis.from_url(valkey.url(0))
    for queue in ("jobs", "interactive"):
        messages = [json.loads(message) for message in client.lrange(queue, 0, -1)]
        queued |= {message["headers"]["argsrepr"].strip("[]'") for message in messages}
    return len(accepted - queued)


def reading(
    interface: Served, folder: Path, jobs: list[str], headers: dict[str, str], told: argparse.Namespace
) -> list[float]:
    """Return statuses a second, medians of rounds in turn.

    Of the interface, of the bare application, and of the same reading its folder on the event loop, as ours does.
    """
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.api.bare:app", "--port", str(port), "--log-level", "error"]
    environment = interface.environment | {"PYTHONPATH": str(ROOT)}
    peer = GuardedProcess("bare", command, log=folder / "bare.log", environment=environment, grace=5)
    address = f"http://127.0.0.1:{port}"
    found: dict[str, list[float]] = {interface.url: [], address: [], f"{address}/now": []}
    try:
        peer.wait_until(lambda: answers(address, jobs[0]), timeout=30)
        for _ in range(ROUNDS):
            for url, rates in found.items():
                asked = (request("GET", f"{url}/jobs/{job}", headers=headers) for job in itertools.cycle(jobs))
                load = run(url, asked, clients=told.clients, seconds=told.seconds / ROUNDS)
                say(url, load)
                rates.append(load.statuses.get(200, 0) / load.seconds)
    finally:
        peer.stop()
    return [median(rates) for rates in found.values()]


def answers(url: str, job: str) -> bool:
    """Say whether a server answers."""
    try:
        return run(url, iter([request("GET", f"{url}/jobs/{job}", headers={})]), clients=1, seconds=5).statuses == {
            200: 1
        }
    except OSError:
        return False


def say(what: str, load: Load) -> None:
    """Print what came of a run."""
    told = f"{load.rate:.0f}/s, p50 {load.percentile(0.5):.1f} ms, p99 {load.percentile(0.99):.1f} ms, {load.statuses}"
    sys.stderr.write(f"{what}: {told}\n")


if __name__ == "__main__":
    main()
