"""Machine code that the worker's image holds: a job compiles nothing more, and a container begins with a copy of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.client import Client
from service.stack.embedded import EmbeddedStack

ROOT = Path(__file__).parents[2]
START = ROOT / "docker" / "start.sh"


def start(cache: Path, *command: str, **told: str) -> str:
    """Run a program as the worker's image does, and return what it prints."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)} | told
    done = subprocess.run(
        [START, *command], check=False, env=environment, capture_output=True, text=True, timeout=500, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_container_begins_with_the_code_of_its_image(tmp_path: Path) -> None:
    kept, cache = tmp_path / "kernels", tmp_path / "numba"
    (kept / "models").mkdir(parents=True)
    (kept / "models" / "morphology.nbi").write_text("index")
    told = start(
        cache, sys.executable, "-c", "import os; print(os.environ['NUMBA_CPU_NAME'])", NUMBA_CACHE_SOURCE=str(kept)
    )
    assert told.strip() in {"x86-64-v3", "generic"}
    (cache / "models" / "morphology.nbi").write_text("a later index")
    start(cache, "true", NUMBA_CACHE_SOURCE=str(kept))
    assert (cache / "models" / "morphology.nbi").read_text() == "a later index", "what has grown is kept"
    assert start(tmp_path / "none", "echo", "works", NUMBA_CACHE_SOURCE=str(tmp_path / "absent")) == "works\n"


@pytest.mark.scale
def test_no_job_compiles_what_the_image_holds_compiled(tmp_path: Path, sample: Path) -> None:
    cache = tmp_path / "numba"
    start(cache, sys.executable, "-m", "worker.kernels")
    compiled = {path.relative_to(cache) for path in cache.rglob("*.nbc")}
    assert any(path.name.startswith("morphology") for path in compiled)
    told = json.loads(start(cache, sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"))
    overrides = {name: value for name, value in told.items() if name.startswith("NUMBA_")}
    with EmbeddedStack(tmp_path / "stack", overrides=overrides) as stack, Client(stack.url) as client:
        inputs = {
            "aoi": json.loads((sample / "aoi.geojson").read_text(encoding="utf-8")),
            "imagery": {"uploads": [client.upload(sample / "imagery.tif")["upload"]]},
            "parcels": {"upload": client.upload(sample / "parcels.gpkg")["upload"], "id_field": "parcel_id"},
            "buildings": {"upload": client.upload(sample / "buildings.gpkg")["upload"], "height_field": "height"},
        }
        for units in ("parcel", "scene", "pixel"):
            job = client.submit("local-climate-zones", {"inputs": inputs | {"units": units}})["jobID"]
            assert list(client.watch(job))[-1]["status"] == "successful"
    assert {path.relative_to(cache) for path in cache.rglob("*.nbc")} == compiled
