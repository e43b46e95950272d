"""MAGNET: dense equals patch, no buildings means no morphology, and geography teaches what it should."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from models.data.procedural import generate  # noqa: E402 - after the check for torch
from models.networks.magnet import Magnet, class_distances, geography_of, wanted_trust  # noqa: E402
from models.priors import INTERVALS, geographic_distance, window_priors  # noqa: E402
from models.training.losses import LossWeights, geographic_loss, soft_targets, total_loss, trust_divergence  # noqa: E402

TILE = 24


@pytest.fixture(scope="module")
def network() -> Magnet:
    torch.manual_seed(3)
    network = Magnet().eval()
    network.mean.fill_(0.15)
    network.spread.fill_(0.08)
    with torch.no_grad():
        network.classify.weight.normal_(0, 6)
    return network


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    city = generate(12, (80, 80))
    form = city.morphology()
    form[:, :, 50:] = 0
    return city.reflectance, form


def tensors(scene: tuple[np.ndarray, np.ndarray], rows: slice, cols: slice) -> list:
    return [torch.from_numpy(np.ascontiguousarray(x[:, rows, cols]))[None] for x in scene]


def test_dense_equals_patch(network: Magnet, scene: tuple[np.ndarray, np.ndarray]):
    side = slice(8, 8 + TILE + 32)
    xs, xm = tensors(scene, side, side)
    with torch.no_grad():
        dense, trust = network.pixels(xs, xm)
        windows = [(i, j) for i in range(TILE) for j in range(TILE)]
        patches = [torch.cat([x[:, :, i : i + 32, j : j + 32] for i, j in windows]) for x in (xs, xm)]
        patch = network(*patches)
    assert dense.shape == (1, 17, TILE, TILE)
    probabilities = torch.softmax(patch.logits, dim=1)[:, :, 0, 0].T.reshape(1, 17, TILE, TILE)
    assert float((dense - probabilities).abs().max()) <= 1e-5
    assert bool((dense.argmax(1) == probabilities.argmax(1)).all())
    assert float((trust.flatten() - patch.trust.mean(1).flatten()).abs().max()) <= 1e-5
    assert len(dense.argmax(1).unique()) > 1


def test_the_grid_is_every_tenth_pixel(network: Magnet, scene: tuple[np.ndarray, np.ndarray]):
    side = slice(0, 72)
    xs, xm = tensors(scene, side, side)
    with torch.no_grad():
        grid = torch.softmax(network.grid(xs, xm).logits, dim=1)
        dense, _ = network.pixels(xs, xm)
    assert grid.shape == (1, 17, 5, 5)
    assert float((grid[..., :4, :4] - dense[..., ::10, ::10]).abs().max()) <= 1e-5


def test_without_buildings_morphology_has_no_say(network: Magnet, scene: tuple[np.ndarray, np.ndarray]):
    xs, xm = tensors(scene, slice(0, 56), slice(0, 56))
    xm[:, 5] = 0
    nothing = torch.zeros_like(xm)
    with torch.no_grad():
        output, bare = network.grid(xs, xm), network.grid(xs, nothing)
    assert bool((output.trust == 0).all())
    assert bool((output.logits == bare.logits).all())


def test_partly_mapped_ground_is_partly_trusted(network: Magnet, scene: tuple[np.ndarray, np.ndarray]):
    with torch.no_grad():
        whole = network.grid(*tensors(scene, slice(0, 32), slice(0, 32))).trust
        part = network.grid(*tensors(scene, slice(0, 32), slice(48, 80))).trust
    assert bool((whole > 0).all())
    assert bool(((part > 0) & (part < whole.mean())).all())


def test_the_window_means_are_those_of_the_priors(scene: tuple[np.ndarray, np.ndarray]):
    for left in (0, 30, 44, 48):
        xs, xm = tensors(scene, slice(4, 36), slice(left, left + 32))
        geography = geography_of(xs, xm, 10)
        priors, known, share = window_priors(xm[0].numpy(), xs[0].numpy())
        np.testing.assert_allclose(geography.priors[0, :, 0, 0], priors, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(geography.known[0, :, 0, 0], known, rtol=1e-3, atol=1e-4)
        assert float(geography.share) == pytest.approx(share)
        distances = class_distances(geography)[0, :, 0, 0]
        np.testing.assert_allclose(distances, geographic_distance(priors, known), rtol=2e-3, atol=1e-3)


def test_geographic_distance_by_hand():
    known = np.ones(7)
    compact = np.array([0.3, 2.5, 0.5, 0.5, 0.0, 40.0, 8.0])
    distance = geographic_distance(compact, known)
    assert distance[0] == 0
    assert distance.argmin() == 0
    only_sky = np.array([1.0, 0, 0, 0, 0, 0, 0])
    beside = compact.copy()
    beside[0] = 0.55  # 1.5 units outside 0.2-0.4
    assert geographic_distance(beside, only_sky)[0] == pytest.approx(1.5**2)
    beside[0] = 1.0  # clipped at 3 units
    assert geographic_distance(beside, only_sky)[0] == pytest.approx(9)
    assert not geographic_distance(compact, np.zeros(7)).any()
    assert INTERVALS.shape == (17, 7, 2)
    assert (INTERVALS[..., 0] <= INTERVALS[..., 1]).all()


def test_the_gradient_of_the_geographic_loss():
    torch.manual_seed(0)
    logits = torch.randn(3, 17, 2, 2, dtype=torch.float64, requires_grad=True)
    distances = torch.rand(3, 17, 2, 2, dtype=torch.float64) * 5
    probabilities = torch.softmax(logits, dim=1)
    geographic_loss(probabilities, distances).backward()
    expected = probabilities * (distances - (probabilities * distances).sum(1, keepdim=True)) / 12
    assert float((logits.grad - expected).abs().max()) < 1e-12


def test_feedback_changes_gradients_only(scene: tuple[np.ndarray, np.ndarray]):
    torch.manual_seed(1)
    network = Magnet()
    xs, xm = tensors(scene, slice(0, 32), slice(0, 32))
    plain = network.grid(xs, xm)
    fed = network.grid(xs, xm, feedback=0.5)
    assert torch.allclose(plain.logits, fed.logits, atol=1e-6)
    wanted = float(wanted_trust(plain.geography).detach())
    gradients = []
    for output in (plain, fed):
        network.zero_grad()
        output.morphological.sum().backward()
        gradients.append(network.form.top[2].bias.grad.clone())
    ratio = 1 + 0.5 * (2 * wanted - 1)
    assert torch.allclose(gradients[1], gradients[0] * ratio, rtol=1e-3, atol=1e-5)


def test_the_loss_is_finite_and_unlabelled_nodes_do_not_count(network: Magnet, scene: tuple[np.ndarray, np.ndarray]):
    output = network.grid(*tensors(scene, slice(0, 42), slice(0, 42)))
    labels = torch.tensor([[[3, -1], [16, 0]]])
    loss = total_loss(output, labels, LossWeights())
    assert bool(torch.isfinite(loss))
    assert float(trust_divergence(output.trust, output.trust)) == pytest.approx(0, abs=1e-7)
    np.testing.assert_allclose(soft_targets().sum(1), 1, atol=1e-6)


def test_it_is_small():
    assert sum(parameter.numel() for parameter in Magnet().parameters()) < 420_000
