"""The service as it runs: `bentoml serve`, Celery and Triton live through spoiled files, and through jobs on them."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from hypothesis import strategies as st

from jobs.public.problems import PROBLEMS
from service.stack.embedded import EmbeddedStack
from tests.fuzz import geojson
from tests.fuzz.bait import Bait
from tests.fuzz.conftest import each
from tests.fuzz.disguises import disguises
from tests.fuzz.judge import told_off
from tests.fuzz.references import names_of
from tests.fuzz.tiff_mutations import spoiled_images
from tests.fuzz.tiff_seeds import seed
from tests.fuzz.vector_files import geopackages, geoparquets
from tests.servers.api import LCZ

pytestmark = pytest.mark.scale
FILES = 700
MOST_JOBS = 40
MOST_MIB = 700
PLACES = ("home", "tmp", "scratch")
_DESK = re.compile(r"/scratch/process-[^/]+(/lock)?$")


class Running:
    """The stack, and what must be the same before and after: its processes, and the folders they could write to."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self.stack = stack
        self.client = httpx.Client(base_url=stack.url, timeout=30)
        self.counts: Counter[str] = Counter()

    @property
    def processes(self) -> set[int]:
        """All processes of the service and of both workers."""
        guards = [p.guard_pid for p in (self.stack.service, self.stack.worker, self.stack.interactive) if p]
        return {child.pid for guard in guards for child in psutil.Process(guard).children(recursive=True)}

    @property
    def peaks(self) -> list[int]:
        """The most memory each of them ever held, in MiB."""
        lines = [line for pid in self.processes for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return [int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")]

    @property
    def files(self) -> set[str]:
        """Everything that lies where a library could have left something; scratch copies of live uploads included.

        That a worker's process has taken a desk is nothing left: what lies on it is.
        """
        found = (path for place in PLACES for path in (self.stack.folder / place).rglob("*"))
        return {str(path) for path in found if not _DESK.search(str(path))}

    def send(self, data: bytes) -> dict[str, Any] | None:
        """Send a file to both doors; returns its record where it is taken."""
        start = time.monotonic()
        classified = self.client.post("/classify", files={"image": ("image.tif", data)}, data={"scale": "0.0001"})
        self.counts["classified" if classified.is_success else f"classify: {told_off(classified)}"] += 1
        answer = self.client.post("/uploads", files={"file": ("image.tif", data)})
        self.counts["taken" if answer.is_success else told_off(answer)] += 1
        assert time.monotonic() - start < 15
        return answer.json() if answer.is_success else None

    def job(self, record: dict[str, Any], image: str) -> str:
        """Run a job on a file that was taken; returns how it ended, which is never by a fault of the service."""
        vector = record["kind"] == "vector"
        imagery: dict[str, Any] = {"uploads": [image if vector else record["upload"]]}
        inputs = {"imagery": imagery} | ({"parcels": {"upload": record["upload"]}} if vector else {})
        answer = self.client.post(f"/processes/{LCZ}/execution", json={"inputs": inputs})
        if not answer.is_success:
            return f"job refused: {told_off(answer)}"
        return self.ended(answer.json()["jobID"])

    def ended(self, job: str) -> str:
        limit = time.monotonic() + 60
        while (status := self.client.get(f"/jobs/{job}").json())["status"] not in {"successful", "failed"}:
            assert time.monotonic() < limit, status
            time.sleep(0.05)
        if status["status"] == "successful":
            return "job successful"
        code = status["problem"]["type"].rsplit("/", 1)[-1]
        assert PROBLEMS[code].status < 500, status
        return f"job failed: {code}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("fuzzed")
    for place in PLACES:
        (folder / place).mkdir()
    overrides = {"TMPDIR": str(folder / "tmp"), "HOME": str(folder / "home")}
    with EmbeddedStack(folder, workers=1, overrides=overrides) as stack:
        yield Running(stack)


def _kept(running: Running, data: bytes) -> str:
    record = running.send(data)
    assert record, running.counts
    return str(record["upload"])


def test_the_stack_lives_through_it(running: Running, bait: Bait, capsys: pytest.CaptureFixture[str]) -> None:
    image, taken = _kept(running, seed("described")), list[dict[str, Any]]()
    first = running.client.get(f"/uploads/{image}").json()
    running.counts[running.job(first, image)] += 1  # caches of libraries are filled now
    before, there = running.processes, running.files
    names = names_of(bait.folder, bait.url)
    kinds = (spoiled_images(names), disguises(names), geopackages(names), geoparquets(names), geojson.documents())

    def use(data: bytes) -> None:
        record = running.send(data)
        if record is None:
            return
        if len(taken) < MOST_JOBS and record["facts"].get("count", 10) >= 10:
            taken.append(record)
        else:
            assert running.client.delete(f"/uploads/{record['upload']}").status_code == 204

    each(st.one_of(*kinds), FILES, use)
    for record in taken:
        running.counts[running.job(record, image)] += 1
        assert running.client.delete(f"/uploads/{record['upload']}").status_code == 204
    with capsys.disabled():
        print(f"\n{sorted(running.counts.items())}, memory {running.peaks} MiB")  # noqa: T201 - the figures
    assert running.client.get("/livez").is_success
    assert running.client.get("/readyz").is_success
    assert running.processes == before
    assert max(running.peaks) < MOST_MIB
    assert not bait.taken()
    assert running.files <= there, running.files - there
    assert [path.name for path in (running.stack.folder / "store" / "uploads").iterdir()] == [image]


def test_bodies_end_no_process(running: Running) -> None:
    image, before = _kept(running, seed("described")), running.processes

    def ask(area: Any) -> None:
        text = geojson.dump({"inputs": {"aoi": area, "imagery": {"uploads": [image]}}}).encode("utf-8", "surrogatepass")
        told = {"content-type": "application/json"}
        answer = running.client.post(f"/processes/{LCZ}/estimate", content=text, headers=told)
        if not answer.is_success:
            told_off(answer)

    each(geojson.areas(), FILES, ask)
    assert running.client.get("/livez").is_success
    assert running.processes == before
