"""Back up and restore, as docs/operations/backup.md says: a copy of the storage and the secrets are all it takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import rasterio

from service.client import Client
from service.stack.embedded import EmbeddedStack
from tests.journeys import PROCESS, fetch, stac_inputs

CITYZONES = str(Path(sys.executable).with_name("cityzones"))
TENANT = "northern-city"


def _command(stack: EmbeddedStack, *told: str) -> str:
    done = subprocess.run(
        [CITYZONES, *told], env=stack.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _until(client: Client, job: str, *, state: str, progress: int = 0) -> None:
    limit = time.monotonic() + 180
    while time.monotonic() < limit:
        status = client.status(job)
        if status["status"] == state and status.get("progress", 0) >= progress:
            return
        assert status["status"] not in {"failed", "dismissed"}, status
        time.sleep(0.2)
    pytest.fail(f"{job} was not {state} in time: {client.status(job)}")


@pytest.mark.scale  # two stacks, one after the other
@pytest.mark.timeout(900)
def test_a_copy_of_the_storage_and_the_secrets_bring_everything_back(
    tmp_path: Path, catalogue: str, sample: Path
) -> None:
    overrides = {
        "CITYZONES_AUTH": "keys",
        "CITYZONES_STAC_URL": catalogue,
        "CITYZONES_BLOCK_PIXELS": "240",
        "CITYZONES_LINK_SECRET": "kept outside the storage",
        "CITYZONES_CALLBACK_SECRET": "kept outside the storage, and at least 32 letters",
    }
    body = {"inputs": stac_inputs(sample) | {"outputs": ["map"]}}
    with EmbeddedStack(tmp_path / "first", overrides=overrides) as first:
        key = _command(first, "keys", "create", "--tenant", TENANT, "--scope", "submit")
        revoked = _command(first, "keys", "create", "--tenant", TENANT, "--scope", "submit")
        _command(first, "keys", "revoke", revoked.split("_")[1])
        _command(first, "keys", "limits", TENANT, "--running-jobs", "7")
        with Client(first.url, key) as client:
            finished = client.submit(PROCESS, body)["jobID"]
            _until(client, finished, state="successful")
            link = client.results(finished)["map"]["href"]
            expected = _map(client, finished, tmp_path / "before")
            halfway = client.submit(PROCESS, body)["jobID"]
            _until(client, halfway, state="running", progress=1)
            assert first.worker
            first.worker.stop()
            waiting = client.submit(PROCESS, body)["jobID"]
            assert {client.status(job)["status"] for job in (halfway, waiting)} == {"running", "accepted"}
            shutil.copytree(first.folder / "store", tmp_path / "second" / "store")

    with EmbeddedStack(tmp_path / "second", overrides=overrides) as second, Client(second.url, key) as client:
        assert set(_command(second, "recover", "--all").split()) <= {halfway, waiting}  # the beat may have been first
        for job in (finished, halfway, waiting):
            _until(client, job, state="successful")
            restored = _map(client, job, tmp_path / job)
            assert np.array_equal(_classes(restored), _classes(expected))
        assert (tmp_path / finished / expected.name).read_bytes() == expected.read_bytes()
        old = urlsplit(link)
        assert httpx.get(f"{second.url}{old.path}?{old.query}").content == expected.read_bytes()
        assert [job["jobID"] for job in client.jobs(limit=10)] == [waiting, halfway, finished]
        usage = httpx.get(f"{second.url}/usage", headers={"X-API-Key": key}).json()
        assert usage["limits"]["running_jobs"] == 7
        assert httpx.get(f"{second.url}/jobs", headers={"X-API-Key": revoked}).status_code == 401


def _map(client: Client, job: str, folder: Path) -> Path:
    folder.mkdir()
    return fetch(client, job, folder)["map"]


def _classes(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(1)
