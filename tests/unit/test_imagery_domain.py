"""The domain warning: unlike what a network was trained on, or not; on made and on real images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.imagery_samples import BANDS, CARD, Desk, codes
from worker.imagery import domain_warning
from worker.imagery.domain import domain_distance

THIRTEEN = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A")


def image_at(sigmas: np.ndarray) -> np.ndarray:
    assert CARD.domain
    median, sigma = np.array(CARD.domain.median), np.array(CARD.domain.iqr) / 1.349
    return np.broadcast_to((median + sigmas * sigma)[:, None, None], (10, 20, 20)).astype(np.float32)


def test_distance_is_in_standard_deviations() -> None:
    distance = domain_distance(image_at(np.arange(10) / 10), np.ones((20, 20), np.bool_), CARD)
    np.testing.assert_allclose(distance, np.arange(10) / 10, atol=1e-5)


@pytest.mark.parametrize(
    ("sigmas", "warned"),
    [
        ([0.0] * 10, False),
        ([-1.5] + [0.0] * 9, True),
        ([0.0] * 6 + [1.5, 1.5, 0, 0], False),
        ([0.9] * 10, False),
        ([0.9, 0.9, 0.9] + [1.2] * 7, True),
    ],
)
def test_visible_bands_and_the_mean_decide(sigmas: list[float], warned: bool) -> None:
    made = domain_warning(image_at(np.array(sigmas)), np.ones((20, 20), np.bool_), CARD)
    assert (made is not None) is warned
    if made:
        assert made.code == "domain-shift"
        assert "top-of-atmosphere" in made.detail


def test_nothing_valid_or_no_domain() -> None:
    image = image_at(np.full(10, 9.0))
    assert domain_warning(image, np.zeros((20, 20), np.bool_), CARD) is None
    assert domain_warning(image, np.ones((20, 20), np.bool_), CARD.model_copy(update={"domain": None})) is None


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("scene", "warned"),
    [
        ("majortom_199U_1099R", True),
        ("ssl4eo_s2c", False),
        ("eurosat_AnnualCrop_1.tif", False),
        ("eurosat_SeaLake_3000.tif", True),
    ],
)
def test_real_scenes(tmp_path: Path, shared_data: Path, scene: str, warned: bool) -> None:
    """Level-2A villages are told apart from Level-1C farmland; a lake is unlike any city."""
    desk, place = Desk(tmp_path), shared_data / "sentinel2_10band_chips" / scene
    paths = [place] if place.is_file() else sorted(place.glob("B*.tif"))
    plan = desk.plan(*paths, **({"bands": THIRTEEN} if place.is_file() else {}))
    grid = plan.pixel_grid
    assert plan.bands == BANDS
    assert codes(plan) == {"scale-assumed"}
    image = desk.open(plan).read(0, 0, min(300, grid.height), min(300, grid.width))
    assert image.valid.mean() > 0.5
    assert (domain_warning(image.reflectance, image.valid, CARD) is not None) is warned


@pytest.mark.real_data
def test_major_tom_keeps_its_own_pixels(tmp_path: Path, shared_data: Path) -> None:
    desk = Desk(tmp_path)
    folder = shared_data / "sentinel2_10band_chips" / "majortom_199U_1099R"
    plan = desk.plan(*[folder / f"{band}.tif" for band in BANDS])
    grid = plan.pixel_grid
    assert (grid.crs, grid.resolution, grid.shape) == ("EPSG:32648", 10.0, (1070, 1070))
    image = desk.open(plan).read(400, 400, 100, 100)
    assert image.valid.all()


@pytest.mark.real_data
def test_ssl4eo_in_degrees_is_laid_onto_utm(tmp_path: Path, shared_data: Path) -> None:
    desk = Desk(tmp_path)
    plan = desk.plan(*sorted((shared_data / "sentinel2_10band_chips" / "ssl4eo_s2c").glob("B*.tif")))
    grid = plan.pixel_grid
    assert (grid.crs, grid.resolution) == ("EPSG:32643", 10.0)
    image = desk.open(plan).read(0, 0, *grid.shape)
    assert 0.7 < image.valid.mean() < 1
    assert np.median(image.reflectance[0][image.valid]) == pytest.approx(0.133, abs=0.005)
