"""Starts a real Ceph cluster with its S3 gateway for tests: one monitor, one OSD in memory, one gateway, in about 2 s.

Needs the Debian packages of PACKAGES. Found on the way:

- The gateway insists on cephx, so one keyring holds the keys of all; no manager daemon is needed.
- The monitor gathers changes for a second by default, and creating a user changes ten things; it need not wait here.
- The gateway must stand on RADOS: its own file store (dbstore) returns wrong bytes for multipart objects.
- Objects end with the server, as the OSD keeps them in memory.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import httpx

from service.stack.process import GuardedProcess, free_port
from tests.servers.s3 import S3Server

PACKAGES = ("ceph-mon", "ceph-osd", "radosgw", "ceph-common")
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph-authtool", "ceph")
START_TIMEOUT = 60.0
CAPS = {
    "mon.": ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *"),
    "osd.0": ("mon", "allow profile osd", "osd", "allow *"),
}
CONFIGURATION = """
[global]
fsid = {fsid}
mon host = {monitor}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {folder}/keyring
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/run
run dir = {folder}/run
crash dir = {folder}/run
admin socket =
pid file =
log file =
log to stderr = true
mon cluster log file = /dev/null
debug rocksdb = 0
debug rgw = 0
debug ms = 0
mon data avail warn = 1
mon data avail crit = 1
mon allow pool size one = true
paxos propose interval = 0.02
paxos min wait = 0.01
osd objectstore = memstore
memstore device bytes = 4294967296
osd memory target = 939524096
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw thread pool size = 32
rgw enable apis = s3, admin
"""


def missing_programs() -> list[str]:
    """Return the programs of Ceph that are not installed."""
    return [program for program in PROGRAMS if not shutil.which(program)]


class CephServer(S3Server):
    """A cluster whose objects end with it; everything listens on loopback, every process ends with this one."""

    def __init__(self, folder: Path) -> None:
        """Prepare a cluster that keeps its configuration, keys and logs in a folder of its own."""
        super().__init__(folder)
        self._port = free_port()
        self._running: list[GuardedProcess] = []

    @property
    def endpoint(self) -> str:
        """`http://host:port`; buckets are its first path segment."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Make a cluster and wait until its gateway answers."""
        monitor, fsid, osd = f"[v2:127.0.0.1:{free_port()}/0]", str(uuid4()), str(uuid4())
        for name in ("mon", "osd", "run"):
            (self.folder / name).mkdir(parents=True)
        told = CONFIGURATION.format(fsid=fsid, monitor=monitor, folder=self.folder, port=self._port)
        (self.folder / "ceph.conf").write_text(told)
        self._write_keys()
        self._run("monmaptool", "--create", "--addv", "a", monitor, "--fsid", fsid, str(self.folder / "monmap"))
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(self.folder / "monmap"))
        self._serve("ceph-mon", "-i", "a")
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd)
        self._serve("ceph-osd", "-i", "0")
        self._run(
            *("radosgw-admin", "user", "create", "--uid", "tests", "--display-name", "tests"),
            *("--access-key", self.access_key, "--secret-key", self.secret_key),
        )
        self._serve("radosgw", "-n", "client.admin").wait_until(self._answers, timeout=START_TIMEOUT)

    def stop(self) -> None:
        """End the gateway, the OSD and the monitor, in this order."""
        while self._running:
            self._running.pop().stop()

    def _write_keys(self) -> None:
        keyring = str(self.folder / "keyring")
        self._run("ceph-authtool", "--create-keyring", keyring)
        for name, caps in CAPS.items():
            pairs = zip(caps[::2], caps[1::2], strict=True)
            told = [word for pair in pairs for word in ("--cap", *pair)]
            self._run("ceph-authtool", keyring, "-n", name, "--gen-key", *told)

    def _command(self, program: str, *words: str) -> list[str]:
        return [program, "-c", str(self.folder / "ceph.conf"), *words]

    def _run(self, program: str, *words: str) -> None:
        command = self._command(program, *words)
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT, check=False)
        if done.returncode:
            msg = f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}"
            raise RuntimeError(msg)

    def _serve(self, program: str, *words: str) -> GuardedProcess:
        command = self._command(program, "-f", *words)
        process = GuardedProcess(program, command, log=self.folder / f"{program}.log", grace=3.0)
        self._running.append(process)
        return process

    def _answers(self) -> bool:
        try:
            return httpx.get(self.endpoint, timeout=2.0, trust_env=False).is_success
        except httpx.TransportError:
            return False
