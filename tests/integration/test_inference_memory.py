"""Tiles through memory shared with a real Triton: the same bytes as over gRPC, and nothing is left, however it ends."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc

from jobs import inference_memory
from jobs.errors import InferenceUnavailable
from jobs.inference import TritonModels
from jobs.inference_connections import Connections, SharedMemory, is_local
from models.cards import Card, card_of
from models.serving import build_repository
from service.stack.triton import EmbeddedTriton
from tests.servers.tiny_model import BANDS, HALO, TILE, expected_answer, tiny_card, write_tiny_model

SIDE = TILE + 2 * HALO
ROOT = Path(__file__).resolve().parents[2]
PLAIN, FORM = tiny_card("tiny"), tiny_card("tiny_form", morphology=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory")
    write_tiny_model(folder / "cache" / PLAIN.weights.file)
    write_tiny_model(folder / "cache" / FORM.weights.file, morphology=True)
    build_repository(folder / "repository", [PLAIN, FORM, card_of("magnet")], cache=folder / "cache")
    return folder / "repository"


@pytest.fixture(scope="module")
def triton(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    logs = tmp_path_factory.mktemp("logs")
    with EmbeddedTriton(repository, logs=logs, threads=1, supervise_every=0) as server:
        yield server


def client(server: EmbeddedTriton, shared_memory: SharedMemory = "auto", timeout: float = 30) -> TritonModels:
    return TritonModels(server.grpc_url, timeout=timeout, shared_memory=shared_memory)


def scene(seed: int, card: Card = PLAIN) -> list[np.ndarray]:
    side = card.geometry.tile + 2 * card.geometry.halo
    random = np.random.default_rng(seed)
    channels = [len(card.input.bands), *([6] if card.input.morphology else [])]
    return [random.random((n, side, side), np.float32) for n in channels]


def registered(server: EmbeddedTriton) -> list[str]:
    asker = triton_grpc.InferenceServerClient(server.grpc_url)
    try:
        return sorted(asker.get_system_shared_memory_status(client_timeout=5).regions)
    finally:
        asker.close()


def left_in_shm(pid: int | None = None) -> list[str]:
    return [path.name for path in Path("/dev/shm").glob(f"cityzones-client-*-{pid or os.getpid()}-*")]


def test_the_bytes_are_those_of_the_wire(triton: EmbeddedTriton) -> None:
    shared, wire = client(triton), client(triton, "off")
    for card in (PLAIN, FORM, card_of("magnet")):
        # A tile is a view into a larger array where a worker cuts it.
        tile = [np.pad(x, ((0, 0), (3, 2), (1, 4)))[:, 3:-2, 1:-4] for x in scene(1, card)]
        np.testing.assert_array_equal(shared.predict(card, *tile), wire.predict(card, *tile))
    assert len(registered(triton)) == 1
    assert not left_in_shm()
    shared.close()
    wire.close()
    assert not registered(triton)


def test_threads_come_and_go_and_the_regions_stay(triton: EmbeddedTriton) -> None:
    shared = client(triton)
    names: set[str] = set()
    for start in range(0, 24, 8):
        with ThreadPoolExecutor(2) as pool:
            scenes = [scene(seed) for seed in range(start, start + 8)]
            for tile, answer in zip(scenes, pool.map(lambda tile: shared.predict(PLAIN, *tile), scenes), strict=True):
                assert np.abs(answer.astype(int) - expected_answer(tile[0][None])[0]).max() <= 1
        names |= set(registered(triton))
    assert 1 <= len(names) <= 2
    shared.close()
    assert not registered(triton)


def test_a_client_that_nobody_holds_gives_its_memory_back(triton: EmbeddedTriton) -> None:
    shared = client(triton)
    shared.predict(PLAIN, *scene(2))
    assert len(registered(triton)) == 1
    del shared
    gc.collect()
    assert not registered(triton)


def test_a_restarted_server_gets_the_region_again(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    with EmbeddedTriton(repository, models=["tiny"], supervise_every=0.3) as server:
        shared = client(server)
        before = shared.predict(PLAIN, *scene(4))
        (first,) = registered(server)
        assert server.server_pid is not None
        os.kill(server.server_pid, signal.SIGKILL)
        np.testing.assert_array_equal(shared.predict(PLAIN, *scene(4)), before)
        (second,) = registered(server)
        assert first != second
        assert "gRPC" not in caplog.text
        assert not left_in_shm()
        shared.close()


def test_a_server_that_forgot_the_region_gets_another(triton: EmbeddedTriton) -> None:
    shared = client(triton)
    before = shared.predict(PLAIN, *scene(5))
    asker = triton_grpc.InferenceServerClient(triton.grpc_url)
    asker.unregister_system_shared_memory()
    asker.close()
    np.testing.assert_array_equal(shared.predict(PLAIN, *scene(5)), before)
    assert len(registered(triton)) == 1
    shared.close()


@pytest.mark.parametrize("fault", ["no folder", "full", "unreadable"])
def test_without_shared_memory_tiles_go_over_the_wire(
    triton: EmbeddedTriton,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    if fault == "full":

        def full(*told: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
    else:
        # As in another container: the server looks for the name in a folder of its own.
        monkeypatch.setattr(inference_memory, "FOLDER", tmp_path / "missing" if fault == "no folder" else tmp_path)
    shared = client(triton, "on")
    with caplog.at_level(logging.WARNING):
        for seed in range(3):
            answer = shared.predict(PLAIN, *scene(seed))
            assert np.abs(answer.astype(int) - expected_answer(scene(seed)[0][None])[0]).max() <= 1
    assert len([r for r in caplog.records if "no memory shared" in r.message]) == 1
    assert not registered(triton)
    assert not list(tmp_path.iterdir())
    assert not left_in_shm()
    shared.close()


def test_a_late_answer_never_meets_the_next_request(triton: EmbeddedTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.inference._ATTEMPTS", 1)
    magnet = card_of("magnet")
    hasty, patient = client(triton, timeout=0.05), client(triton)
    expected = patient.predict(magnet, *scene(7, magnet))
    for _ in range(3):
        with pytest.raises(InferenceUnavailable):
            hasty.predict(magnet, *scene(8, magnet))
        np.testing.assert_array_equal(patient.predict(magnet, *scene(7, magnet)), expected)
    hasty.close()
    patient.close()
    assert not registered(triton)
    triton.control.probe("magnet")


SCRIPT = """
import os, signal, sys
import numpy as np
from jobs.inference import TritonModels
from tests.servers.tiny_model import BANDS, HALO, TILE, tiny_card
models = TritonModels(sys.argv[1], timeout=30)
models.predict(tiny_card("tiny"), np.zeros((len(BANDS), TILE + 2 * HALO, TILE + 2 * HALO), np.float32))
print("mapped", flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("end", ["ends", "killed"])
def test_a_process_that_ends_leaves_nothing(triton: EmbeddedTriton, end: str) -> None:
    command = [sys.executable, "-c", SCRIPT, triton.grpc_url, end]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    told, errors = process.communicate(timeout=60)
    assert told == "mapped\n", errors
    assert process.returncode == (-signal.SIGKILL if end == "killed" else 0)
    assert not left_in_shm(process.pid)
    # Only the killed one could not tell the server; the next client of this host does.
    assert len(registered(triton)) == (1 if end == "killed" else 0)
    following = client(triton)
    following.predict(PLAIN, *scene(0))
    assert len(registered(triton)) == 1
    following.close()
    assert not registered(triton)


def test_auto_means_this_host_only() -> None:
    told = {"127.0.0.1:8001": True, "localhost:8001": True, "[::1]:8001": True, "unix:/run/triton.sock": True}
    told |= {"triton:8001": False, "10.0.0.7:8001": False, "localhost.example.org:8001": False}
    assert {url: is_local(url) for url in told} == told
    assert not Connections("127.0.0.1:1", "off").sharing.on
    assert Connections("triton:8001", "on").sharing.on


def test_bands_of_another_size_are_refused_before_anything_is_sent(triton: EmbeddedTriton) -> None:
    shared = client(triton)
    with pytest.raises(ValueError, match="tiny is"):
        shared.predict(PLAIN, np.zeros((len(BANDS), SIDE + 1, SIDE), np.float32))
    assert not registered(triton)
