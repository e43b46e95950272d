"""MAGNET's parts one by one: bands, trust, the exchange, the skip, and gradients that grow on the way back only."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.data.procedural import generate  # noqa: E402 - after the check for torch
from models.networks.magnet import Magnet, amplify, class_distances, geography_of, wanted_trust  # noqa: E402
from models.training.losses import LossWeights, geographic_loss, total_loss  # noqa: E402


@pytest.fixture(scope="module")
def scene() -> tuple:
    city = generate(14, (52, 52))
    form = city.morphology()
    form[:, :, 40:] = 0
    return tuple(torch.from_numpy(x)[None] for x in (city.reflectance, form))


def rgb(reflectance: object, seasons: int = 1) -> object:
    return torch.cat([reflectance[:, [2, 1, 0]]] * seasons, dim=1)


def test_amplify_is_the_identity_forward_and_scales_the_gradient():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    factor = torch.rand(2, 1, 4, 4, requires_grad=True)
    y = amplify(x, factor)
    assert torch.equal(y, x)
    upstream = torch.randn_like(y)
    y.backward(upstream)
    assert torch.equal(x.grad, upstream * factor)
    assert factor.grad is None


def test_feedback_leaves_every_number_of_the_forward_pass_alone(scene: tuple):
    torch.manual_seed(2)
    network = Magnet()
    plain, fed = network.grid(*scene), network.grid(*scene, feedback=0.5)
    for name in ("logits", "spectral", "morphological", "trust", "predicted"):
        assert torch.equal(getattr(plain, name), getattr(fed, name)), name


def test_feedback_scales_each_branch_as_the_formula_says(scene: tuple):
    torch.manual_seed(2)
    network = Magnet().double()
    pair = [x.double()[..., :32, :32] for x in scene]
    beta = 0.5
    wanted = float(wanted_trust(network.grid(*pair).geography))
    assert 0 < wanted < 1
    found = {}
    for feedback in (0.0, beta):
        for branch, logits in (("form", "morphological"), ("spectral", "spectral")):
            network.zero_grad()
            getattr(network.grid(*pair, feedback=feedback), logits).square().sum().backward()
            found[branch, feedback] = getattr(network, branch).top[2].bias.grad.clone()
    for branch, factor in (("form", 1 + beta * (2 * wanted - 1)), ("spectral", 1 + beta * (1 - 2 * wanted))):
        assert torch.allclose(found[branch, beta], found[branch, 0.0] * factor, rtol=1e-9)


@pytest.mark.parametrize("bands", [3, 10, 12])
def test_any_number_of_bands_and_the_dense_form_agree(scene: tuple, bands: int):
    torch.manual_seed(5)
    network = Magnet(bands).eval()
    xs = scene[0] if bands == 10 else rgb(scene[0], bands // 3)
    with torch.no_grad():
        grid = torch.softmax(network.grid(xs, scene[1]).logits, dim=1)
        dense, _ = network.pixels(xs, scene[1])
    assert grid.shape == (1, 17, 3, 3)
    assert float((grid[..., :2, :2] - dense[..., ::10, ::10]).abs().max()) <= 1e-5
    assert network.spectral.early[0].weight.shape[1] == bands


def test_without_infrared_sealed_ground_is_unknown_and_heights_are_not(scene: tuple):
    full, bare = geography_of(scene[0], scene[1], 10), geography_of(rgb(scene[0]), scene[1], 10)
    assert float(bare.known[:, 3:5].max()) == 0
    assert float(full.known[:, 3:5].max()) > 0
    for kept in (0, 1, 2, 5, 6):
        assert torch.equal(bare.priors[:, kept], full.priors[:, kept])
        assert torch.equal(bare.known[:, kept], full.known[:, kept])
    assert torch.allclose(bare.urban[0, 0], (bare.priors[0, 2] / 0.6).clamp(0, 1))
    assert bool(torch.isfinite(class_distances(bare)).all())


@pytest.mark.parametrize("bands", [3, 10])
def test_without_buildings_the_answer_is_exactly_the_spectral_branch(scene: tuple, bands: int):
    torch.manual_seed(6)
    network = Magnet(bands).eval()
    xs = scene[0] if bands == 10 else rgb(scene[0])
    nothing = torch.zeros_like(scene[1])
    nothing[:, :5] = torch.rand_like(nothing[:, :5])  # garbage under valid = 0
    seen: dict[str, object] = {}
    handle = network.classify_spectral.register_forward_hook(lambda _m, inputs, _o: seen.update(fs=inputs[0]))
    with torch.no_grad():
        output = network.grid(xs, nothing)
        handle.remove()
        assert float(output.trust.abs().max()) == 0
        assert torch.equal(output.logits, network.classify(seen["fs"]))
        for parameter in network.form.parameters():
            parameter.normal_()
        assert torch.equal(network.grid(xs, nothing).logits, output.logits)


def test_each_exchange_carries_something_across(scene: tuple):
    torch.manual_seed(7)
    network = Magnet().eval()
    pair = [x[..., :32, :32] for x in scene]
    with torch.no_grad():
        before = network.grid(*pair)
        for k in (0, 1):
            for exchange, logits in ((network.to_spectral[k], "spectral"), (network.to_form[k], "morphological")):
                saved = {name: value.clone() for name, value in exchange.state_dict().items()}
                for parameter in exchange.parameters():
                    parameter.zero_()
                assert not torch.equal(getattr(network.grid(*pair), logits), getattr(before, logits))
                exchange.load_state_dict(saved)
        network.spectral.skip.weight.zero_()
        assert not torch.equal(network.grid(*pair).spectral, before.spectral)


def test_the_geographic_gradient_reaches_the_logits_of_the_network(scene: tuple):
    torch.manual_seed(8)
    output = Magnet(3).double().grid(rgb(scene[0]).double(), scene[1].double())
    distances = class_distances(output.geography)
    probabilities = torch.softmax(output.logits, dim=1)
    (gradient,) = torch.autograd.grad(geographic_loss(probabilities, distances), output.logits)
    nodes = output.logits.shape[2] * output.logits.shape[3]
    expected = probabilities * (distances - (probabilities * distances).sum(1, keepdim=True)) / nodes
    expected = expected.detach()
    assert float((gradient - expected).abs().max()) < 1e-14
    assert float(expected.abs().max()) > 0


def test_the_loss_teaches_three_bands_without_buildings(scene: tuple):
    torch.manual_seed(9)
    network = Magnet(3)
    output = network.grid(rgb(scene[0]), torch.zeros_like(scene[1]), feedback=0.5)
    loss = total_loss(output, torch.tensor(np.arange(9).reshape(1, 3, 3)), LossWeights())
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters() if p.grad is not None)
    assert float(network.form.top[2].weight.grad.abs().max()) == 0
