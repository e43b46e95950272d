"""A network learns from some cells of a city and answers for others, each at its own place."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine

from models.data.cities.ground import CityGround
from models.networks.variants import build
from models.training import runs
from models.training.config import check, read_config
from models.training.folds import SETTINGS, fold_config, fold_source, train_fold
from models.training.loop import normalise
from models.training.losses import LossWeights, total_loss
from models.training.nodes import NodeSource, samples_of

SIDE = 24


@pytest.fixture(scope="module")
def city() -> CityGround:
    """Dark cells are water, bright ones bare soil; the lattice starts nine pixels down, as in real files."""
    rng = np.random.default_rng(3)
    wet = np.kron(rng.random((SIDE // 4, SIDE // 4)) < 0.5, np.ones((4, 4), bool))
    height, width = SIDE * 10 + 15, SIDE * 10 + 3
    ground = np.full((height, width), 0.3, np.float32)
    ground[9 : 9 + SIDE * 10, : SIDE * 10] = np.where(np.kron(wet, np.ones((10, 10), bool)), 0.05, 0.3)
    reflectance = np.stack([ground, ground, ground])[None] + rng.normal(0, 0.01, (2, 3, height, width))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return CityGround(
        name="made-up",
        crs="EPSG:32634",
        transform=Affine(10, 0, 0, 0, -10, 0),
        seasons=("spring", "summer"),
        reflectance=reflectance.astype(np.float32),
        valid=np.ones((height, width), bool),
        morphology=np.zeros((6, height, width), np.float32),
        lattice=(9, 0),
        truth=np.where(wet, 17, 16).astype(np.uint8),
        known=np.ones((SIDE, SIDE), bool),
        kilometre=(rows // 10 * 10 + columns // 10).astype(np.int32),
        streets=None,
        landuse=None,
        zoning=None,
    )


def test_cells_never_seen_are_told_apart_where_they_lie(city: CityGround) -> None:
    cells = np.argwhere(city.known)
    test = cells[:, 1] >= SIDE // 2
    found = train_fold(city, cells[~test], cells[test], "spectral", device="cpu", seed=0, epochs=25)
    assert found.shape == (test.sum(), 17)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-4)
    # Cells whose neighbours are of another class share their windows with them: nine in ten is what a shift breaks.
    assert np.mean(found.argmax(axis=1) + 1 == city.codes(cells[test])) > 0.9


@pytest.mark.parametrize("variant", ["magnet", "concat", "spectral"])
def test_windows_measured_once_give_the_gradients_of_their_pixels(city: CityGround, variant: str) -> None:
    config = fold_config(variant, city, "cpu", 1, 1)
    plain = {"flips": False, "gain": 0, "band_gain": 0, "offset": 0, "morphology_dropout": 0, "class_balance": 0}
    training = config.training.model_copy(
        update={"nodes": 6, "augmentation": config.training.augmentation.model_copy(update=plain)}
    )
    config = config.model_copy(update={"training": training})
    form = np.random.default_rng(5).random(city.morphology.shape).astype(np.float32)
    form[5] = form[5] > 0.2
    built = replace(city, morphology=form)
    tiles = fold_source(config, built, built.known)
    torch.manual_seed(2)
    network = build(config.model.variant, config.bands).eval()
    normalise(network, tiles, 1)
    nodes = samples_of(tiles, network, config)
    assert isinstance(nodes, NodeSource)
    whole = next(iter(replace(nodes, held=nodes.grounds).validation()))[0]
    ground = tiles.grounds[0]
    cut = tuple(slice(at, at + 90 + 10 * (n - 1)) for at, n in zip(ground.phase, whole.labels.shape[1:], strict=True))
    rasters = [
        torch.from_numpy(np.ascontiguousarray(x[:, *cut]))[None] for x in (ground.reflectance[0], ground.morphology)
    ]
    gradients = []
    for output in (whole.seen_by(network, config.feedback), network.grid(*rasters, config.feedback)):
        network.zero_grad()
        total_loss(output, whole.labels, LossWeights(0, 0, 0, 0)).backward()
        gradients.append((output.logits, [p.grad for p in network.parameters() if p.grad is not None]))
    assert float((gradients[0][0] - gradients[1][0]).detach().abs().max()) < 1e-4
    for one, other in zip(gradients[0][1], gradients[1][1], strict=True):
        assert float((one - other).abs().max()) <= 1e-4 * max(1.0, float(other.abs().max()))
    batch = next(nodes.batches(np.random.default_rng(0), 0))
    assert batch.labels.shape == (config.training.batch, 6, 6)
    assert batch.reflectance.shape[2:] == batch.morphology.shape[2:] == (14, 14)


def test_the_bundled_card_was_trained_as_its_folds_were() -> None:
    config = read_config(Path(runs.__file__).with_name("magnet-rgb.toml"))
    told = check({"data": {"kind": "city", "folders": ["."]}, "training": SETTINGS, "output": {"folder": "."}}, "folds")
    for name in SETTINGS:
        assert getattr(config.training, name) == getattr(told.training, name), name
    assert (config.model.variant, config.bands, config.data.holdout) == ("neighbourhood-magnet", 12, 0)
