"""How the service stands a thousand jobs at once.

    python -m benchmarks.load [--jobs 1000] [--workers 2] [--folder .cityzones/benchmark-load]

starts the embedded stack with keys asked for. A tenant who may have two jobs at a time sends ten. Another sends three
quarters of the jobs, small ones and larger ones mixed, as fast as they are accepted; then a third sends the rest, and
more until it is told to come later. Then it is waited for all that was accepted. The last line is JSON:

- `jobs`, how many were accepted, `lost`, how many of them did not succeed, and `seconds` until the last had;
- `wait_ratio`, for each tenant the mean time its jobs took to finish, over what it would be if both had worked through
  theirs with equal shares from the beginning (the goal is 2 at most);
- `first_come_first_served`, the same ratio of the second tenant, had it waited behind all of the first's;
- `rss_growth`, by role, how much more memory its processes together hold in the last fifth of the run than in the
  second (the goal is .05 at most), and `peak_mib`;
- `refused_429`, `refused_503`, how many requests were told to come later, and `without_retry_after`, how many of these
  were not told when; `errors`, how many had another answer than 201, 429 or 503.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.load.memory import Memory
from benchmarks.load.senders import Sent, send
from benchmarks.load.shares import finished, ratios
from benchmarks.load.sizes import bodies
from jobs.keys import KeyStore
from jobs.live import LiveJobs, connect
from jobs.storage import Storage
from jobs.store import JobStore
from jobs.tenants import TenantStore
from service.stack.embedded import EmbeddedStack
from service.stack.files import FileServer
from service.stack.sample import make_sample

LONGEST_SECONDS: Final = 3600
console = Console(stderr=True)


def main() -> None:
    """Run it, then print the JSON line."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--jobs", type=int, default=1000)
    words.add_argument("--workers", type=int, default=2)
    words.add_argument("--folder", type=Path, default=Path(".cityzones/benchmark-load"))
    told = words.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(json.dumps(measure(told.folder, jobs=told.jobs, workers=told.workers)) + "\n")


def measure(folder: Path, *, jobs: int, workers: int) -> dict[str, Any]:
    """Return the figures of one run."""
    sample = make_sample(folder, width=12000, height=10000)
    with tempfile.TemporaryDirectory(dir=folder) as own, FileServer(sample) as catalogue:
        overrides = {
            "CITYZONES_AUTH": "keys",
            "CITYZONES_STAC_URL": f"{catalogue.url}/catalog.json",
            "CITYZONES_REQUESTS_PER_MINUTE": "0",
            "CITYZONES_RUNNING_JOBS": "0",
            "CITYZONES_WAITING_JOBS": str(jobs),
        }
        with EmbeddedStack(Path(own), workers=workers, overrides=overrides) as stack:
            return _run(stack, sample, jobs)


def _run(stack: EmbeddedStack, sample: Path, jobs: int) -> dict[str, Any]:
    storage = Storage(stack.settings)
    keys = {name: KeyStore(storage).create(name, ["submit"]).text for name in ("many", "few", "limited")}
    tenants = TenantStore(storage, stack.settings)
    tenants.change("limited", {"running_jobs": 2})
    asked, store = bodies(sample), JobStore(storage, LiveJobs(connect(stack.settings.live_url)))
    with Memory() as memory:
        start = time.time()
        limited = send(stack.url, keys["limited"], asked, number=10)
        many = send(stack.url, keys["many"], asked, number=jobs * 3 // 4)
        few = send(stack.url, keys["few"], asked, number=jobs // 4)
        more = send(stack.url, keys["few"], asked, number=jobs, until_refused=True)
        console.print(f"{len(many.jobs)} + {len(few.jobs)} + {len(more.jobs)} jobs after {time.time() - start:.0f} s")
        ends = finished(store, [*many.jobs, *few.jobs, *more.jobs, *limited.jobs], start, LONGEST_SECONDS, console)
    return _figures({"many": many, "few": few + more}, limited, ends, memory)


def _figures(tenants: dict[str, Sent], limited: Sent, ends: dict[str, float], memory: Memory) -> dict[str, Any]:
    everybody = [*tenants.values(), limited]
    refused = [answer for sent in everybody for answer in sent.refused]
    accepted = sum(len(sent.jobs) for sent in everybody)
    return {
        "jobs": accepted,
        "lost": accepted - len(ends),
        "seconds": round(max(ends.values(), default=0.0), 1),
        **ratios({name: sent.jobs for name, sent in tenants.items()}, ends),
        **memory.figures(),
        "refused_429": sum(status == 429 for status, _ in refused),  # noqa: PLR2004 - the status itself
        "refused_503": sum(status == 503 for status, _ in refused),  # noqa: PLR2004 - the status itself
        "without_retry_after": sum(not told for _, told in refused),
        "errors": sum(sent.errors for sent in everybody),
    }


if __name__ == "__main__":
    main()
