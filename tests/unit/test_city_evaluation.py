"""Folds, forests and intervals of a city."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.data.cities.arrays import save_arrays
from models.data.cities.ground import CityGround, read_city
from models.data.cities.vectors import BadCity
from models.evaluation.baselines import city_features, forest_probabilities
from models.evaluation.city import block_folds, cross_validated, gain, measure, smoothed
from tests.city_folder import write_city


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> CityGround:
    return read_city(write_city(tmp_path_factory.mktemp("city")))


def test_folds_share_no_square_kilometre(city: CityGround) -> None:
    folds = block_folds(city, seed=3)
    assert len(folds) == 5
    for fold in folds:
        assert not set(city.blocks(fold.train)) & set(city.blocks(fold.test))
        assert len(fold.train) + len(fold.test) == len(city.cells)
    tested = np.concatenate([fold.test for fold in folds])
    assert len(np.unique(tested, axis=0)) == len(city.cells)
    assert (block_folds(city, seed=3)[2].test == folds[2].test).all()
    assert [len(f.test) for f in block_folds(city, seed=4)] != [len(f.test) for f in folds]


@pytest.mark.parametrize("count", [1, 19])
def test_folds_that_cannot_be_are_refused(city: CityGround, count: int) -> None:
    with pytest.raises(BadCity, match="square kilometres"):
        block_folds(city, count)


def test_features_are_means_over_windows(city: CityGround) -> None:
    features, names = city_features(city, ("spectral", "buildings", "streets", "landuse", "zoning"))
    assert features.shape == (len(names), *city.truth.shape)
    assert len(set(names)) == len(names)
    assert np.isfinite(features).all()
    row, column = (int(v) for v in city.cells[300])
    assert city.known[row - 1 : row + 2, column - 1 : column + 2].all()
    top, left = city.lattice[0] + 10 * row, city.lattice[1] + 10 * column
    for name, margin in (("spring-0-mean-1", 0), ("spring-0-mean-3", 10)):
        part = city.reflectance[0, 0, top - margin : top + 10 + margin, left - margin : left + 10 + margin]
        assert features[names.index(name), row, column] == pytest.approx(part.mean(), rel=1e-4)
        spread = features[names.index(name.replace("mean", "spread")), row, column]
        assert spread == pytest.approx(part.std(), rel=1e-2)
    part = city.morphology[1, top - 10 : top + 20, left - 10 : left + 20]
    roofs = city.morphology[0, top - 10 : top + 20, left - 10 : left + 20] > 0
    expected = part[roofs].mean() if roofs.any() else 0.0
    assert features[names.index("roof-height-mean-3"), row, column] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["random-forest", "extra-trees"])
def test_forests_beat_the_commonest_class(city: CityGround, kind: str) -> None:
    features, _ = city_features(city)

    def method(city: CityGround, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        known, unseen = (features[:, c[:, 0], c[:, 1]].T for c in (train, test))
        return forest_probabilities(known, city.codes(train), unseen, kind=kind, trees=20)

    cells, probabilities = cross_validated(city, block_folds(city, 3), method)
    assert probabilities.shape == (len(cells), 17)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    truth = city.codes(cells)
    assert not probabilities[:, [0, 2, 3]].any()
    majority = np.bincount(truth).max() / len(truth)
    measured = measure(truth, probabilities.argmax(axis=1) + 1, city.blocks(cells), resamples=50)
    assert measured.accuracies["overall_accuracy"] > majority + 0.5
    assert measured.accuracies["cells"] == len(cells)


def test_intervals_hold_the_figure_and_widen_with_clumps() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 18, 4000)
    clumped = np.repeat(rng.random(40) < 0.7, 100)  # whole kilometres are right or wrong
    scattered = rng.random(4000) < 0.7
    blocks = np.repeat(np.arange(40), 100)
    widths = []
    for right in (clumped, scattered):
        found = measure(truth, np.where(right, truth, truth % 17 + 1), blocks)
        low, high = found.intervals["overall_accuracy"]
        assert low is not None
        assert high is not None
        assert low < found.accuracies["overall_accuracy"] < high
        widths.append(high - low)
    assert widths[0] > 4 * widths[1]


def test_measures_by_hand() -> None:
    truth = np.array([2] * 150 + [14] * 150 + [5] * 10)
    map_ = np.array([2] * 120 + [5] * 20 + [14] * 10 + [14] * 150 + [2] * 10)
    told = measure(truth, map_, np.arange(310) % 7).accuracies
    assert told["overall_accuracy"] == pytest.approx(270 / 310, abs=1e-4)
    assert told["oa_urban"] == pytest.approx(120 / 150, abs=1e-4)
    assert told["oa_urban_strict"] == pytest.approx(120 / 160, abs=1e-4)
    assert told["oa_built"] == pytest.approx(300 / 310, abs=1e-4)
    f1 = (240 / 280, 300 / 310)
    assert told["f1"] == {"2": round(f1[0], 4), "5": 0.0, "D": round(f1[1], 4)}
    assert told["macro_f1_100"] == pytest.approx(np.mean(f1), abs=1e-4)


def test_what_cannot_be_measured_is_none() -> None:
    told = measure(np.full(5, 14), np.full(5, 14), np.arange(5), resamples=10)
    assert told.accuracies["oa_urban"] is None
    assert told.accuracies["macro_f1_100"] is None
    assert told.intervals["oa_urban"] == (None, None)


def test_a_gain_is_paired() -> None:
    rng = np.random.default_rng(0)
    truth, blocks = rng.integers(1, 18, 2000), np.repeat(np.arange(20), 100)
    wrong = rng.random(2000) < np.repeat(rng.random(20), 100)
    first = np.where(wrong, truth % 17 + 1, truth)
    second = np.where(wrong & (rng.random(2000) < 0.9), truth % 17 + 1, truth)
    more, low, high = gain(truth, first, second, blocks)["overall_accuracy"]
    assert more == pytest.approx((second == truth).mean() - (first == truth).mean(), abs=1e-4)
    assert low is not None
    assert high is not None
    assert 0 < low < more < high < 0.1


def test_smoothing_outvotes_a_stray_cell(city: CityGround) -> None:
    rows, columns = np.mgrid[20:25, 30:35]
    cells = np.stack([rows.ravel(), columns.ravel()], axis=1)
    probabilities = np.zeros((25, 17), dtype=np.float32)
    probabilities[:, 4] = 1
    probabilities[12] = np.eye(17)[7]
    found = smoothed(city, cells, probabilities)
    assert (found.argmax(axis=1) == 4).all()
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert found[12, 7] == pytest.approx(0.25)
    assert found[0].tolist() == probabilities[0].tolist()


@pytest.mark.scale
def test_the_benchmark_ends_in_json(city: CityGround, tmp_path: Path) -> None:
    save_arrays(city, tmp_path / "city.npz")
    command = [sys.executable, "-m", "benchmarks.accuracy", "--packed", str(tmp_path / "city.npz"), "--quick"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*command, "--methods", "a,a2", "--folds", "3"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    report = json.loads(done.stdout.splitlines()[-1])
    assert [(row["key"], row["smoothed"]) for row in report["rows"]] == [
        ("a", False), ("a", True), ("a2", False), ("a2", True),
    ]  # fmt: skip
    # The classes of this city lie on their blocks: registering them moves the windows off.
    given, moved = ([row["overall_accuracy"] for row in report["rows"] if row["key"] == key] for key in ("a", "a2"))
    assert min(given) > 0.9
    assert 0.5 < max(moved) < min(given)
