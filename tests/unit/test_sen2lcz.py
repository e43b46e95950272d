"""The published Sen2LCZ-Net-MF: parameters, weight import, and answers against a forward pass written in NumPy."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from models.cards import Geometry, card_of
from models.errors import WeightsUnavailable
from models.networks.keras_weights import count_parameters, count_trainable
from models.networks.sen2lcz import PARAMETERS, TRAINABLE, Sen2LczNet, load_sen2lcz
from models.networks.so2sat_export import export_sen2lcz, write_onnx
from models.networks.so2sat_resnet import load_keras_weights
from models.onnx_signature import read_signature
from models.serving import check_contract
from models.weights import fetch
from tests.servers.keras_file import keras_arrays, read_keras_file, sen2lcz_arrays, write_keras_file
from tests.unit.test_so2sat_resnet import EUROSAT, LABELS, activate, convolve, patches_of, read_chip, run_onnx

CARD = card_of("sen2lcz-net-mf")
Arrays = dict[str, dict[str, np.ndarray]]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def reference(patches: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Run the network on (n, 32, 32, 10) in float64 and return probabilities (n, 17)."""
    layers = {name: {key: a.astype(np.float64) for key, a in layer.items()} for name, layer in arrays.items()}
    x, answers = patches.astype(np.float64), []
    for index in range(1, 17):
        x = activate(convolve(x, layers[f"conv2d_{index}"]), layers[f"batch_normalization_{index}"])
        if index % 4:
            continue
        if index < 16:
            n, side, _, channels = x.shape
            quads = x.reshape(n, side // 2, 2, side // 2, 2, channels)
            x = np.concatenate([quads.max((2, 4)), quads.mean((2, 4))], axis=-1)
        head = layers[{4: "dense_1", 8: "dense_2", 12: "dense_5", 16: "dense_4"}[index]]
        answers.append(softmax(x.mean((1, 2)) @ head["kernel"] + head["bias"]))
    return np.mean(answers, axis=0)


def answers(network: Sen2LczNet, patches: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network.probabilities(torch.from_numpy(patches.transpose(0, 3, 1, 2).astype(np.float32))).numpy()


def test_it_has_the_published_number_of_parameters() -> None:
    network = Sen2LczNet()
    assert count_parameters(network) == PARAMETERS == 793_348
    assert count_trainable(network) == TRAINABLE == 791_428
    assert sum(array.size for layer in sen2lcz_arrays().values() for array in layer.values()) == 793_348


def test_imported_weights_answer_as_the_numpy_network(tmp_path: Path) -> None:
    arrays = sen2lcz_arrays(3)
    network = load_sen2lcz(write_keras_file(tmp_path / "w.h5", arrays))
    patches = np.random.default_rng(1).random((4, 32, 32, 10)).astype(np.float32)
    expected = reference(patches, arrays)
    assert np.abs(answers(network, patches) - expected).max() < 2e-5
    assert expected.max(1).min() < 0.999
    with torch.inference_mode():
        again = torch.softmax(network(torch.from_numpy(patches.transpose(0, 3, 1, 2).copy())), 1).numpy()
    assert np.abs(again - expected).max() < 2e-5


def test_the_graph_keeps_the_contract_of_its_card(tmp_path: Path) -> None:
    arrays = sen2lcz_arrays(5)
    export_sen2lcz(write_keras_file(tmp_path / "w.h5", arrays), CARD, tmp_path / "g.onnx")
    graph = check_contract(CARD, read_signature(tmp_path / "g.onnx"))
    assert graph.inputs["spectral"].shape[0] is None
    side = CARD.geometry.tile + 2 * CARD.geometry.halo
    spectral = np.random.default_rng(2).random((10, side, side)).astype(np.float32)
    answer = run_onnx(tmp_path / "g.onnx", spectral)
    assert answer.shape == (17, 8, 8)
    expected = reference(patches_of(spectral, CARD.geometry)[[0, 9, -1]], arrays)
    for node, told in zip((answer[:, 0, 0], answer[:, 1, 1], answer[:, -1, -1]), expected, strict=True):
        assert np.abs(node - np.round(255 * told)).max() <= 1


def test_another_network_is_refused(tmp_path: Path) -> None:
    resnet = write_keras_file(tmp_path / "resnet.h5", keras_arrays())
    with pytest.raises(WeightsUnavailable, match="do not fit Sen2LCZ-Net-MF"):
        load_sen2lcz(resnet)
    with pytest.raises(WeightsUnavailable, match="do not fit ResNet20"):
        load_keras_weights(write_keras_file(tmp_path / "sen2lcz.h5", sen2lcz_arrays()))


def test_it_is_fetched_like_any_other(tmp_path: Path) -> None:
    source = write_keras_file(tmp_path / "mirror" / "w.hdf5", sen2lcz_arrays())
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    told = CARD.weights.model_copy(update={"source_file": source.name, "source_sha256": digest})
    geometry = CARD.geometry.model_copy(update={"tile": 20})
    card = CARD.model_copy(update={"weights": told, "geometry": geometry})
    path = fetch(card, cache=tmp_path / "cache", mirror=source.parent)
    assert check_contract(card, read_signature(path)) == read_signature(path)


@pytest.mark.real_data
def test_published_weights_answer_as_the_numpy_network(shared_data: Path, tmp_path: Path) -> None:
    path = fetch(CARD, cache=tmp_path, mirror=shared_data / "weights_so2sat")
    check_contract(CARD, read_signature(path))
    source = tmp_path / str(CARD.weights.source_file)
    chip = read_chip(shared_data / "sentinel2_10band_chips" / "eurosat_Pasture_300.tif", EUROSAT, 64)
    geometry = Geometry(window=32, step=16, tile=48, halo=8, scene=16)
    patches = patches_of(chip, geometry)
    expected = reference(patches, read_keras_file(source, sen2lcz_arrays()))
    network = load_sen2lcz(source)
    assert np.abs(answers(network, patches) - expected).max() < 1e-4
    write_onnx(network, geometry, tmp_path / "g.onnx")
    assert np.abs(run_onnx(tmp_path / "g.onnx", chip).reshape(17, 9).T - np.round(255 * expected)).max() <= 1


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("chip", "expected"),
    [
        ("eurosat_SeaLake_3000", {"G": 9}),
        ("eurosat_AnnualCrop_1", {"D": 9}),
        ("eurosat_Pasture_300", {"D": 8, "9": 1}),
    ],
)
def test_real_level_1c_chips_get_plausible_zones(shared_data: Path, chip: str, expected: dict[str, int]) -> None:
    """Windows of 32 px every 16 px; the heads in another order give the same classes, but half the certainty."""
    network = load_sen2lcz(shared_data / "weights_so2sat" / str(CARD.weights.source_file))
    spectral = read_chip(shared_data / "sentinel2_10band_chips" / f"{chip}.tif", EUROSAT, 64)
    patches = patches_of(spectral, Geometry(window=32, step=16, tile=48, halo=8, scene=16))
    answer = answers(network, patches)
    assert Counter(LABELS[index] for index in answer.argmax(1)) == expected
    assert answer.max(1).mean() > 0.75
