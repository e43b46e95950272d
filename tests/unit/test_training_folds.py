"""A network learns from some cells of a city and answers for others, each at its own place."""

import numpy as np
import pytest
from affine import Affine

from models.data.cities.ground import CityGround
from models.training.folds import train_fold

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
