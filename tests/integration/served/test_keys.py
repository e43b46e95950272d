"""Keys from the command line to a running service: BentoML's endpoint asks for one too, and no log holds any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from jobs.keys import KeyStore, Scope
from jobs.storage import Storage
from jobs.tenants import TenantStore
from tests.servers.api import Served, problem, write_image
from tests.servers.tiny_model import BANDS, STEP


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], tiny_first: Path
) -> Iterator[Served]:
    told = environment | {"CITYZONES_AUTH": "keys", "CITYZONES_KEY_CACHE_SECONDS": "0.5"}
    told |= {"CITYZONES_ACCESS_LOG": "true"}
    with Served(tmp_path_factory.mktemp("guarded"), told, path=tiny_first) as served:
        yield served


def cityzones(served: Served, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    told = {k: v for k, v in os.environ.items() if not k.startswith("CITYZONES_")} | environment
    told |= {"CITYZONES_STORAGE_URL": served.settings.storage_url, "COLUMNS": "200"}
    command = [str(Path(sys.executable).with_name("cityzones")), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=told)


def stores(served: Served) -> tuple[KeyStore, TenantStore]:
    storage = Storage(served.settings)
    return KeyStore(storage), TenantStore(storage, served.settings)


def create(served: Served, scope: Scope) -> str:
    return stores(served)[0].create("acme", [scope]).text


def test_keys_open_the_service_and_end_when_revoked(guarded: Served) -> None:
    done = cityzones(guarded, "keys", "create", "--tenant", "acme", "--scope", "read", "--days", "9", "--json")
    made = json.loads(done.stdout)
    listed = cityzones(guarded, "jobs", "--url", guarded.url, "--json", CITYZONES_API_KEY=made["key"])
    assert json.loads(listed.stdout) == {"jobs": []}
    rotated = cityzones(guarded, "keys", "rotate", made["id"], "--grace-hours", "0")
    revoked = cityzones(guarded, "keys", "revoke", rotated.stdout.split("_")[1])
    assert (rotated.returncode, revoked.returncode) == (0, 0), rotated.stderr + revoked.stderr
    time.sleep(0.6)
    for key in (made["key"], rotated.stdout.strip()):
        answer = httpx.get(f"{guarded.url}/jobs", headers={"X-API-Key": key})
        problem(answer, 401, "unauthorized")
    shown = cityzones(guarded, "keys", "list", "--json")
    states = {key["id"]: "revoked" in key for key in json.loads(shown.stdout)["keys"]}
    assert states == {made["id"]: False, rotated.stdout.split("_")[1]: True}
    assert made["key"].split("_", 2)[2] not in shown.stdout + listed.stdout + listed.stderr


def test_bentomls_endpoint_asks_for_a_key_that_may_submit(guarded: Served, tmp_path: Path) -> None:
    image = write_image(tmp_path / "tile.tif", bands=len(BANDS), side=(2 * STEP, 2 * STEP)).read_bytes()
    reader, submitter = create(guarded, "read"), create(guarded, "submit")

    def classify(**headers: str) -> httpx.Response:
        url, data = f"{guarded.url}/classify", {"model": "tiny"}
        return httpx.post(url, files={"image": ("tile.tif", image)}, data=data, headers=headers, timeout=60)

    answer = classify()
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    problem(classify(Authorization=f"Bearer {reader}"), 403, "forbidden")
    answer = classify(Authorization=f"Bearer {submitter}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/tiff"), answer.text
    assert httpx.get(f"{guarded.url}/schema.json").status_code == 200


def test_limits_set_by_the_operator_hold_within_seconds(guarded: Served) -> None:
    made = create(guarded, "read")
    headers = {"Authorization": f"Bearer {made}"}
    stores(guarded)[1].change("acme", {"requests_per_minute": 2})
    time.sleep(0.6)
    answers = [httpx.get(f"{guarded.url}/jobs", headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit"] == '"default";r=1;t=30'
    stores(guarded)[1].change("acme", {"requests_per_minute": 0})


def test_no_log_of_the_service_holds_a_key(guarded: Served) -> None:
    made = create(guarded, "admin")
    own = {"Authorization": f"Bearer {made}"}
    httpx.get(f"{guarded.url}/jobs", headers={"X-API-Key": made})
    httpx.get(f"{guarded.url}/jobs", params={"key": made})
    httpx.post(f"{guarded.url}/keys", content=made, headers=own)
    httpx.delete(f"{guarded.url}/keys/{made}", headers=own)
    log = guarded.log.read_text()
    assert "key-in-url" in log
    assert f"cz_{made.split('_')[1]}_…" in log
    assert made.split("_", 2)[2] not in log
