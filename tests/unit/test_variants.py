"""The comparison networks: dense equals patch, what each looks at, and their size beside MAGNET's."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from models.data.procedural import generate  # noqa: E402 - after the check for torch
from models.networks.magnet import Magnet  # noqa: E402
from models.networks.variants import VARIANTS, LateConcatenation, SpectralOnly, build  # noqa: E402


@pytest.fixture(scope="module")
def scene() -> tuple:
    city = generate(15, (56, 56))
    form = city.morphology()
    form[:, 40:] = 0
    return tuple(torch.from_numpy(x)[None] for x in (city.reflectance, form))


@pytest.mark.parametrize("kind", [LateConcatenation, SpectralOnly])
@pytest.mark.parametrize("bands", [3, 10])
def test_dense_equals_patch(scene: tuple, kind: type, bands: int):
    torch.manual_seed(4)
    network = kind(bands).eval()
    xs, xm = scene[0][:, :bands], scene[1]
    network.mean.fill_(0.15)
    network.spread.fill_(0.05)
    with torch.no_grad():
        dense, trust = network.pixels(xs, xm)
        windows = [(i, j) for i in range(24) for j in range(24)]
        patches = [torch.cat([x[:, :, i : i + 32, j : j + 32] for i, j in windows]) for x in (xs, xm)]
        each = torch.softmax(network(*patches).logits, dim=1)[:, :, 0, 0].T.reshape(1, 17, 24, 24)
        grid = torch.softmax(network.grid(xs, xm).logits, dim=1)
    assert dense.shape == (1, 17, 24, 24)
    assert trust.shape == (1, 1, 24, 24)
    assert float((dense - each).abs().max()) <= 1e-5
    assert bool((dense.argmax(1) == each.argmax(1)).all())
    assert float((grid - each[..., ::10, ::10]).abs().max()) <= 1e-5


def test_what_each_looks_at(scene: tuple):
    torch.manual_seed(4)
    nothing = torch.zeros_like(scene[1])
    with torch.no_grad():
        alone = SpectralOnly().eval()
        assert torch.equal(alone.grid(*scene).logits, alone.grid(scene[0], nothing).logits)
        both = LateConcatenation().eval()
        assert not torch.equal(both.grid(*scene).logits, both.grid(scene[0], nothing).logits)
        assert float(both.grid(*scene).trust.abs().max()) == 0


def test_sizes_are_comparable():
    sizes = {name: sum(p.numel() for p in build(name).parameters()) for name in VARIANTS}
    branch = sum(p.numel() for p in Magnet().spectral.parameters())
    assert sizes["spectral-only"] == branch + 128 * 17 + 17
    assert 2 * branch < sizes["late-concatenation"] + 2000 < sizes["magnet"]
    assert build("magnet", 3).bands == 3
    with pytest.raises(ValueError, match="feedback 0"):
        build("spectral-only").grid(torch.zeros(1, 10, 32, 32), torch.zeros(1, 6, 32, 32), feedback=0.5)
