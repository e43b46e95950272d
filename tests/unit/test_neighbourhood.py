"""MAGNET over window moments: dense equals patch, what each window sees, trust, feedback, and its standardisation."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from models.data.procedural import generate  # noqa: E402 - after the check for torch
from models.networks.magnet import STEP, wanted_trust  # noqa: E402
from models.networks.neighbourhood import WINDOW, Neighbourhood, cut, moments  # noqa: E402
from models.networks.variants import VARIANTS, build  # noqa: E402
from models.networks.weights import load_weights  # noqa: E402
from models.training.weights import save_weights  # noqa: E402

NAMES = [name for name in VARIANTS if name.startswith("neighbourhood")]


@pytest.fixture(scope="module")
def scene() -> tuple:
    city = generate(15, (WINDOW + 22, WINDOW + 22))
    form = city.morphology()
    form[:, 70:] = 0
    return tuple(torch.from_numpy(x)[None] for x in (city.reflectance, form))


def ready(name: str, scene: tuple, bands: int = 10):
    torch.manual_seed(4)
    network = build(name, bands).eval()
    network.mean.fill_(0.15)
    network.spread.fill_(0.05)
    network.standardise(scene[0][:, :bands], scene[1])
    return network


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bands", [3, 10])
def test_dense_equals_patch(scene: tuple, name: str, bands: int):
    network = ready(name, scene, bands)
    xs, xm = scene[0][:, :bands], scene[1]
    with torch.no_grad():
        dense, trust = network.pixels(xs, xm)
        windows = [(i, j) for i in range(0, 22, 3) for j in range(0, 22, 3)]
        patches = [torch.cat([x[:, :, i : i + WINDOW, j : j + WINDOW] for i, j in windows]) for x in (xs, xm)]
        each = network(*patches)
        grid = torch.softmax(network.grid(xs, xm).logits, dim=1)
    probabilities = torch.softmax(each.logits, dim=1)[:, :, 0, 0].T
    there = torch.stack([dense[0, :, i, j] for i, j in windows], dim=1)
    assert dense.shape == (1, 17, 22, 22)
    assert grid.shape == (1, 17, 3, 3)
    assert float((there - probabilities).abs().max()) <= 1e-5
    assert bool((there.argmax(0) == probabilities.argmax(0)).all())
    assert float((grid[0, :, :2, :2] - dense[0, :, :20:STEP, :20:STEP]).abs().max()) <= 1e-5
    trusts = torch.stack([trust[0, 0, i, j] for i, j in windows])
    assert float((trusts - each.trust.mean(dim=1)[:, 0, 0]).abs().max()) <= 1e-5


def test_a_node_sees_its_window_and_nothing_else(scene: tuple):
    network = ready("neighbourhood-magnet", scene)
    xs, xm = scene
    first = {}
    for place in (WINDOW - 1, WINDOW):  # the last column of the first node's window, and the one after it
        changed = xs.clone()
        changed[..., place] += 0.3
        with torch.no_grad():
            first[place] = (network.grid(changed, xm).logits - network.grid(xs, xm).logits)[0, :, 0, 0].abs().max()
    assert float(first[WINDOW - 1]) > 0
    assert float(first[WINDOW]) == 0


def test_without_buildings_it_is_exactly_spectral(scene: tuple):
    network = ready("neighbourhood-magnet", scene)
    nothing = torch.zeros_like(scene[1])
    with torch.no_grad():
        output = network.grid(scene[0], nothing)
        assert float(output.trust.abs().max()) == 0
        for name, weights in network.named_parameters():
            if "form" in name:
                weights.add_(torch.randn_like(weights))
        assert torch.equal(network.grid(scene[0], nothing).logits, output.logits)
        assert not torch.equal(network.grid(*scene).logits, output.logits)


def test_feedback_changes_gradients_alone(scene: tuple):
    network = ready("neighbourhood-magnet", scene)
    gradients = {}
    for feedback in (0.0, 0.5):
        network.zero_grad()
        output = network.grid(*scene, feedback=feedback)
        output.logits.square().sum().backward()
        gradients[feedback] = output, network.stems["form"][0].weight.grad.clone()
    assert torch.equal(gradients[0.0][0].logits, gradients[0.5][0].logits)
    assert not torch.equal(gradients[0.0][1], gradients[0.5][1])
    wanted = wanted_trust(gradients[0.0][0].geography)
    assert wanted.shape == gradients[0.0][0].trust[:, :1].shape


def test_moments_are_those_of_the_pixels():
    pixels = torch.rand(1, 2, 30, 20, generator=torch.Generator().manual_seed(1))
    found = moments(pixels, STEP)
    window = pixels[0, 1, 10:20, :10]
    assert found.shape == (1, 6, 3, 2)
    assert float(found[0, 1, 1, 0]) == pytest.approx(float(torch.log1p(window.mean())), abs=1e-6)
    spread = torch.log(window.std(correction=0) + 0.02) + 2
    assert float(found[0, 3, 1, 0]) == pytest.approx(float(spread), abs=1e-5)
    slope = window.diff(dim=0).abs().mean() + window.diff(dim=1).abs().mean()
    assert float(found[0, 5, 1, 0]) == pytest.approx(float(torch.log(slope + 0.02) + 2), abs=1e-5)
    turned = moments(torch.rot90(pixels, 1, (2, 3)), STEP)
    assert float((torch.rot90(found, 1, (2, 3)) - turned).abs().max()) < 1e-5


def test_moments_count_alike(scene: tuple):
    network = ready("neighbourhood-magnet", scene)
    found = network._standard("spectral", moments((scene[0] - network.mean) / network.spread, STEP))
    assert float(found.mean(dim=(0, 2, 3)).abs().max()) < 0.2
    assert 0.5 < float(found.std(dim=(0, 2, 3)).median()) < 1.5
    assert torch.equal(cut(found, 1), found[:, :, 1:-1, 1:-1])


@pytest.mark.parametrize("name", NAMES)
def test_weights_tell_their_variant(scene: tuple, name: str, tmp_path):
    network = ready(name, scene, 3)
    save_weights(network, tmp_path / "w.safetensors", "a test")
    again = load_weights(tmp_path / "w.safetensors")
    assert isinstance(again, Neighbourhood)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}
