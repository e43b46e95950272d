"""S3 servers that can be killed and come back with what they held."""

from __future__ import annotations

from pathlib import Path

from service.stack.process import GuardedProcess
from tests.faults.rig.processes import kill_server
from tests.servers.ceph import START_TIMEOUT, CephServer, missing_programs
from tests.servers.swift import SwiftServer


class MortalSwift(SwiftServer):
    """All of Swift dies; its objects are on disk."""

    def kill(self) -> None:
        """Kill its one process."""
        assert self._process is not None
        kill_server(self._process)

    def revive(self) -> None:
        """Start it again; it gets another port."""
        self.start()


class MortalCeph(CephServer):
    """The gateway dies; the OSD behind it lives, as its objects are in memory. It answers five times as fast."""

    def kill(self) -> None:
        """Kill the gateway."""
        kill_server(self._running.pop())

    def revive(self) -> None:
        """Start a gateway at the same port."""
        self._gateway().wait_until(self._answers, timeout=START_TIMEOUT)

    def _gateway(self) -> GuardedProcess:
        return self._serve("radosgw", "-n", "client.admin")


STORES = {"swift": MortalSwift, "ceph": MortalCeph}


def make_store(kind: str, folder: Path) -> MortalSwift | MortalCeph:
    """Return a server of a kind, not started."""
    return STORES[kind](folder)


def quickest_store() -> str:
    """Return the kind that answers quickest of those that are installed."""
    return "swift" if missing_programs() else "ceph"
