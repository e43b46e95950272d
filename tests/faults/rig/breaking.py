"""The faults: what is killed, cut off, filled up, slowed down, sent twice, or told another time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.faults.rig.installation import ROOT, Host, Installation
from tests.faults.rig.processes import kill_one
from tests.faults.rig.proxy import Arrival, Gate, Weather
from tests.faults.rig.trial import Fault, Struck, Trial

Strike = Callable[[Installation, Trial], Struck]

# What a step writes when it is half done.
HALFWAY: Final = {"plan": "plan.json", "block": "probabilities.zarr/", "assemble": "outputs/map.tif"}
POISONED: Final = "worker-lost"
# Debian's package libfaketime: the time a process is told.
CLOCK: Final = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
CLOCKED: Final = Path(__file__).with_name("clocked")
_TRIES: Final = 8


def killed_process(step: str) -> Fault:
    """Kill the process that runs a step, in its middle, as the kernel does when memory is short."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        _, pid = installation.host_of(_halfway(installation, trial, step))
        kill_one(pid)
        return _over(installation)

    return Fault(f"worker process killed in {step}", strike)


def killed_host(step: str) -> Fault:
    """Kill a whole worker in the middle of a step, as when its host dies; another comes in its place."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        host, _ = installation.host_of(_halfway(installation, trial, step))
        installation.kill_host(host)
        return _over(installation)

    return Fault(f"worker killed in {step}", strike)


def killed_model_server() -> Fault:
    """Kill Triton just before a block asks it."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        _halfway(installation, trial, "plan")
        assert installation.triton is not None
        assert installation.triton.server_pid is not None
        kill_one(installation.triton.server_pid)
        return _over(installation, passes=True)

    return Fault("Triton killed", strike)


def killed_stub() -> Fault:
    """Kill the processes that compute for Triton, which then still says that it is ready."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        _halfway(installation, trial, "plan")
        assert installation.triton is not None
        for pid in installation.triton.stubs("magnet"):
            kill_one(pid)
        return _over(installation, passes=True)

    return Fault("Triton's stub killed", strike)


def killed_valkey(*, with_data: bool) -> Fault:
    """Kill Valkey while blocks are mapped; it comes back after three seconds, with what it has written or empty."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        _halfway(installation, trial, "block")
        installation.valkey.kill()
        if not with_data:
            installation.valkey.forget()
        time.sleep(3.0)
        installation.valkey.start()
        return _over(installation, passes=True)

    return Fault(f"Valkey killed, {'its data kept' if with_data else 'its data lost'}", strike)


def flushed_valkey() -> Fault:
    """Empty Valkey while it runs."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        _halfway(installation, trial, "block")
        with installation.valkey.client(0) as client:
            client.flushall()
        return _over(installation, passes=True)

    return Fault("Valkey flushed", strike)


def killed_storage(seconds: float) -> Fault:
    """Kill the S3 server; nothing listens at its address for a while."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        _halfway(installation, trial, "block")
        installation.s3.kill()
        installation.proxy.let_go()
        installation.proxy.stop()
        time.sleep(seconds)
        installation.s3.revive()
        installation.proxy.start()
        return Struck(time.monotonic())

    return Fault(f"S3 server gone for {seconds:g} s", strike)


def ailing_storage(seconds: float, *, failing: float = 0.1, slow: float = 0.1) -> Fault:
    """Let S3 answer 503 to a share of requests, and a share late, for a while."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        weather = installation.proxy.weather = Weather(failing=failing, slow=slow)
        installation.hand_in(*trial.jobs)
        time.sleep(seconds)
        installation.proxy.weather = Weather()
        assert weather.failed, "no request came while S3 was ailing"
        assert weather.delayed, "no request came while S3 was ailing"
        return Struck(time.monotonic())

    return Fault(f"S3 answers {failing:.0%} with 503 and {slow:.0%} late, {seconds:g} s", strike)


def full_storage(seconds: float) -> Fault:
    """Let S3 refuse every write with 507 for a while."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        weather = installation.proxy.weather = Weather(failing=1.0, status=507, only="^PUT")
        installation.hand_in(*trial.jobs)
        time.sleep(seconds)
        installation.proxy.weather = Weather()
        assert weather.failed, "nothing was written while S3 was full"
        return Struck(time.monotonic())

    return Fault(f"S3 full for {seconds:g} s", strike)


def full_folder(seconds: float) -> Fault:
    """Fill the file system of a folder that stands for S3; after a while there is room again."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        folder = installation.settings.storage_url.removeprefix("file://")
        ballast = Path(folder) / "ballast"
        installation.hand_in(*trial.jobs)
        _fill(ballast)
        time.sleep(seconds)
        _fill(ballast)
        assert installation.store.storage.keys("open"), "everything had ended before the disk was full"
        ballast.unlink()
        return Struck(time.monotonic())

    return Fault(f"folder full for {seconds:g} s", strike)


def _fill(path: Path) -> None:
    """Write until there is no room."""
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def poisoned_block() -> Fault:
    """Kill whatever process writes one job's blocks, until the service gives that job up."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        victim = trial.large[0]
        arrival = _halfway(installation, trial, "block")
        for _ in range(_TRIES):
            _, pid = installation.host_of(arrival)
            again = installation.proxy.gate("PUT", f"/jobs/{victim}/{HALFWAY['block']}")
            kill_one(pid)
            installation.proxy.drop(but=again)
            arrival = _arrival_or_end(installation, victim, again)
            if arrival is None:
                break
        installation.proxy.drop()
        return Struck(time.monotonic(), failing={victim: POISONED})

    return Fault("a block that kills every process", strike)


def delivered_twice() -> Fault:
    """Publish every message of the jobs twice at once, those of their blocks too, and once more after the end."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        installation.hand_in(*trial.jobs)
        installation.repeat_planning(*trial.jobs)
        for job in trial.large:
            while (plan := installation.store.plan(job)) is None:
                time.sleep(0.1)
            installation.repeat_blocks(job, [block.id for block in plan.blocks])

        def once_more() -> None:
            installation.hand_in(*trial.jobs)
            installation.repeat_planning(*trial.jobs)

        return Struck(time.monotonic(), afterwards=once_more)

    return Fault("every message twice", strike)


def rolling_restart() -> Fault:
    """Replace every worker under load: start another, then SIGTERM to the old one."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        installation.hand_in(*trial.jobs)
        for host in list(installation.hosts):
            installation.drain_host(host)
        return Struck(time.monotonic())

    return Fault("rolling restart", strike)


def jumping_clock(seconds: float) -> Fault:
    """Let the workers' clocks jump ahead in the middle of a block, and then as far back behind the true time."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        if CLOCK is None:
            raise FileNotFoundError("apt-get install libfaketime")
        before = list(installation.hosts)
        clock = installation.folder / "clock"
        clock.write_text("+0\n")
        told = {
            "LD_PRELOAD": str(CLOCK), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "PYTHONPATH": f"{CLOCKED}:{ROOT}",
        }  # fmt: skip
        _replace(installation, before, told)
        _halfway(installation, trial, "block")
        clock.write_text(f"+{seconds:.0f}\n")
        installation.proxy.let_go()
        time.sleep(5.0)
        clock.write_text(f"-{seconds:.0f}\n")
        return Struck(time.monotonic(), afterwards=lambda: _replace(installation, list(installation.hosts), {}))

    return Fault(f"clocks jump {seconds:g} s ahead and behind", strike)


def _replace(installation: Installation, hosts: list[Host], told: dict[str, str]) -> None:
    for _ in hosts:
        installation.add_host(told)
    for host in hosts:
        installation.hosts.remove(host)
        host.process.stop()
    installation.wait_for_hosts()


def _halfway(installation: Installation, trial: Trial, step: str) -> Arrival:
    """Hand the jobs in and wait until a large one is held in the middle of a step."""
    victim = trial.large[0]
    gate = installation.proxy.gate("PUT", f"/jobs/{victim}/{HALFWAY[step]}")
    installation.hand_in(*trial.jobs)
    return gate.wait()


def _arrival_or_end(installation: Installation, job: str, gate: Gate) -> Arrival | None:
    while installation.store.ended(job) is None:
        if arrival := gate.poll(1.0):
            return arrival
    return None


def _over(installation: Installation, *, passes: bool = False) -> Struck:
    """Open the gates: what is held goes on, or is forgotten, as its client is dead."""
    if passes:
        installation.proxy.let_go()
    else:
        installation.proxy.drop()
    return Struck(time.monotonic())
