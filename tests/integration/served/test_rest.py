"""The REST interface behind BentoML: statuses, headers and streams pass through, and a stop lets requests end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers.api import EXECUTE, LCZ, Served, write_image


def test_every_part_answers(served: Served) -> None:
    answer = httpx.get(f"{served.url}/readyz", timeout=10)
    assert (answer.status_code, answer.json()["status"]) == (200, "ready"), answer.text


def test_statuses_headers_and_problems_pass_through(served: Served) -> None:
    url = f"{served.url}/processes/{LCZ}/execution"
    answer = httpx.post(url, json=EXECUTE)
    assert answer.status_code == 201
    assert answer.headers["location"].startswith(f"{served.url}/jobs/job_")
    assert answer.headers["preference-applied"] == "respond-async"
    for path, status in (("/nowhere", 404), ("/docs.json", 404), ("/jobs/x", 404), ("/classify", 405)):
        wrong = httpx.get(f"{served.url}{path}")
        assert (wrong.status_code, wrong.headers["content-type"]) == (status, "application/problem+json"), path
    assert httpx.get(f"{served.url}/").json()["title"] == "Cityzones"
    huge = httpx.post(url, content=(b"x" * 2**20 for _ in range(9)), headers={"content-type": "application/json"})
    assert (huge.status_code, huge.json()["code"]) == (413, "body-too-large")


def test_metrics_are_ours_alone(served: Served) -> None:
    httpx.get(f"{served.url}/jobs/job_{'0' * 26}")
    text = httpx.get(f"{served.url}/metrics").text
    assert 'route="/jobs/{job}"' in text
    assert "bentoml_" not in text


def test_a_large_upload_streams_through(served: Served, tmp_path: Path) -> None:
    image = write_image(tmp_path / "large.tif", bands=3, side=(1000, 1000))
    with image.open("rb") as file:
        answer = httpx.post(f"{served.url}/uploads", files={"file": ("large.tif", file)}, timeout=60)
    assert answer.status_code == 201, answer.text
    assert answer.json()["size"] == image.stat().st_size


def test_sigterm_lets_requests_finish(environment: dict[str, str], tiny_first: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    data = write_image(tmp_path / "slow.tif").read_bytes()
    form = (
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="slow.tif"\r\n\r\n' + data + b"\r\n--cut--\r\n"
    )
    halfway = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield form[:100]
        halfway.set()
        time.sleep(2)
        yield form[100:]

    with Served(own, environment, path=tiny_first) as served:
        process = served.process
        assert process
        ending = threading.Thread(target=lambda: (halfway.wait(10), process.stop()))
        ending.start()
        kind = {"content-type": "multipart/form-data; boundary=cut"}
        answer = httpx.post(f"{served.url}/uploads", content=slowly(), headers=kind, timeout=30)
        ending.join()
        assert answer.status_code == 201, answer.text
        assert not process.alive
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{served.url}/livez")
