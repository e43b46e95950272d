"""OWSLib's client of OGC API - Processes runs jobs here unchanged, from the list of processes to the finished map.

Of OWSLib 0.35, whose client knows no jobs: they are asked for with the request method of its base class, as its other
methods are. Headers given to one client go with the requests of all later ones too, for they are written into a
dictionary of the module. It finds API definitions of OpenAPI 3.0 alone, so `api()` raises here, where 3.1 is offered.
Unless told `async_=True` it prefers `respond-sync`, which no process here can, and gets a job all the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import owslib.ogcapi
import pytest
from owslib.ogcapi.processes import Processes

from jobs.keys import KeyStore
from jobs.storage import Storage
from service.app import create_app
from service.stack.embedded import EmbeddedStack
from tests.journeys import PROCESS, stac_inputs
from tests.servers.api import EXECUTE, settings_in
from tests.servers.threaded import Threaded


@pytest.fixture(autouse=True)
def own_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the headers of one test's client from those of the next."""
    monkeypatch.setattr(owslib.ogcapi, "REQUEST_HEADERS", dict(owslib.ogcapi.REQUEST_HEADERS))


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A service that asks for keys, and a key."""
    with Threaded() as server:
        settings = settings_in(tmp_path, auth="keys", public_url=server.url)
        key = KeyStore(Storage(settings)).create("agency", ["submit"]).text
        server.serve(create_app(settings))
        yield server.url, key


def follow(client: Processes, job: str) -> dict[str, Any]:
    limit = time.monotonic() + 120
    while True:
        status: dict[str, Any] = client._request(path=f"jobs/{job}")
        if status["status"] not in {"accepted", "running"}:
            return status
        assert time.monotonic() < limit, status
        time.sleep(0.2)


def test_a_script_with_owslib_maps_an_area(stack: EmbeddedStack, sample: Path) -> None:
    client = Processes(stack.url)
    assert any(uri.endswith("/conf/core") for uri in client.conformance()["conformsTo"])
    assert PROCESS in [process["id"] for process in client.processes()]
    assert "map" in client.process(PROCESS)["outputs"]
    created = client.execute(PROCESS, inputs=stac_inputs(sample), outputs={"map": {}}, async_=True)
    assert client.response_headers["Location"].endswith(created["jobID"])
    assert created["jobID"] in [job["jobID"] for job in client._request(path="jobs")["jobs"]]
    status = follow(client, created["jobID"])
    assert status["status"] == "successful", status
    results = client._request(path=f"jobs/{created['jobID']}/results")
    assert set(results) == {"map"}
    image = client._request(path=results["map"]["href"].removeprefix(f"{stack.url}/"), as_dict=False)
    assert len(image) == results["map"]["file:size"]


def test_a_job_is_dismissed_and_its_results_are_gone(stack: EmbeddedStack, sample: Path) -> None:
    client = Processes(stack.url)
    job = client.execute(PROCESS, inputs=stac_inputs(sample))["jobID"]
    assert client._request(method="DELETE", path=f"jobs/{job}")["status"] == "dismissed"
    with pytest.raises(RuntimeError, match="job-dismissed"):
        client._request(path=f"jobs/{job}/results")


def test_a_key_travels_in_the_clients_headers(keyed: tuple[str, str]) -> None:
    url, key = keyed
    client = Processes(url, headers={"Authorization": f"Bearer {key}"})
    job = client.execute(PROCESS, inputs=EXECUTE["inputs"])["jobID"]
    assert [found["jobID"] for found in client._request(path="jobs")["jobs"]] == [job]
    assert httpx.get(f"{url}/jobs/{job}").status_code == 401


def test_refusals_reach_the_script_in_words(stack: EmbeddedStack) -> None:
    client = Processes(stack.url)
    with pytest.raises(RuntimeError, match="did you mean 'model'"):
        client.execute(PROCESS, inputs=EXECUTE["inputs"] | {"modle": "magnet"})
    with pytest.raises(RuntimeError, match="no-such-process"):
        client.process("volcanoes")
    with pytest.raises(RuntimeError, match="service-desc"):
        client.api()
