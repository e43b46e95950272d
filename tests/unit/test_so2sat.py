"""So2Sat LCZ42 files: the schema is checked before any work, patches and labels come as published, splits by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from models.data.so2sat.bands import (
    S1_FEATURES,
    decibels,
    normalised_decibels,
    sentinel1_features,
    standardise,
)
from models.data.so2sat.dataset import BANDS, SPLITS, BadDataset, So2SatFile, class_of, split_file
from models.data.so2sat.info import describe, published_as
from tests.servers.so2sat_file import patches, write_geo, write_so2sat


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write_so2sat(tmp_path / "training.h5")


def test_patches_and_classes_are_those_of_the_file(whole: Path) -> None:
    told = patches(40)
    with So2SatFile(whole) as file:
        assert len(file) == 40
        np.testing.assert_array_equal(file.codes(), np.arange(40) % 17 + 1)
        assert file.code(11) == 12
        for sensor, key in (("s1", "sen1"), ("s2", "sen2")):
            patch = file.patch(7, sensor)
            assert patch.dtype == np.float32
            np.testing.assert_array_equal(patch, told[key][7].transpose(2, 0, 1).astype(np.float32))


def test_classes_have_their_names() -> None:
    assert [class_of(k).label for k in (0, 9, 10, 16)] == ["1", "10", "A", "G"]
    assert class_of(16).name == "Water"
    with pytest.raises(ValueError, match=r"0\.\.16"):
        class_of(17)


def test_published_splits(tmp_path: Path) -> None:
    assert split_file(tmp_path, "4", "testing") == tmp_path / "testing.h5"
    assert split_file(tmp_path, "3-block", "training") == tmp_path / "block" / "training.h5"
    with pytest.raises(BadDataset, match="choose one of 1, 2, 3-random"):
        split_file(tmp_path, "5", "testing")
    with pytest.raises(BadDataset, match="has no part 'testing', only training, validation"):
        split_file(tmp_path, "1", "testing")
    assert sum(SPLITS["2"].patches.values()) == 400_673
    assert published_as(24_188) == ["2 testing", "4 testing"]


def _drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.pop(key) is None


def _put(key: str, array: Any) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.update({key: array})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_drop("sen1"), "no data set 'sen1', only label, sen2"),
        (_drop("label"), "no data set 'label'"),
        (
            _put("sen2", np.zeros((40, 32, 32, 13))),
            r"is float64 \(40, 32, 32, 13\); .*\(N, 32, 32, 10\)",
        ),
        (_put("sen2", np.zeros((40, 10, 32, 32))), r"floating point \(N, 32, 32, 10\)"),
        (_put("sen2", np.zeros((40, 32, 32, 10), np.uint16)), "is uint16"),
        (_put("label", np.eye(17)[:12]), "different lengths"),
        (_put("label", np.array(3.0)), "single value"),
        (lambda a: a.update({k: v[:0] for k, v in a.items()}), "holds no patches"),
    ],
)
def test_another_schema_is_told_on_opening(tmp_path: Path, change: Any, told: str) -> None:
    path = write_so2sat(tmp_path / "bad.h5", change=change)
    with pytest.raises(BadDataset, match=told) as caught:
        So2SatFile(path)
    assert caught.value.code == "bad-dataset"


def test_what_is_no_hdf5_is_told(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(BadDataset, match="there is no file"):
        So2SatFile(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(BadDataset, match="not a whole HDF5 file"):
        So2SatFile(tmp_path / "text.h5")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(whole.read_bytes()[:-100_000])
    with pytest.raises(BadDataset, match="not a whole HDF5 file"):
        So2SatFile(cut)
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file.create_group("sen1")
    with pytest.raises(BadDataset, match="no data set 'sen1'"):
        So2SatFile(tmp_path / "group.h5")


def test_bad_values_are_named(tmp_path: Path) -> None:
    def spoil(arrays: dict[str, Any]) -> None:
        arrays["sen2"][21, 3, 4, 5] = np.nan
        arrays["label"][9, 2] = 1.0

    with So2SatFile(write_so2sat(tmp_path / "bad.h5", change=spoil)) as file:
        with pytest.raises(BadDataset, match=r"patch 21 of sen2 in bad\.h5 holds NaN"):
            file.patch(21)
        with pytest.raises(BadDataset, match=r"label of patch 9 in bad\.h5 is not one-hot"):
            file.codes()
        with pytest.raises(BadDataset, match="has the patches 0 to 39"):
            file.patch(40)
        with pytest.raises(BadDataset, match="there is no -1"):
            file.patch(-1)


def test_info_says_what_there_is(tmp_path: Path, whole: Path) -> None:
    told = describe(whole, geo=write_geo(tmp_path / "training_geo.h5"), scan=True)
    assert told["patches"] == 40
    assert told["classes"]["1"] == 3
    assert sum(told["classes"].values()) == 40
    assert told["layout"]["sen2"]["chunks"] == [16, 32, 32, 10]
    assert told["geolocation"]["cities"] == {"berlin": 14, "capetown": 13, "munich": 13}
    assert told["geolocation"]["epsg"] == {"32632": 13, "32633": 14, "32734": 13}
    assert not told["geolocation"]["outdated"]
    values = patches(40)["sen2"].astype(np.float32)
    for k, name in enumerate(BANDS["s2"]):
        found = told["values"]["s2"][name]
        assert found["mean"] == pytest.approx(values[..., k].mean(dtype=np.float64), rel=1e-6)
        assert found["std"] == pytest.approx(values[..., k].std(dtype=np.float64), rel=1e-6)
        assert (found["min"], found["max"]) == (values[..., k].min(), values[..., k].max())


def test_decibels_tame_the_tails() -> None:
    bands = np.full((1, 8, 4, 4), 0.1, np.float32)
    bands[0, 4, 0, 0], bands[0, 4, 0, 1], bands[0, 5, 1, 1] = 5671.0, 0.0, -1.0
    found = decibels(bands)
    assert found.shape == (1, 2, 4, 4)
    assert found[0, 0, 2, 2] == pytest.approx(-10.0)
    assert (found[0, 0, 0, 0], found[0, 0, 0, 1], found[0, 1, 1, 1]) == (5.0, -30.0, -30.0)
    scaled = normalised_decibels(bands)
    assert (scaled.min(), scaled.max()) == (-1.0, 1.0)


def test_the_seven_features_of_sentinel1() -> None:
    bands = patches(3)["sen1"].transpose(0, 3, 1, 2).astype(np.float32)
    found = sentinel1_features(bands)
    assert found.shape == (3, len(S1_FEATURES), 32, 32)
    p = bands.astype(np.float64)
    vh, vv = p[:, 0] + 1j * p[:, 1], p[:, 2] + 1j * p[:, 3]
    np.testing.assert_allclose(found[:, 0], 10 * np.log10(np.abs(vh) ** 2), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[:, 1], 10 * np.log10(np.abs(vv) ** 2), rtol=1e-4, atol=1e-4)
    product = vh * vv.conj()
    window = [uniform_filter(x, (1, 3, 3), mode="nearest") for x in (product.real, product.imag)]
    powers = [uniform_filter(np.abs(x) ** 2, (1, 3, 3), mode="nearest") for x in (vh, vv)]
    coherence = np.abs(window[0] + 1j * window[1]) / np.sqrt(powers[0] * powers[1])
    np.testing.assert_allclose(found[:, 2], coherence, rtol=1e-4, atol=1e-5)
    assert 0 <= found[:, 2].min() <= found[:, 2].max() <= 1.0001
    np.testing.assert_allclose(found[:, 3:5], 10 * np.log10(p[:, 4:6]), rtol=1e-4, atol=1e-4)
    off = p[:, 6] + 1j * p[:, 7]
    np.testing.assert_allclose(found[:, 5], np.abs(off) / np.sqrt(p[:, 4] * p[:, 5]), rtol=1e-4)
    np.testing.assert_allclose(found[:, 6], off.real / np.abs(off), rtol=1e-4, atol=1e-5)
    even = standardise(found)
    np.testing.assert_allclose(even.mean((0, 2, 3)), 0.0, atol=1e-4)
    np.testing.assert_allclose(even.std((0, 2, 3)), 1.0, atol=1e-4)


def test_empty_radar_stays_finite() -> None:
    found = standardise(sentinel1_features(np.zeros((2, 8, 32, 32), np.float32)))
    assert np.isfinite(found).all()
