"""The long matrix of faults: every one strikes an installation at work, and nothing may be lost, differ or stay behind.

    python -m benchmarks.faults [--jobs 12] [--rounds 2] [--only killed] [--storage ceph]

starts S3 (Ceph's gateway where it is installed, else OpenStack Swift) behind a proxy, Valkey, Triton, beat and two
workers on this machine, maps some jobs undisturbed, and then maps the same jobs again for every fault, which strikes
while they run. The last line is JSON: `jobs` that were accepted over all faults, `lost` of them (neither successful
nor, where that is right, failed with the cause told), `differing_outputs` (jobs whose outputs are not byte for byte
those of the undisturbed run), `orphans` (keys in storage, memory in /dev/shm, processes), `worst_recovery_seconds` and
a row for each fault. Seconds of recovery run from the end of the fault to the end of the last job that was open then;
nothing is subtracted.
It ends with status 1 where something was lost, differs or stayed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from service.stack.sample import make_sample
from tests.faults.rig.ground import requests, send_city
from tests.faults.rig.installation import Installation
from tests.faults.rig.matrix import IN_A_FOLDER, MATRIX
from tests.faults.rig.mounted import small_disk
from tests.faults.rig.stores import STORES, quickest_store
from tests.faults.rig.trial import Fault, Outcome, Trial

console = Console(stderr=True)
SIDE = {"width": 3400, "height": 2900}
DISK_MIB = 96


def main() -> None:
    """Run the matrix, then print the JSON line."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--jobs", type=int, default=12, help="jobs for each fault; a third of two blocks")
    words.add_argument("--rounds", type=int, default=2, help="how often each fault strikes")
    words.add_argument("--only", nargs="+", default=[""], help="only faults whose name holds one of these")
    words.add_argument("--folder", type=Path, default=Path(".cityzones/benchmark-faults"))
    words.add_argument("--storage", choices=sorted(STORES), default=quickest_store())
    told = words.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    sample = make_sample(told.folder.resolve(), **SIDE)
    outcomes: list[Outcome] = []
    seconds = 0.0
    for faults, folder in ((MATRIX, None), (IN_A_FOLDER, told.folder.resolve() / "disk")):
        chosen = [fault for fault in faults * told.rounds if any(word in fault.name for word in told.only)]
        if chosen:
            with trial_of(sample, told, folder) as trial:
                seconds = seconds or trial.seconds
                outcomes += [struck(trial, fault) for fault in chosen]
    print(json.dumps(summary(outcomes, seconds, told)))
    sys.exit(0 if outcomes and all(outcome.clean for outcome in outcomes) else 1)


@contextmanager
def trial_of(sample: Path, told: argparse.Namespace, disk: Path | None) -> Iterator[Trial]:
    """Start an installation, on S3 or on a small disk, and map the jobs undisturbed."""
    with (
        tempfile.TemporaryDirectory(prefix="run-", dir=told.folder.resolve()) as name,
        small_disk(disk, DISK_MIB) as chosen,
        Installation(Path(name), storage=told.storage, told=chosen) as installation,
    ):
        city = send_city(installation.uploads, installation.settings, sample)
        trial = Trial(installation, list(requests(city, sample, told.jobs)))
        console.print(f"{told.jobs} jobs take {trial.seconds:.1f} s undisturbed", markup=False)
        yield trial


def struck(trial: Trial, fault: Fault) -> Outcome:
    """Let one fault strike and tell what it did."""
    outcome = trial.run(fault)
    console.print(f"{time.strftime('%H:%M:%S')} {outcome}", markup=False)
    return outcome


def summary(outcomes: list[Outcome], seconds: float, told: argparse.Namespace) -> dict[str, Any]:
    """Return the JSON line."""
    return {
        "jobs": sum(outcome.jobs for outcome in outcomes),
        "lost": sum(len(outcome.lost) for outcome in outcomes),
        "differing_outputs": sum(len(outcome.differing) for outcome in outcomes),
        "orphans": sum(len(outcome.orphans) for outcome in outcomes),
        "worst_recovery_seconds": max((outcome.recovery_seconds for outcome in outcomes), default=None),
        "undisturbed_seconds": round(seconds, 1),
        "jobs_each": told.jobs,
        "storage": told.storage,
        "faults": [asdict(outcome) for outcome in outcomes],
    }


if __name__ == "__main__":
    main()
