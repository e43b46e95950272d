"""The interface as tests run it: in this process or as `bentoml serve`, with settings and jobs of a test's own."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
import rasterio
from rasterio.transform import from_origin

from jobs.live import LiveJobs, connect
from jobs.record import PUBLIC, OutputFile, ResultRecord, Warned, now
from jobs.request import parse_execute
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.store import JobStore
from service.app import create_app
from service.examples import EXECUTE_EXAMPLES
from service.stack.process import GuardedProcess, free_port

ROOT = Path(__file__).resolve().parents[2]
LCZ = "local-climate-zones"
EXECUTE = EXECUTE_EXAMPLES["stac"]["value"]
HERE = "http://127.0.0.1"
# No keys are asked on loopback, and nothing is counted: tests of access tell otherwise.
UNGUARDED: dict[str, object] = {"auth": "open", "requests_per_minute": 0, "running_jobs": 0}
NOWHERE = "redis+socket:///nowhere/s?virtual_host=0"


def settings_in(folder: Path, **told: object) -> Settings:
    """Return settings whose storage is a folder and whose servers, unless told, are nowhere."""
    chosen = {
        "storage_url": f"file://{folder}/store",
        "scratch": folder / "scratch",
        "link_secret": "a secret of the tests",
        "broker_url": NOWHERE,
        "live_url": "unix:///nowhere/s?db=1",
        "triton_url": "127.0.0.1:9",
        "public_url": HERE,
        **UNGUARDED,
    }
    return Settings.model_validate(chosen | told)


def store_of(settings: Settings) -> JobStore:
    """Return the job store behind a service's back, as a worker has it."""
    return JobStore(Storage(settings), LiveJobs(connect(settings.live_url)))


def new_job(store: JobStore, tenant: str = PUBLIC) -> str:
    """Create a job; ids sort by the millisecond, and tests tell the jobs apart by their order."""
    time.sleep(0.002)
    return store.create(LCZ, parse_execute(EXECUTE), tenant=tenant).job


def finish(store: JobStore, job: str, files: dict[str, tuple[str, str, bytes]]) -> None:
    """End a job with outputs: name -> (file name, media type, bytes)."""
    outputs = {}
    for name, (filename, media_type, data) in files.items():
        key = f"jobs/{job}/outputs/{filename}"
        store.storage.put(key, data)
        outputs[name] = OutputFile(
            key=key, media_type=media_type, title=name, size=len(data), filename=filename,
            sha256=hashlib.sha256(data).hexdigest(),
        )  # fmt: skip
    warned = (Warned(code="few-scenes", detail="only two scenes are clear"),)
    assert store.finish(ResultRecord(job=job, finished=now(), outputs=outputs, warnings=warned))


def write_image(path: Path, *, bands: int = 2, side: tuple[int, int] = (60, 50), **told: object) -> Path:
    """Write a small GeoTIFF of reflectance in UTM."""
    profile = {"dtype": "float32", "crs": "EPSG:32633", "transform": from_origin(390_000, 5_820_000, 10, 10)} | told
    values = np.random.default_rng(5).random((bands, *side)).astype(profile["dtype"])
    with rasterio.open(path, "w", driver="GTiff", count=bands, height=side[0], width=side[1], **profile) as out:
        out.write(values)
    return path


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is the problem with this status and code, and return its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert body["code"] == code, body
    assert body["status"] == status, body
    assert body["instance"].startswith("/"), body
    return body


class Api:
    """The application in this process, asked one request at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = create_app(settings)
        self.store = store_of(settings)

    def ask(self, method: str, path: str, **told: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=HERE, timeout=60) as client:
                return await client.request(method, path, **told)

        return asyncio.run(run())

    def get(self, path: str, **told: Any) -> httpx.Response:
        return self.ask("GET", path, **told)

    def execute(self, body: Any = EXECUTE, process: str = LCZ) -> httpx.Response:
        return self.ask("POST", f"/processes/{process}/execution", json=body)

    def upload(self, path: Path) -> httpx.Response:
        return self.ask("POST", "/uploads", files={"file": (path.name, path.read_bytes())})


class Served:
    """`bentoml serve` of the service with these settings: `with Served(settings, folder) as served: served.url`."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        *,
        path: Path | None = None,
        what: str = "service.service:Cityzones",
    ) -> None:
        """Prepare a server of `what`; `path` goes before everything else a Python process imports from."""
        self.what = what
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "service.log"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("CITYZONES_")} | {
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(folder / "bentoml"),
            "OTEL_SDK_DISABLED": "true",
            "PYTHONPATH": os.pathsep.join([*([str(path)] if path else []), str(ROOT)]),
            "CITYZONES_STORAGE_URL": f"file://{folder}/store",
            "CITYZONES_SCRATCH": str(folder / "scratch"),
            "CITYZONES_PUBLIC_URL": self.url,
            "CITYZONES_LINK_SECRET": "a secret of the tests",
            **{f"CITYZONES_{name.upper()}": str(value) for name, value in UNGUARDED.items()},
            **environment,
        }
        self.process: GuardedProcess | None = None

    @property
    def settings(self) -> Settings:
        """The settings the server runs with."""
        return Settings.of_environment(self.environment)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bentoml", "serve", self.what]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        self.process = GuardedProcess("service", command, log=self.log, environment=self.environment, grace=20.0)
        self.process.wait_until(self._lives, timeout=60.0)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            self.process.stop()

    def _lives(self) -> bool:
        try:
            return httpx.get(f"{self.url}/livez", timeout=2.0).is_success
        except httpx.HTTPError:
            return False
