"""The priors of every window equal those of one, and consistency falls as a place leaves a class's intervals."""

from __future__ import annotations

import numpy as np
import pytest

from models.cards import Geometry, card_of
from models.consistency import FEWEST_KNOWN, UNKNOWN, consistency, node_priors
from models.data.procedural import generate
from models.priors import PRIORS, WEIGHTS, geographic_distance, window_priors

DENSE = Geometry(window=32, step=1, tile=40, halo=16)
COARSE = Geometry(window=32, step=10, tile=40, halo=11)


@pytest.fixture(scope="module")
def city() -> tuple[np.ndarray, np.ndarray]:
    made = generate(4, (100, 100))
    return made.reflectance, made.morphology()


def cut(rasters: tuple[np.ndarray, np.ndarray], geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    side = geometry.tile + 2 * geometry.halo
    return rasters[0][:, 10 : 10 + side, 10 : 10 + side], rasters[1][:, 10 : 10 + side, 10 : 10 + side]


@pytest.mark.parametrize("geometry", [DENSE, COARSE])
def test_every_window_has_the_priors_of_that_window(city, geometry: Geometry):
    reflectance, morphology = cut(city, geometry)
    priors, known = node_priors(reflectance, morphology, geometry)
    nodes = geometry.tile // geometry.step
    assert priors.shape == known.shape == (7, nodes, nodes)
    for row, column in ((0, 0), (nodes - 1, 0), (nodes // 2, nodes - 1), (1, 2)):
        window = (slice(None), *(slice(k * geometry.step, k * geometry.step + 32) for k in (row, column)))
        expected, certain, _ = window_priors(morphology[window], reflectance[window])
        np.testing.assert_allclose(priors[:, row, column], expected, atol=1e-6)
        np.testing.assert_allclose(known[:, row, column], certain, atol=1e-6)


def test_consistency_is_the_exponential_of_the_distance(city):
    reflectance, morphology = cut(city, DENSE)
    found = consistency(reflectance, morphology, DENSE)
    priors, known = node_priors(reflectance, morphology, DENSE)
    expected = 100 * np.exp(-geographic_distance(priors, known))
    judged = np.tensordot(WEIGHTS, known, axes=1) >= FEWEST_KNOWN * WEIGHTS.sum()
    assert judged.any()
    assert np.abs(found - expected)[:, judged].max() <= 0.5
    assert (found[:, ~judged] == UNKNOWN).all()


def test_nothing_is_judged_where_no_building_is_known(city):
    reflectance, morphology = cut(city, DENSE)
    assert (consistency(reflectance, np.zeros_like(morphology), DENSE) == UNKNOWN).all()


def test_three_bands_say_nothing_of_sealed_ground(city):
    reflectance, morphology = cut(city, DENSE)
    _, known = node_priors(reflectance[[3, 2, 1]], morphology, DENSE)
    assert not known[[PRIORS.index("impervious"), PRIORS.index("pervious")]].any()
    assert known[PRIORS.index("built")].any()


def test_the_truth_fits_better_than_chance():
    made = generate(5, (120, 120))
    geometry = card_of("magnet").geometry.model_copy(update={"tile": 80})
    pair = made.reflectance[:, :112, :112], made.morphology()[:, :112, :112]
    found = consistency(*pair, geometry).astype(float)
    truth = made.truth[16:96, 16:96].astype(int)
    judged = found[0] != UNKNOWN
    own = np.take_along_axis(found, truth[None] - 1, axis=0)[0]
    assert own[judged].mean() > found.mean(axis=0)[judged].mean() + 20


def test_windows_of_the_network_are_the_same():
    torch = pytest.importorskip("torch")
    from models.networks.magnet import class_distances, geography_of  # noqa: PLC0415 - torch is optional

    made = generate(4, (100, 100))
    reflectance, morphology = cut((made.reflectance, made.morphology()), DENSE)
    tensors = [torch.from_numpy(np.ascontiguousarray(x))[None] for x in (reflectance, morphology * morphology[5])]
    theirs = class_distances(geography_of(*tensors, 1))[0].numpy()
    ours = geographic_distance(*node_priors(reflectance, morphology, DENSE))
    assert np.abs(np.exp(-ours) - np.exp(-theirs)).max() < 0.02
