"""Fusing answers: sums of softmax over sensors and seasons, cells unseen by one left to the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.so2sat.bands import sentinel1_features, standardise
from models.data.so2sat.dataset import So2SatFile
from models.data.so2sat.stream import stream
from models.networks.fusion import BadProbabilities, fuse_sensors, season_mean
from models.networks.so2sat_resnet import load_keras_weights, load_sentinel1
from tests.servers.keras_file import keras_arrays, write_keras_file
from tests.servers.so2sat_file import write_so2sat
from tests.unit.test_so2sat_resnet import answers, reference


def test_a_worked_example() -> None:
    radar = np.array([0.7, 0.2, 0.1]).reshape(3, 1, 1)
    optical = np.array([0.1, 0.7, 0.2]).reshape(3, 1, 1)
    fused = fuse_sensors(radar, optical)
    assert fused.dtype == np.float32
    np.testing.assert_allclose(fused.ravel(), [0.4, 0.45, 0.15], atol=1e-7)
    assert fuse_sensors(radar, optical).argmax(0) == (radar + optical).argmax(0)
    np.testing.assert_allclose(season_mean([radar, optical, optical]).ravel(), [0.3, 1.6 / 3, 0.5 / 3], atol=1e-7)


def test_a_sure_scene_outweighs_two_unsure_ones() -> None:
    sure, unsure = np.array([[0.98, 0.02]]), np.array([[0.45, 0.55]])
    assert season_mean([sure, unsure, unsure], axis=1).argmax(1) == [0]


def test_cells_not_seen_are_left_to_the_others() -> None:
    seasons = [np.full((17, 2, 3), 1 / 17) for _ in range(3)]
    seasons[0] = np.zeros((17, 2, 3))
    seasons[0][4] = 1.0
    seasons[1][:, 0, 0] = np.nan
    seasons[2][:, 0, 0] = np.nan
    for season in seasons:
        season[:, 1, 2] = np.nan
    mean = season_mean(seasons)
    assert mean[4, 0, 0] == 1.0
    assert np.isnan(mean[:, 1, 2]).all()
    np.testing.assert_allclose(np.nansum(mean, 0).ravel()[:5], 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("seasons", "told"),
    [
        ([], "nothing to fuse"),
        ([np.full((2, 3), 0.5), np.full((2, 4), 0.5)], r"different shapes cannot be fused: \(2, 3\), \(2, 4\)"),
        ([np.full((2, 3), 0.5), np.full((2, 3), 0.9)], "input 1 .* no probabilities"),
        ([np.stack([np.full(3, 1.5), np.full(3, -0.5)])], "input 0"),
        ([np.stack([np.full(3, np.inf), np.full(3, 0.0)])], "input 0"),
    ],
)
def test_what_is_no_probability_is_refused(seasons: list[np.ndarray], told: str) -> None:
    with pytest.raises(BadProbabilities, match=told):
        season_mean(seasons)


def test_both_sensors_of_a_file_are_fused(tmp_path: Path) -> None:
    optical, radar = keras_arrays(3), keras_arrays(4, bands=7)
    networks = (
        load_sentinel1(write_keras_file(tmp_path / "s1.h5", radar)),
        load_keras_weights(write_keras_file(tmp_path / "s2.h5", optical)),
    )
    with So2SatFile(write_so2sat(tmp_path / "validation.h5", 6)) as file:
        s1 = next(stream(file, "s1", normalised=False)).patches
        s2 = next(stream(file, "s2", normalised=False)).patches
    inputs = [x.transpose(0, 2, 3, 1) for x in (standardise(sentinel1_features(s1)), s2)]
    fused = fuse_sensors(*(answers(n, x) for n, x in zip(networks, inputs, strict=True)), axis=1)
    told = [reference(x.astype(np.float64), a) for x, a in zip(inputs, (radar, optical), strict=True)]
    np.testing.assert_allclose(fused, (told[0] + told[1]) / 2, atol=2e-4)
