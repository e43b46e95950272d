"""The probe of model servers and the server of the Triton image, against real ones that are killed in part."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from typer.testing import CliRunner

from jobs.probing import probe
from models.serving import build_repository
from service.cli import app
from service.stack.process import free_port
from service.stack.triton import EmbeddedTriton
from tests.servers.tiny_model import tiny_card, write_tiny_model

pytestmark = pytest.mark.scale  # seconds of waiting for servers that come and go

ROOT = Path(__file__).resolve().parents[2]
_SERVE = """
import logging, sys
from pathlib import Path
from service.stack.triton import Listening
from service.stack.triton_server import check, serve
told = Listening("127.0.0.1", *map(int, sys.argv[3:]))
models = ["tiny"]
sys.exit(serve(Path(sys.argv[2]), models, listening=told) if sys.argv[1] == "serve" else check(models, listening=told))
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder / "cache" / "tiny.onnx")
    # As a GPU's: the server of the image takes its own overlay, whichever is the repository's default.
    build_repository(folder / "repository", [tiny_card("tiny")], cache=folder / "cache", accelerator="gpu")
    return folder / "repository"


def eventually(said: Callable[[], bool], seconds: float = 30.0) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        with suppress(httpx.TransportError):
            if said():
                return True
        time.sleep(0.1)
    return False


def status(url: str) -> int:
    return httpx.get(url, timeout=5, trust_env=False).status_code


def test_a_dead_model_is_found_while_the_server_calls_it_ready(repository: Path, tmp_path: Path) -> None:
    with EmbeddedTriton(repository, logs=tmp_path, supervise_every=0) as triton:
        (answer,) = probe(triton.grpc_url, ["tiny"], timeout=10)
        assert answer.answered
        (absent,) = probe(triton.grpc_url, ["nothing"], timeout=10)
        assert (absent.answered, absent.absent) == (False, True)
        for pid in triton.stubs("tiny"):
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not triton.stubs("tiny"))
        assert triton.control.ready("tiny")
        (answer,) = probe(triton.grpc_url, ["tiny"], timeout=10)
        assert (answer.answered, answer.absent) == (False, False)
    (answer,) = probe(triton.grpc_url, ["tiny"], timeout=2)
    assert not answer.answered


def test_the_command_says_what_answers_and_exits_accordingly(repository: Path, tmp_path: Path) -> None:
    with EmbeddedTriton(repository, logs=tmp_path, supervise_every=0) as triton:
        at = ["models", "probe", "--url", triton.grpc_url]
        done = CliRunner().invoke(app, [*at, "--repository", str(repository)])
        assert done.exit_code == 0
        (told,) = json.loads(done.stdout.splitlines()[-1])["models"]
        assert (told["model"], told["ok"], told["detail"]) == ("tiny", True, None)
        # The cards know no "tiny": without the folder, nothing that is served answers.
        assert CliRunner().invoke(app, at).exit_code == 1
        (tmp_path / "more" / "lacking").mkdir(parents=True)
        (tmp_path / "more" / "lacking" / "config.pbtxt").touch()
        done = CliRunner().invoke(app, [*at, "--repository", str(tmp_path / "more")])
        assert done.exit_code == 1
        assert "not found" in json.loads(done.stdout.splitlines()[-1])["models"][0]["detail"]


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_the_sidecar_follows_the_models_of_its_server(repository: Path, tmp_path: Path) -> None:
    port = free_port()
    words = ("models", "probe", "--repository", str(repository), "--every", "1", "--timeout", "2")
    with EmbeddedTriton(repository, logs=tmp_path, supervise_every=0) as triton:
        code = ("-c", "from service.cli import app; app()", *words)
        with running(*code, "--url", triton.grpc_url, "--serve", str(port)):
            ready, live = (f"http://127.0.0.1:{port}/{name}" for name in ("ready", "live"))
            assert eventually(lambda: status(ready) == 200)
            assert status(live) == 200
            assert status(f"http://127.0.0.1:{port}/") == 404
            for pid in triton.stubs("tiny"):
                os.kill(pid, signal.SIGKILL)
            assert eventually(lambda: status(ready) == 503)
            (told,) = httpx.get(ready, trust_env=False).json()["models"]
            assert (told["model"], told["ok"]) == ("tiny", False)
            assert status(live) == 200
            triton.reload("tiny")
            assert eventually(lambda: status(ready) == 200)


def test_the_image_s_server_heals_its_models_and_leaves_nothing_at_sigterm(repository: Path) -> None:
    ports = [str(free_port()) for _ in range(3)]
    before = set(Path("/dev/shm").glob("cityzones-*"))
    with running("-c", _SERVE, "serve", str(repository), *ports) as server:
        asking = [sys.executable, "-c", _SERVE, "check", str(repository), *ports]

        def answers() -> bool:
            return subprocess.run(asking, cwd=ROOT, check=False, capture_output=True).returncode == 0

        assert eventually(answers)
        family = psutil.Process(server.pid).children(recursive=True)
        (stub,) = [p for p in family if "triton_python_backend_stub" in p.name() or "stub" in " ".join(p.cmdline()[:1])]
        stub.kill()
        assert not answers()
        assert eventually(answers)
        family = psutil.Process(server.pid).children(recursive=True)
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
        assert not psutil.wait_procs(family, timeout=5)[1]
        assert set(Path("/dev/shm").glob("cityzones-*")) <= before
        assert "successfully loaded 'tiny'" in server.communicate()[0]


def test_the_image_s_server_says_that_its_repository_is_empty(tmp_path: Path) -> None:
    words = ["-m", "service.stack.triton_server", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"fetch-repository {tmp_path}" in done.stderr


@pytest.mark.scale
def test_the_image_s_server_ends_when_its_server_cannot_be_kept_up(repository: Path) -> None:
    ports = [str(free_port()) for _ in range(3)]
    with running("-c", _SERVE, "serve", str(repository), *ports) as server:
        asking = [sys.executable, "-c", _SERVE, "check", str(repository), *ports]
        assert eventually(lambda: not subprocess.run(asking, cwd=ROOT, check=False, capture_output=True).returncode)
        killed: set[int] = set()
        limit = time.monotonic() + 120
        while server.poll() is None and time.monotonic() < limit:
            for process in psutil.Process(server.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if process.name() == "tritonserver" and process.pid not in killed:
                        process.kill()
                        killed.add(process.pid)
            time.sleep(0.5)
        assert server.wait(10) == 1
        assert len(killed) >= 6
