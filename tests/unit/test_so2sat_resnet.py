"""The published ResNet20: parameters, weight import, and answers against a forward pass written in NumPy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import rasterio
import torch
from numpy.lib.stride_tricks import sliding_window_view

from models.cards import Geometry, card_of
from models.data.so2sat.bands import sentinel1_features, standardise
from models.errors import WeightsUnavailable
from models.networks.keras_weights import count_parameters
from models.networks.so2sat_export import DenseTile, export_so2sat, write_onnx
from models.networks.so2sat_resnet import (
    PARAMETERS,
    S1_PARAMETERS,
    So2SatResNet,
    load_keras_weights,
    load_sentinel1,
)
from models.onnx_signature import read_signature
from models.serving import check_contract
from tests.servers.keras_file import keras_arrays, read_keras_file, write_keras_file
from tests.servers.so2sat_file import patches as radar

LABELS = [*(str(code) for code in range(1, 11)), *"ABCDEFG"]
CARD = card_of("so2sat-resnet20")
Arrays = dict[str, dict[str, np.ndarray]]


def convolve(x: np.ndarray, layer: dict[str, np.ndarray], stride: int = 1) -> np.ndarray:
    """Keras "same" convolution of (n, y, x, channel); the kernels of stride 2 have one pixel and need no padding."""
    size = layer["kernel"].shape[0]
    padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    windows = sliding_window_view(padded, (size, size), (1, 2))[:, ::stride, ::stride]
    return np.einsum("nyxcij,ijco->nyxo", windows, layer["kernel"], optimize=True) + layer["bias"]


def activate(x: np.ndarray, norm: dict[str, np.ndarray]) -> np.ndarray:
    scaled = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 0.001)
    return np.maximum(scaled * norm["gamma"] + norm["beta"], 0)


def reference(patches: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Run the network on (n, 32, 32, band) in float64 and return probabilities (n, 17)."""
    layers = {name: {key: a.astype(np.float64) for key, a in layer.items()} for name, layer in arrays.items()}

    def conv(x: np.ndarray, index: int, stride: int = 1) -> np.ndarray:
        return convolve(x, layers[f"conv2d_{index}"], stride)

    def norm(x: np.ndarray, index: int) -> np.ndarray:
        return activate(x, layers[f"batch_normalization_{index}"])

    x = norm(conv(patches, 1), 1)
    for stage in range(3):
        c, b, stride = 2 + 7 * stage, 1 + 6 * stage, 2 if stage else 1
        # The first unit of all follows the stem's own normalisation and has none at its head.
        y = conv(norm(x, b) if stage else x, c, stride)
        y = conv(norm(y, b + 1), c + 1)
        y = conv(norm(y, b + 2), c + 2)
        x = conv(x, c + 3, stride) + y
        y = conv(norm(x, b + 3), c + 4)
        y = conv(norm(y, b + 4), c + 5)
        x = x + conv(norm(y, b + 5), c + 6)
    pooled = norm(x, 19).mean((1, 2))
    logits = pooled @ layers["dense_1"]["kernel"] + layers["dense_1"]["bias"]
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def answers(network: So2SatResNet, patches: np.ndarray) -> np.ndarray:
    """Answer (n, 32, 32, band) with probabilities (n, 17)."""
    with torch.inference_mode():
        return network.probabilities(torch.from_numpy(patches.transpose(0, 3, 1, 2).copy())).numpy()


def run_onnx(path: Path, spectral: np.ndarray) -> np.ndarray:
    """Answer (band, y, x) with (class, N, N) uint8."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"spectral": spectral[None].astype(np.float32)})[0][0]


def patches_of(spectral: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Cut (band, y, x) into (N * N, 32, 32, band), row by row."""
    windows = sliding_window_view(spectral, (geometry.window, geometry.window), (1, 2))
    windows = windows[:, :: geometry.step, :: geometry.step]
    return windows.transpose(1, 2, 3, 4, 0).reshape(-1, geometry.window, geometry.window, len(spectral))


def read_chip(paths: list[Path] | Path, indexes: list[int], side: int) -> np.ndarray:
    """Read bands of one file, or one file a band, as reflectance; coarser bands by nearest neighbour."""
    if isinstance(paths, Path):
        with rasterio.open(paths) as file:
            return file.read(indexes) / 1e4
    bands = []
    for path in paths:
        with rasterio.open(path) as file:
            bands.append(file.read(1, out_shape=(side, side)) / 1e4)
    return np.stack(bands)


def test_it_has_the_published_number_of_parameters() -> None:
    assert count_parameters(So2SatResNet()) == PARAMETERS == 576_897
    assert sum(array.size for layer in keras_arrays().values() for array in layer.values()) == 576_897


def test_the_sentinel1_network_has_the_published_number_of_parameters() -> None:
    assert count_parameters(So2SatResNet(7)) == S1_PARAMETERS == 576_465


def test_imported_sentinel1_weights_answer_as_the_numpy_network(tmp_path: Path) -> None:
    arrays = keras_arrays(8, bands=7)
    source = write_keras_file(tmp_path / "w.h5", arrays)
    patches = np.random.default_rng(1).normal(size=(3, 32, 32, 7)).astype(np.float32)
    expected = reference(patches.astype(np.float64), arrays)
    assert np.abs(answers(load_sentinel1(source), patches) - expected).max() < 2e-4
    assert expected.max(1).min() < 0.999
    with pytest.raises(WeightsUnavailable, match=r"kernel of shape \(16, 7, 3, 3\), not \(16, 10, 3, 3\)"):
        load_keras_weights(source)


@pytest.mark.real_data
def test_published_sentinel1_weights_answer_as_the_numpy_network(shared_data: Path) -> None:
    source = next((shared_data / "weights_so2sat").glob("S1_*.h5"))
    network = load_sentinel1(source)
    features = sentinel1_features(radar(20)["sen1"].transpose(0, 3, 1, 2).astype(np.float32))
    patches = standardise(features).transpose(0, 2, 3, 1)
    expected = reference(patches.astype(np.float64), read_keras_file(source, keras_arrays(bands=7)))
    assert np.abs(answers(network, patches) - expected).max() < 1e-4
    assert len(set(expected.argmax(1))) > 1


def test_imported_weights_answer_as_the_numpy_network(tmp_path: Path) -> None:
    arrays = keras_arrays(3)
    network = load_keras_weights(write_keras_file(tmp_path / "w.h5", arrays))
    patches = np.random.default_rng(1).random((3, 32, 32, 10)).astype(np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(patches.transpose(0, 3, 1, 2).copy()))
    answer = torch.softmax(logits, 1).numpy()
    expected = reference(patches.astype(np.float64), arrays)
    assert np.abs(answer - expected).max() < 2e-4
    assert expected.max(1).min() < 0.999  # not saturated, so the comparison means something


def test_the_graph_keeps_the_contract_of_its_card(tmp_path: Path) -> None:
    arrays = keras_arrays(5)
    export_so2sat(write_keras_file(tmp_path / "w.h5", arrays), CARD, tmp_path / "g.onnx")
    graph = check_contract(CARD, read_signature(tmp_path / "g.onnx"))
    assert graph.inputs["spectral"].shape[0] is None
    side = CARD.geometry.tile + 2 * CARD.geometry.halo
    spectral = np.random.default_rng(2).random((10, side, side)).astype(np.float32)
    answer = run_onnx(tmp_path / "g.onnx", spectral)
    assert answer.shape == (17, 8, 8)
    first, last = reference(patches_of(spectral.astype(np.float64), CARD.geometry)[[0, -1]], arrays)
    for node, expected in ((answer[:, 0, 0], first), (answer[:, -1, -1], last)):
        assert np.abs(node - np.round(255 * expected)).max() <= 1


def test_a_node_looks_at_the_window_centred_on_its_cell(tmp_path: Path) -> None:
    geometry = Geometry(window=32, step=10, tile=40, halo=11)
    network = load_keras_weights(write_keras_file(tmp_path / "w.h5", keras_arrays(4)))
    dense = DenseTile(network, geometry)
    blank = torch.full((1, 10, 62, 62), 0.2)
    marked = blank.clone()
    # The cell (2, 1) spans the padded pixels 31-40 and 21-30; its window reaches 11 px beyond on every side.
    marked[0, :, 20:52, 10:42] = 0.5
    with torch.inference_mode():
        alone = torch.softmax(network(torch.full((1, 10, 32, 32), 0.5)), 1)[0]
        answer = dense(marked)[0, :, 2, 1]
    assert (answer - torch.round(255 * alone)).abs().max() <= 1


def test_another_network_is_refused(tmp_path: Path) -> None:
    arrays = keras_arrays()
    arrays["conv2d_3"]["kernel"] = arrays["conv2d_3"]["kernel"][:1]
    with pytest.raises(WeightsUnavailable, match=r"conv2d_3 has a kernel of shape \(16, 16, 1, 3\)"):
        load_keras_weights(write_keras_file(tmp_path / "shape.h5", arrays))
    arrays = keras_arrays()
    del arrays["batch_normalization_7"]
    with pytest.raises(WeightsUnavailable, match="batch_normalization_7"):
        load_keras_weights(write_keras_file(tmp_path / "layer.h5", arrays))
    arrays = keras_arrays()
    del arrays["dense_1"]["bias"]
    with pytest.raises(WeightsUnavailable, match="lacks its bias"):
        load_keras_weights(write_keras_file(tmp_path / "bias.h5", arrays))
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(WeightsUnavailable, match="not a Keras weight file"):
        load_keras_weights(tmp_path / "text.h5")


@pytest.mark.real_data
def test_published_weights_answer_as_the_numpy_network(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "weights_so2sat" / str(CARD.weights.source_file)
    network = load_keras_weights(source)
    arrays = read_keras_file(source, keras_arrays())
    geometry = Geometry(window=32, step=16, tile=48, halo=8, scene=16)
    chip = read_chip(shared_data / "sentinel2_10band_chips" / "eurosat_Pasture_300.tif", EUROSAT, 64)
    patches = patches_of(chip, geometry)
    expected = reference(patches, arrays)
    with torch.inference_mode():
        logits = network(torch.from_numpy(patches.transpose(0, 3, 1, 2).astype(np.float32)))
    assert np.abs(torch.softmax(logits, 1).numpy() - expected).max() < 1e-4
    write_onnx(network, geometry, tmp_path / "g.onnx")
    assert np.abs(run_onnx(tmp_path / "g.onnx", chip).reshape(17, 9).T - np.round(255 * expected)).max() <= 1


# B02 B03 B04 B05 B06 B07 B08 B8A B11 B12 in a file ordered B01-B08, B09, B10, B11, B12, B8A.
EUROSAT = [2, 3, 4, 5, 6, 7, 8, 13, 11, 12]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("chip", "expected"),
    [
        ("eurosat_SeaLake_3000", {"G": 9}),
        ("eurosat_AnnualCrop_1", {"D": 9}),
        ("eurosat_Pasture_300", {"D": 5, "9": 3, "B": 1}),
        ("ssl4eo_s2c", {"D": 214, "F": 6, "9": 5}),
    ],
)
def test_real_level_1c_chips_get_the_known_zones(
    shared_data: Path, tmp_path: Path, chip: str, expected: dict[str, int]
) -> None:
    """Windows of 32 px every 16 px, from the upper left corner on: 3 x 3 of EuroSAT, 15 x 15 of SSL4EO."""
    folder = shared_data / "sentinel2_10band_chips"
    network = load_keras_weights(shared_data / "weights_so2sat" / str(CARD.weights.source_file))
    if chip.startswith("eurosat"):
        spectral, tile = read_chip(folder / f"{chip}.tif", EUROSAT, 64), 48
    else:
        names = ["B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"]
        spectral, tile = read_chip([folder / chip / f"{name}.tif" for name in names], [], 264)[:, :256, :256], 240
    write_onnx(network, Geometry(window=32, step=16, tile=tile, halo=8, scene=16), tmp_path / "g.onnx")
    answer = run_onnx(tmp_path / "g.onnx", spectral)
    assert Counter(LABELS[index] for index in answer.argmax(0).ravel()) == expected
