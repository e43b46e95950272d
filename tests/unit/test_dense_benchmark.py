"""The benchmark's parts: the windows it cuts, what it counts, and its claim that trained weights lose nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from benchmarks.dense.demo import classify  # noqa: E402 - after the check for torch
from benchmarks.dense.engine import Windows, onnxruntime, patches, tiles  # noqa: E402
from benchmarks.dense.graphs import export, inputs, operations, quantise  # noqa: E402
from models.export.graph import load_magnet  # noqa: E402
from models.networks.magnet import Magnet  # noqa: E402
from models.weights import BUNDLED_DIR  # noqa: E402


@pytest.fixture(scope="module")
def network() -> Magnet:
    return load_magnet(BUNDLED_DIR / "magnet.safetensors")


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    spectral, morphology = inputs(7, 152)
    return spectral[0], morphology[0]


def session(graph: Path) -> object:
    return onnxruntime({"graph": str(graph)})


def corners(spectral: np.ndarray, morphology: np.ndarray) -> np.ndarray:
    """A network of the window's first pixel and last."""
    return np.stack([spectral[:, 0, 0, 0], morphology[:, 0, -1, -1]], 1)[:, :, None, None]


def test_windows_are_cut_where_they_should_be() -> None:
    spectral = np.arange(60.0 * 60, dtype=np.float32).reshape(1, 60, 60)
    found = patches(corners, spectral, spectral + 0.5, Windows(batch=4, every=10, count=3))
    expected = [(r * 60 + c, (r + 31) * 60 + c + 31.5) for r in (0, 10, 20) for c in (0, 10, 20)]
    np.testing.assert_array_equal(found, expected)


def test_tiles_are_joined_where_they_belong() -> None:
    spectral = np.random.default_rng(0).random((2, 72, 72), np.float32)
    joined = tiles(lambda s, _: s[:, :, 16:-16, 16:-16], spectral, spectral, tile=52, stride=20)
    np.testing.assert_array_equal(joined, spectral[:, 16:-16, 16:-16])


def test_operations_are_those_counted_by_hand(network: Magnet, tmp_path: Path) -> None:
    early = 2 * 9 * ((10 + 6) * 32 * 30**2 + 2 * 32 * 32 * 28**2)
    late = 2 * 9 * 2 * 64 * 64 * (12**2 + 10**2)
    first = 2 * 2 * (128 * 64 + 64 * 64) * 14**2
    second = 2 * 2 * (256 * 32 + 32 * 128 + 128 * 32 + 32 * 128) * 2**2
    top = 2 * 2 * (64 * 128 + 2 * 128 * 128) * 2**2
    # Heads that only training looks at are not in the graph.
    heads = 2 * ((2 * 128 + 16) * 32 + 32 * 16 + 128 * 17)
    graph = export(network, "grid", 3, 32, tmp_path / "patch.onnx")
    assert operations(graph) == 3 * (early + late + first + second + top + heads)


def test_trained_weights_answer_the_same_dense_and_patch_by_patch(
    network: Magnet, scene: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    demo = classify(network, *scene, count=13)
    grid = session(export(network, "grid", 1, 152, tmp_path / "grid.onnx"))
    batched = session(export(network, "grid", 13, 32, tmp_path / "patch.onnx"))
    dense = tiles(grid, *scene, tile=152, stride=130).reshape(17, -1).T
    cut = patches(batched, *scene, Windows(batch=13, every=10, count=13))
    assert np.abs(dense - demo).max() <= 1e-5
    assert np.abs(cut - demo).max() <= 1e-5
    assert (dense.argmax(1) == demo.argmax(1)).all()
    assert len(np.unique(demo.argmax(1))) > 1


def test_int8_agrees_with_f32_on_trained_weights(
    network: Magnet, scene: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    plain = export(network, "grid", 1, 152, tmp_path / "grid.onnx")
    small = quantise(plain, tmp_path / "int8.onnx", 152)
    f32, int8 = (tiles(session(graph), *scene, tile=152, stride=130) for graph in (plain, small))
    assert (f32.argmax(0) == int8.argmax(0)).mean() >= 0.98
    assert 0 < np.abs(f32 - int8).max() < 0.3
