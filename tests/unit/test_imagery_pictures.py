"""Sub-metre pictures: their bands, their numbers, and whose pixels the map has."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from jobs.errors import AreaOutOfLimits, BadImage, NoImagery, WrongBands
from tests.servers.pictures import picture_card
from tests.unit.imagery_samples import LEFT, TOP, Desk, codes, write
from worker.imagery.glances import glance

CARD = picture_card()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def picture(height: int = 90, width: int = 70, *, bands: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (bands, height, width)).astype(np.uint8)


@pytest.mark.parametrize("pixel", [0.3, 0.5, 0.6, 1.0])
def test_an_image_is_mapped_on_its_own_pixels(desk: Desk, pixel: float) -> None:
    data = picture()
    plan = desk.plan(write(desk.folder / "a.tif", data, pixel=pixel), card=CARD)
    grid = plan.pixel_grid
    assert (grid.crs, grid.left, grid.top, grid.resolution, grid.shape) == ("EPSG:32632", LEFT, TOP, pixel, (90, 70))
    image = desk.open(plan, CARD).read(0, 0, 90, 70)
    assert image.valid.all()
    np.testing.assert_allclose(image.reflectance, data / 255, atol=1e-7)
    assert codes(plan) == set(), "red, green and blue are what such a file says of its bands"


def test_tiles_of_one_resolution_make_one_map(desk: Desk) -> None:
    left, right = picture(seed=1), picture(seed=2)
    files = [
        write(desk.folder / "a.tif", left, pixel=0.6),
        write(desk.folder / "b.tif", right, pixel=0.6, left=LEFT + 42),
    ]
    plan = desk.plan(*files, card=CARD)
    assert (plan.pixel_grid.resolution, plan.pixel_grid.shape) == (0.6, (90, 140))
    image = desk.open(plan, CARD).read(0, 0, 90, 140)
    np.testing.assert_allclose(image.reflectance, np.concatenate([left, right], axis=2) / 255, atol=1e-7)


def test_tiles_that_differ_meet_on_a_grid_of_the_models_pixels(desk: Desk) -> None:
    files = [
        write(desk.folder / "a.tif", picture(), pixel=0.6),
        write(desk.folder / "b.tif", picture(), pixel=1.2, left=LEFT + 42),
    ]
    plan = desk.plan(*files, card=CARD)
    assert (plan.pixel_grid.crs, plan.pixel_grid.resolution) == ("EPSG:32632", 0.5)
    assert codes(plan) >= {"tiles-differ", "image-coarse"}


def test_web_mercator_is_resampled_as_its_metres_are_none(desk: Desk) -> None:
    path = write(desk.folder / "a.tif", picture(), pixel=0.6, crs="EPSG:3857", left=1_200_000.0, top=6_100_000.0)
    plan = desk.plan(path, card=CARD)
    assert (plan.pixel_grid.crs, plan.pixel_grid.resolution) == ("EPSG:32632", 0.5)


def test_coarse_images_are_told_and_too_coarse_ones_refused(desk: Desk) -> None:
    told = desk.plan(write(desk.folder / "a.tif", picture(), pixel=1.8), card=CARD)
    assert codes(told) == {"image-coarse"}
    assert told.pixel_grid.resolution == 0.5
    with pytest.raises(BadImage, match=r"pixels of 10.* m; pictures was trained on 0.5 m and maps up to 2 m"):
        desk.plan(write(desk.folder / "b.tif", picture(), pixel=10.0), card=CARD)


def test_more_ground_than_the_model_takes_is_refused(desk: Desk) -> None:
    small = CARD.model_copy(update={"limits": CARD.limits.model_copy(update={"max_km2": 1})})
    with pytest.raises(AreaOutOfLimits, match="accepts 0 to 1 km2"):
        desk.plan(write(desk.folder / "a.tif", picture(1100, 1100), pixel=1.0), card=small)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_numbers_that_are_no_bytes_are_stretched_over_the_whole_job(desk: Desk, kind: type) -> None:
    data = np.random.default_rng(0).uniform(300, 1300, (3, 90, 70)).astype(kind)
    data[:, :, :35] += 1000
    files = [
        write(desk.folder / "a.tif", data[:, :, :35], pixel=0.5, photometric="rgb"),
        write(desk.folder / "b.tif", data[:, :, 35:], pixel=0.5, left=LEFT + 17.5, photometric="rgb"),
    ]
    plan = desk.plan(*files, card=CARD)
    assert codes(plan) == {"image-stretched"}
    low, high = np.percentile(data[0], (2, 98))
    image = desk.open(plan, CARD).read(0, 0, 90, 70)
    np.testing.assert_allclose(image.reflectance[0], ((data[0] - low) / (high - low)).clip(0, 1), atol=1e-4)
    assert image.reflectance.min() == 0
    assert image.reflectance.max() == 1


def test_a_look_at_a_large_file_takes_little_memory(desk: Desk) -> None:
    data = np.random.default_rng(0).integers(1, 4000, (3, 2000, 2000)).astype(np.uint16)
    plan = desk.plan(write(desk.folder / "a.tif", data, pixel=0.5, photometric="rgb"), card=CARD, scale=1.0)
    file = plan.stacks[0].layers[0].files[0]
    tracemalloc.start()
    values, valid = glance(file, plan, lambda _: rasterio.open(desk.folder / "a.tif"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert valid.all()
    assert values.shape == (3, 500, 500)
    np.testing.assert_array_equal(values, data[:, 2::4, 2::4])
    assert peak < 32 * 2**20, "the file itself has 24 MB, read whole it takes thrice as much"


def test_numbers_the_request_explains_are_not_stretched(desk: Desk) -> None:
    data = np.random.default_rng(0).uniform(0.2, 0.4, (3, 90, 70)).astype(np.float32)
    plan = desk.plan(write(desk.folder / "a.tif", data, pixel=0.5, photometric="rgb"), card=CARD, scale=1.0)
    np.testing.assert_array_equal(desk.open(plan, CARD).read(0, 0, 90, 70).reflectance, data)
    assert codes(plan) == set()


def test_an_image_of_one_number_shows_nothing(desk: Desk) -> None:
    with pytest.raises(BadImage, match="nothing to see"):
        desk.plan(write(desk.folder / "a.tif", np.full((3, 40, 40), 700, np.uint16), pixel=0.5), card=CARD)


def test_near_infrared_behind_the_colours_is_let_alone(desk: Desk) -> None:
    data = picture(bands=4)
    path = write(desk.folder / "a.tif", data, pixel=0.5, photometric="minisblack", alpha="unspecified")
    plan = desk.plan(path, card=CARD)
    assert codes(plan) == {"band-order-assumed", "bands-ignored"}
    image = desk.open(plan, CARD).read(0, 0, 90, 70)
    assert image.valid.all()
    np.testing.assert_allclose(image.reflectance, data[:3] / 255, atol=1e-7)


def test_bands_go_by_their_names(desk: Desk) -> None:
    data = picture(bands=4)
    names = ("nir", "blue", "green", "red")
    plan = desk.plan(write(desk.folder / "a.tif", data, pixel=0.5, names=names, alpha="unspecified"), card=CARD)
    image = desk.open(plan, CARD).read(0, 0, 90, 70)
    np.testing.assert_allclose(image.reflectance, data[[3, 2, 1]] / 255, atol=1e-7)
    assert [w.detail for w in plan.warnings] == [
        "of a.tif, pictures reads red, green, blue alone and not the others (B08)"
    ]


def test_alpha_says_what_is_there(desk: Desk) -> None:
    data = picture(bands=4)
    data[3] = 255
    data[3, :, :20] = 0
    path = write(desk.folder / "a.tif", data, pixel=0.5, photometric="rgb", alpha="yes")
    image = desk.open(desk.plan(path, card=CARD), CARD).read(0, 0, 90, 70)
    assert (image.valid == (data[3] > 0)).all()


def test_black_is_no_data_and_a_colour_without_blue_is_not(desk: Desk) -> None:
    data = picture()
    data[2, :, :20] = 0
    data[:, :, 40:] = 0
    plan = desk.plan(write(desk.folder / "a.tif", data, pixel=0.5, nodata=0), card=CARD)
    image = desk.open(plan, CARD).read(0, 0, 90, 70)
    np.testing.assert_array_equal(image.valid, (data > 0).any(axis=0))
    np.testing.assert_allclose(image.reflectance[:, image.valid], data[:, image.valid] / 255, atol=1e-7)


def test_one_band_is_no_picture(desk: Desk) -> None:
    with pytest.raises(WrongBands, match=r"needs 3 bands; missing: red, green, blue; found: 1 without a name"):
        desk.plan(write(desk.folder / "a.tif", picture(bands=1), pixel=0.5), card=CARD)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_an_image_without_a_valid_pixel_is_refused(desk: Desk, kind: type) -> None:
    path = write(desk.folder / "a.tif", np.zeros((3, 40, 40), kind), pixel=0.5, nodata=0)
    with pytest.raises(NoImagery, match="no valid pixel"):
        desk.plan(path, card=CARD)


def test_a_tile_without_a_valid_pixel_is_named_beside_others(desk: Desk) -> None:
    files = [
        write(desk.folder / "a.tif", picture(), pixel=0.5, nodata=0),
        write(desk.folder / "b.tif", np.zeros((3, 90, 70), np.uint8), pixel=0.5, left=LEFT + 35, nodata=0),
    ]
    plan = desk.plan(*files, card=CARD)
    assert codes(plan) == {"image-empty"}
    assert "mapped of: b.tif;" in plan.warnings[0].detail
    assert desk.open(plan, CARD).read(0, 0, 90, 140).valid.mean() == 0.5


def test_the_picture_is_mirrored_as_far_as_the_network_looks(desk: Desk) -> None:
    data = picture()
    far = CARD.model_copy(update={"geometry": CARD.geometry.model_copy(update={"halo": 32})})
    plan = desk.plan(write(desk.folder / "a.tif", data, pixel=0.5), card=far)
    image = desk.open(plan, far).read(-32, 0, 64, 70)
    np.testing.assert_allclose(image.reflectance[:, 0], data[:, 32] / 255, atol=1e-7)


def test_colours_of_a_file_count_before_their_order(desk: Desk) -> None:
    data = picture()
    path = write(desk.folder / "a.tif", data, pixel=0.5, photometric="minisblack")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = (ColorInterp.blue, ColorInterp.green, ColorInterp.red)
    image = desk.open(desk.plan(path, card=CARD), CARD).read(0, 0, 90, 70)
    np.testing.assert_allclose(image.reflectance, data[::-1] / 255, atol=1e-7)
