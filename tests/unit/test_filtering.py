"""The per-class Gaussian filter against scipy's, in windows, and beside borders and holes."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve1d

from models.classes import LAND_COVER, LOCAL_CLIMATE_ZONES
from worker.parcels.units.filtering import METRES, reach, smooth


def probabilities(shape: tuple[int, int], seed: int = 0, holes: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(17, 0.2), shape)
    values = np.rint(255 * shares).astype(np.uint8).transpose(2, 0, 1)
    values[:, rng.random(shape) < holes] = 0
    return values


def expected(values: np.ndarray, resolution: float, scale: float) -> np.ndarray:
    seen = values.any(axis=0).astype(float)
    filtered = np.zeros(values.shape)
    for k, kind in enumerate(LOCAL_CLIMATE_ZONES):
        radius, sigma = (metres * scale / resolution for metres in METRES[kind.label])
        away = np.arange(-int(radius + 0.5), int(radius + 0.5) + 1)
        taps = np.exp(-0.5 * (away / sigma) ** 2)
        taps /= taps.sum()

        def gauss(plane: np.ndarray, taps: np.ndarray = taps) -> np.ndarray:
            return convolve1d(convolve1d(plane, taps, axis=0, mode="constant"), taps, axis=1, mode="constant")

        filtered[k] = np.where(seen > 0, gauss(values[k].astype(float)) / np.maximum(gauss(seen), 1e-12), 0)
    return 255 * filtered / np.maximum(filtered.sum(axis=0), 1e-12)


@pytest.mark.parametrize(("resolution", "scale"), [(10.0, 1.0), (10.0, 0.3), (100.0, 1.0), (20.0, 2.0)])
def test_it_is_scipys_gaussian_over_what_was_seen(resolution: float, scale: float) -> None:
    values = probabilities((70, 90), holes=0.3)
    told = smooth(values, resolution=resolution, classes=LOCAL_CLIMATE_ZONES, scale=scale)
    np.testing.assert_allclose(told, expected(values, resolution, scale), atol=0.502)
    assert not told[:, ~values.any(axis=0)].any()


def test_demuzeres_metres_and_the_pixels_they_reach() -> None:
    assert METRES["1"] == (200, 100)
    assert {METRES[label] for label in ("2", "7", "9", "E")} == {(300, 150)}
    assert METRES["8"] == METRES["10"] == (500, 250)
    assert {METRES[label] for label in "ABCDF"} == {(200, 75)}
    assert METRES["G"] == (50, 25)
    assert (reach(10.0), reach(10.0, 0.5), reach(100.0), reach(10.0, 0.0)) == (50, 25, 5, 0)


def test_borders_and_holes_do_not_darken() -> None:
    values = np.zeros((17, 60, 60), np.uint8)
    values[0], values[7] = 155, 100
    values[:, 20:30, 20:30] = 0
    told = smooth(values, resolution=10.0, classes=LOCAL_CLIMATE_ZONES)
    assert (told == values).all()


def test_a_pixel_keeps_summing_to_one() -> None:
    told = smooth(probabilities((64, 64), holes=0.2), resolution=10.0, classes=LOCAL_CLIMATE_ZONES)
    total = told.sum(axis=0, dtype=int)
    assert set(np.unique(total[total > 0])) <= set(range(255 - 8, 255 + 9))


@settings(max_examples=20, deadline=None)
@given(
    row=st.integers(0, 60), column=st.integers(0, 60), height=st.integers(1, 40), width=st.integers(1, 40),
    scale=st.sampled_from([0.1, 0.25, 0.5]),
)  # fmt: skip
def test_a_window_with_its_halo_gives_the_same_bytes(
    row: int, column: int, height: int, width: int, scale: float
) -> None:
    values = probabilities((100, 100), seed=3, holes=0.1)
    whole = smooth(values, resolution=10.0, classes=LOCAL_CLIMATE_ZONES, scale=scale)
    halo = reach(10.0, scale)
    top, left = max(0, row - halo), max(0, column - halo)
    part = smooth(
        values[:, top : row + height + halo, left : column + width + halo],
        resolution=10.0, classes=LOCAL_CLIMATE_ZONES, scale=scale,
    )  # fmt: skip
    inner = part[:, row - top :, column - left :][:, :height, :width]
    assert (inner == whole[:, row : row + height, column : column + width]).all()


def test_nothing_to_do() -> None:
    values = probabilities((20, 20))
    assert (smooth(values, resolution=10.0, classes=LOCAL_CLIMATE_ZONES, scale=0.0) == values).all()
    assert (smooth(values[:9], resolution=0.5, classes=LAND_COVER) == values[:9]).all()
    empty = np.zeros((17, 0, 5), np.uint8)
    assert smooth(empty, resolution=10.0, classes=LOCAL_CLIMATE_ZONES).shape == (17, 0, 5)
    assert not smooth(np.zeros((17, 9, 9), np.uint8), resolution=10.0, classes=LOCAL_CLIMATE_ZONES).any()


@pytest.mark.parametrize(("resolution", "scale"), [(0.0, 1.0), (10.0, -1.0), (10.0, float("nan"))])
def test_senseless_metres_are_refused(resolution: float, scale: float) -> None:
    with pytest.raises(ValueError, match="the filter needs"):
        smooth(probabilities((9, 9)), resolution=resolution, classes=LOCAL_CLIMATE_ZONES, scale=scale)


def test_a_block_takes_no_time_worth_telling() -> None:
    values = probabilities((580, 580))
    smooth(values[:, :120, :120], resolution=10.0, classes=LOCAL_CLIMATE_ZONES)
    started = time.thread_time()
    smooth(values, resolution=10.0, classes=LOCAL_CLIMATE_ZONES)
    assert time.thread_time() - started < 1.0  # .13 s on a quiet core
