"""The bento: built without a network, it serves the copy it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.images.names import ROOT
from tests.servers.api import Served

MARK = "<!-- of the bento -->"
NOWHERE = "http://127.0.0.1:9"
HELD = {"service", "jobs", "models", "requirements", "pyproject.toml", "README.md", "LICENSE", "bentofile.yaml"}
OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PIP_INDEX_URL", "UV_INDEX_URL"), NOWHERE)


@pytest.mark.scale
def test_a_bento_built_without_a_network_serves_its_own_copy(tmp_path: Path, environment: dict[str, str]) -> None:
    served = Served(tmp_path, environment, what="cityzones:latest")
    told = {**os.environ, **OFFLINE, "BENTOML_HOME": served.environment["BENTOML_HOME"], "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "bentoml", "build"]
    done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (source,) = Path(told["BENTOML_HOME"], "bentos", "cityzones").glob("*/src")
    assert {path.name for path in source.iterdir()} == HELD
    page = source / "service" / "static" / "web" / "index.html"
    page.write_text(page.read_text(encoding="utf-8") + MARK, encoding="utf-8")
    with served:
        assert MARK in httpx.get(served.url, headers={"Accept": "text/html", "Accept-Encoding": "identity"}).text
        assert httpx.get(f"{served.url}/readyz").json()["status"] == "ready"
        processes = httpx.get(f"{served.url}/processes").json()["processes"]
        assert "local-climate-zones" in {process["id"] for process in processes}
