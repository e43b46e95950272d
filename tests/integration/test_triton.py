"""The embedded Triton, for real: answers, precision, errors, and what is left after each way to die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from models.cards import cards
from models.serving import build_repository
from models.weights import weights_path
from service.stack.triton import EmbeddedTriton
from service.stack.triton_control import ModelFailed
from service.stack.triton_environment import TritonMissing
from tests.servers.tiny_model import BANDS, CLASSES, HALO, TILE, expected_answer, tiny_card, write_tiny_model

SIDE = TILE + 2 * HALO
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triton")
    both = [tiny_card("tiny"), tiny_card("tiny_bf16", precision="bf16")]
    for card in both:
        write_tiny_model(folder / "cache" / card.weights.file)
    assert build_repository(folder / "repository", both, cache=folder / "cache") == ["tiny", "tiny_bf16"]
    return folder / "repository"


@pytest.fixture(scope="module")
def triton(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    with EmbeddedTriton(repository, logs=tmp_path_factory.mktemp("logs"), supervise_every=0) as server:
        yield server


def infer(server: EmbeddedTriton, array: np.ndarray, model: str = "tiny") -> np.ndarray:
    client = triton_grpc.InferenceServerClient(server.grpc_url)
    try:
        told = triton_grpc.InferInput("spectral", array.shape, "FP32")
        told.set_data_from_numpy(array)
        answer = client.infer(model, [told], client_timeout=30).as_numpy("probabilities")
    finally:
        client.close()
    assert answer is not None
    return answer


def scene(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1, len(BANDS), SIDE, SIDE), np.float32)


def eventually(said: Callable[[], bool], seconds: float = 20.0) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if said():
            return True
        time.sleep(0.1)
    return said()


def regions(prefix: str) -> list[Path]:
    return list(Path("/dev/shm").glob(f"{prefix}*"))


def test_answers_are_those_of_the_graph(triton: EmbeddedTriton) -> None:
    for seed in range(3):
        answer = infer(triton, scene(seed))
        assert answer.shape == (1, CLASSES, 4, 4)
        assert answer.dtype == np.uint8
        assert np.abs(answer.astype(int) - expected_answer(scene(seed))).max() <= 1


def test_precision_is_the_one_named(triton: EmbeddedTriton) -> None:
    assert infer(triton, scene(), "tiny_bf16").shape == (1, CLASSES, 4, 4)
    assert triton.log.read_text().count("asked for f32, runs f32") >= 1
    assert "asked for bf16, runs " in triton.log.read_text()


def test_a_request_of_another_shape_is_refused_and_the_next_one_answered(triton: EmbeddedTriton) -> None:
    with pytest.raises(InferenceServerException, match="unexpected shape"):
        infer(triton, np.zeros((1, len(BANDS), SIDE, SIDE + 1), np.float32))
    assert infer(triton, scene()).any()


def test_only_the_holder_of_the_key_controls_models(triton: EmbeddedTriton) -> None:
    client = triton_grpc.InferenceServerClient(triton.grpc_url)
    with pytest.raises(InferenceServerException, match="restricted"):
        client.unload_model("tiny")
    client.close()
    triton.control.probe("tiny")


def test_a_model_can_be_unloaded_and_loaded(triton: EmbeddedTriton) -> None:
    triton.control.unload("tiny_bf16")
    assert eventually(lambda: not triton.stubs("tiny_bf16"))
    with pytest.raises(ModelFailed):
        triton.control.probe("tiny_bf16")
    triton.reload("tiny_bf16")
    assert len(triton.stubs("tiny_bf16")) == 1


def test_a_dead_stub_is_noticed_and_brought_back(triton: EmbeddedTriton) -> None:
    os.kill(triton.stubs("tiny")[0], signal.SIGKILL)
    assert eventually(lambda: not triton.stubs("tiny"))
    assert triton.control.live()
    with pytest.raises(ModelFailed, match="not healthy"):
        triton.control.probe("tiny")
    assert triton.heal() == ["model tiny loaded again"]
    assert np.abs(infer(triton, scene()).astype(int) - expected_answer(scene())).max() <= 1
    assert triton.heal() == []


def test_a_model_that_cannot_load_says_why(repository: Path, triton: EmbeddedTriton) -> None:
    broken = repository / "broken"
    (broken / "1").mkdir(parents=True)
    (broken / "1" / "model.py").write_bytes((repository / "tiny" / "1" / "model.py").read_bytes())
    (broken / "1" / "model.onnx").write_bytes(b"no graph at all")
    config = (repository / "tiny" / "config.pbtxt").read_text()
    (broken / "config.pbtxt").write_text(config.replace('name: "tiny"', 'name: "broken"'))
    with pytest.raises(ModelFailed, match=r"model\.onnx"):
        triton.reload("broken")
    (broken / "config.pbtxt").write_text(
        config.replace('name: "tiny"', 'name: "broken"').replace('"f32"', '"f8"'),
    )
    with pytest.raises(ModelFailed, match="'precision' is 'f8'"):
        triton.reload("broken")
    triton.control.probe("tiny")


def test_supervision_restarts_a_killed_server_on_the_same_port(repository: Path, tmp_path: Path) -> None:
    with EmbeddedTriton(repository, logs=tmp_path, models=["tiny"], supervise_every=0.3) as server:
        before, url = server.server_pid, server.grpc_url
        assert before is not None
        os.kill(before, signal.SIGKILL)
        assert eventually(lambda: server.server_pid not in {None, before} and bool(server.stubs("tiny")))
        assert eventually(lambda: server.control.ready("tiny"))
        assert server.grpc_url == url
        assert infer(server, scene()).shape == (1, CLASSES, 4, 4)


def test_a_stop_leaves_nothing(repository: Path) -> None:
    server = EmbeddedTriton(repository, models=["tiny"])
    server.start()
    pids = [server.server_pid, *server.stubs("tiny")]
    assert len(regions(server._prefix)) == 1
    server.stop()
    server.stop()
    assert not regions(server._prefix)
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)


SCRIPT = """
import sys, time
from pathlib import Path
from service.stack.triton import EmbeddedTriton
server = EmbeddedTriton(Path(sys.argv[1]), models=["tiny"], supervise_every=0)
server.start()
print(server._prefix, server._process.guard_pid, server.server_pid, *server.stubs("tiny"), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["launcher", "guard", "launcher by SIGTERM"])
def test_a_killed_launcher_leaves_nothing(repository: Path, tmp_path: Path, victim: str) -> None:
    variables = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(repository)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=variables
    ) as launcher:
        assert launcher.stdout is not None
        prefix, *words = launcher.stdout.readline().split()
        pids = [int(word) for word in words]
        assert len(pids) == 3
        assert len(regions(prefix)) == 1
        os.kill(pids[0] if victim == "guard" else launcher.pid, signal.SIGTERM if "TERM" in victim else signal.SIGKILL)
        try:
            assert eventually(lambda: not any(_runs(pid) for pid in pids))
            assert eventually(lambda: not regions(prefix), 5.0)
            assert victim == "guard" or not list(tmp_path.iterdir())
        finally:
            launcher.kill()


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_missing_environment_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(TritonMissing, match="`make` makes it"):
        EmbeddedTriton(tmp_path, environment=tmp_path).start()


def test_the_models_at_hand_answer(repository: Path, tmp_path: Path) -> None:
    names = build_repository(tmp_path / "all", cards().values())
    assert {"magnet", "magnet-rgb"} <= set(names), "their weights are bundled"
    at_hand = [card for card in cards().values() if weights_path(card) is not None]
    assert len(names) == len(at_hand) + sum(card.scene_graph is not None for card in at_hand)
    with EmbeddedTriton(tmp_path / "all", supervise_every=0) as server:
        assert sorted(server.models) == sorted(names)
        for name in names:
            server.control.probe(name)
