"""Faults strike jobs at work: none is lost, no byte differs, nothing stays behind. benchmarks.faults is longer."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.rig import breaking
from tests.faults.rig.matrix import general
from tests.faults.rig.trial import Fault, Struck
from tests.missing import without

RECOVERY_SECONDS = 60

QUICK = [breaking.killed_process("block"), breaking.delivered_twice()]
_QUICK_NAMES = {fault.name for fault in QUICK}
LONG = [fault for fault in general(gone=10.0, ailing=8.0, full=5.0) if fault.name not in _QUICK_NAMES]


def check(trial, fault):
    outcome = trial.run(fault, seconds=150)
    assert outcome.clean, outcome
    assert outcome.recovery_seconds < RECOVERY_SECONDS, outcome


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_fault_loses_nothing(trial, fault):
    check(trial, fault)


@pytest.mark.scale
@pytest.mark.parametrize("fault", LONG, ids=lambda fault: fault.name)
def test_further_fault_loses_nothing(trial, fault):
    check(trial, fault)


@pytest.mark.scale
def test_clocks_that_jump_lose_nothing(trial):
    if breaking.CLOCK is None:
        without("libfaketime is not installed; it is a Debian package")
    check(trial, breaking.jumping_clock(600.0))


def test_what_is_lost_or_differs_or_stays_is_told(trial):
    """The judge itself: of four things that are wrong it names each, and no other."""
    good, changed, gone, unfinished = trial.jobs
    storage = trial.installation.store.storage
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    memory = Path("/dev/shm", f"cityzones-client-0-{ended.pid}-0")

    def strike(installation, trial):
        installation.hand_in(good, changed, gone)
        trial.wait_for(good, changed, gone, seconds=120)
        storage.put(f"jobs/{changed}/outputs/map.tif", b"another map")
        storage.delete([f"jobs/{gone}/result.json"])
        storage.put(f"jobs/{good}/stray", b"")
        storage.delete(key for key in storage.keys("open"))
        memory.touch()
        installation.workers.add(ended.pid)
        return Struck(0.0)

    try:
        outcome = trial.run(Fault("planted", strike))
    finally:
        memory.unlink(missing_ok=True)
        trial.installation.workers.discard(ended.pid)
    assert set(outcome.lost) == {gone, unfinished}
    assert outcome.differing == (changed,)
    assert {f"jobs/{good}/stray", f"jobs/{gone}/result.json", memory.name} <= set(outcome.orphans)
    assert not outcome.clean
