"""Uploaded images: which bands, which numbers, which grid, and what is not valid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from jobs.area import Area, parse_area, project
from jobs.errors import BadImage, NoImagery, WrongBands
from models.cards import Domain, card_of
from tests.unit.imagery_samples import BANDS, CARD, LEFT, TOP, Desk, city, codes, write


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def square(left: float, bottom: float, right: float, top: float, crs: str = "EPSG:32632") -> Area:
    from shapely.geometry import box, mapping  # noqa: PLC0415 - one place only

    return parse_area(
        mapping(project(box(left, bottom, right, top), "EPSG:4326", source=crs)), pointer="", max_vertices=999
    )


def test_own_pixels_are_not_resampled(desk: Desk) -> None:
    data = city(120, 140)
    plan = desk.plan(write(desk.folder / "a.tif", data, names=BANDS))
    grid = plan.pixel_grid
    assert (grid.crs, grid.left, grid.top, grid.resolution, grid.shape) == ("EPSG:32632", LEFT, TOP, 10.0, (120, 140))
    image = desk.open(plan).read(0, 0, 120, 140)
    assert image.valid.all()
    assert image.reflectance.dtype == np.float32
    np.testing.assert_array_equal(image.reflectance, (data * 0.0001).astype(np.float32))
    assert codes(plan) == {"scale-assumed"}


def test_area_cuts_to_whole_cells_of_own_pixels(desk: Desk) -> None:
    data = city(300, 300)
    area = square(LEFT + 503, TOP - 998, LEFT + 777, TOP - 603)
    plan = desk.plan(write(desk.folder / "a.tif", data, names=BANDS), area=area)
    grid = plan.pixel_grid
    assert (grid.width % 10, grid.height % 10) == (0, 0)
    assert ((grid.left - LEFT) % 10, (TOP - grid.top) % 10) == (0, 0)
    assert grid.left <= LEFT + 503
    assert grid.bounds[2] >= LEFT + 777
    column, row = int((grid.left - LEFT) / 10), int((TOP - grid.top) / 10)
    image = desk.open(plan).read(-5, -5, grid.height + 10, grid.width + 10)
    assert image.valid.all(), "real pixels beyond the area's grid are read"
    expected = data[:, row - 5 : row + grid.height + 5, column - 5 : column + grid.width + 5]
    np.testing.assert_array_equal(image.reflectance, (expected * 0.0001).astype(np.float32))


def test_tiny_area_at_the_edge_gets_a_whole_cell_of_real_pixels(desk: Desk) -> None:
    area = square(LEFT + 985, TOP - 995, LEFT + 995, TOP - 985)
    plan = desk.plan(write(desk.folder / "a.tif", city(100, 100), names=BANDS), area=area)
    assert plan.pixel_grid.shape == (10, 10)
    assert desk.open(plan).read(0, 0, 10, 10).valid.all()


def test_beyond_the_image_is_not_valid_and_mirrors_it(desk: Desk) -> None:
    data = city(64, 64)
    plan = desk.plan(write(desk.folder / "a.tif", data, names=BANDS))
    assert plan.pixel_grid.shape == (70, 70), "rounded up to whole scene cells"
    image = desk.open(plan).read(-3, -3, 80, 80)
    assert image.valid.sum() == 64 * 64
    mirrored = (data[:, 3, 10] * 0.0001).astype(np.float32)
    np.testing.assert_array_equal(image.reflectance[:, 0, 13], mirrored)


def test_far_beyond_the_image_the_models_usual_reflectance_stands(desk: Desk) -> None:
    plan = desk.plan(write(desk.folder / "a.tif", city(64, 64), names=BANDS))
    domain = CARD.domain or Domain(median=(), iqr=())
    far = desk.open(plan).read(-40, -40, 10, 10)
    assert not far.valid.any()
    np.testing.assert_array_equal(far.reflectance[:, 0, 0], np.array(domain.median, np.float32))


def test_web_mercator_pixels_are_not_ten_metres(desk: Desk) -> None:
    path = write(desk.folder / "a.tif", city(200, 200), names=BANDS, crs="EPSG:3857", left=1_200_000.0, top=6_100_000.0)
    assert desk.plan(path).pixel_grid.crs == "EPSG:32632"


def test_single_bands_of_two_resolutions(desk: Desk) -> None:
    fine, coarse = city(100, 100, bands=10), city(50, 50, bands=10, seed=1)
    paths = []
    for i, band in enumerate(BANDS):
        ten = band in {"B02", "B03", "B04", "B08"}
        data, pixel = (fine[i : i + 1], 10.0) if ten else (coarse[i : i + 1], 20.0)
        paths.append(write(desk.folder / f"{band}.tif", data, pixel=pixel))
    plan = desk.plan(*reversed(paths))
    assert plan.pixel_grid.shape == (100, 100)
    image = desk.open(plan).read(0, 0, 100, 100)
    assert image.valid.all()
    np.testing.assert_array_equal(image.reflectance[0], (fine[0] * 0.0001).astype(np.float32))
    quarter = (
        0.75 * 0.75 * coarse[3, 10, 10]
        + 0.25 * 0.75 * (coarse[3, 10, 9] + np.int64(coarse[3, 9, 10]))
        + 0.0625 * coarse[3, 9, 9]
    )
    assert image.reflectance[3, 20, 20] == pytest.approx(quarter * 0.0001, abs=1e-7)
    assert len(plan.warnings) == 1, "ten files need not be told ten times"


def test_nodata_alpha_and_masks(desk: Desk) -> None:
    data = city(40, 40)
    data[:, 5, 5] = 9999
    told = desk.plan(write(desk.folder / "nodata.tif", data, names=BANDS, nodata=9999))
    assert not desk.open(told).read(5, 5, 1, 1).valid[0, 0]

    alpha = np.concatenate([city(40, 40), np.full((1, 40, 40), 65535, np.uint16)])
    alpha[10, 7, 8] = 0
    path = desk.folder / "alpha.tif"
    profile = {
        "driver": "GTiff",
        "count": 11,
        "height": 40,
        "width": 40,
        "dtype": "uint16",
        "crs": "EPSG:32632",
        "transform": from_origin(LEFT, TOP, 10, 10),
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * 9 + [ColorInterp.alpha]
        dataset.write(alpha)
    valid = desk.open(desk.plan(path)).read(0, 0, 40, 40).valid
    assert (valid.sum(), valid[7, 8]) == (1599, False)

    masked = write(desk.folder / "mask.tif", city(40, 40), names=BANDS)
    mask = np.full((40, 40), 255, np.uint8)
    mask[3, 4] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(masked, "r+") as dataset:
        dataset.write_mask(mask)
    valid = desk.open(desk.plan(masked)).read(0, 0, 40, 40).valid
    assert (valid.sum(), valid[3, 4]) == (1599, False)


def test_zero_is_no_data_only_in_all_bands_and_unsaid(desk: Desk) -> None:
    data = city(40, 40)
    data[3, 5, 5] = 0
    data[:, 6, 6] = 0
    valid = desk.open(desk.plan(write(desk.folder / "a.tif", data, names=BANDS))).read(0, 0, 40, 40).valid
    assert (valid[5, 5], valid[6, 6]) == (True, False)


def test_nan_is_not_valid(desk: Desk) -> None:
    data = (city(40, 40) * 0.0001).astype(np.float32)
    data[2, 1, 1] = np.nan
    plan = desk.plan(write(desk.folder / "a.tif", data, names=BANDS))
    image = desk.open(plan).read(0, 0, 40, 40)
    assert codes(plan) == set()
    assert not image.valid[1, 1]
    assert np.isfinite(image.reflectance).all()


@pytest.mark.parametrize(
    ("given_in", "expected"),
    [({"scale": 0.0002}, 0.0002), ({"scale": 0.0001, "offset": -0.1}, None), ({}, 0.0001)],
)
def test_scale_and_offset_of_the_request(desk: Desk, given_in: dict[str, float], expected: float | None) -> None:
    data = np.full((10, 30, 30), 2500, np.uint16)
    plan = desk.plan(write(desk.folder / "a.tif", data, names=BANDS), **given_in)
    value = desk.open(plan).read(0, 0, 1, 1).reflectance[0, 0, 0]
    assert value == pytest.approx(2500 * expected if expected else 0.15)
    assert ("scale-assumed" in codes(plan)) is not bool(given_in)


def test_scale_and_offset_of_the_tags(desk: Desk) -> None:
    path = write(desk.folder / "a.tif", np.full((10, 30, 30), 2500, np.uint16), names=BANDS)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.0001,) * 10, (-0.1,) * 10
    plan = desk.plan(path)
    assert desk.open(plan).read(0, 0, 1, 1).reflectance[0, 0, 0] == pytest.approx(0.15)
    assert codes(plan) == set()


def test_offset_is_suspected(desk: Desk) -> None:
    plan = desk.plan(write(desk.folder / "a.tif", city(30, 30) + np.uint16(1000), names=BANDS))
    assert "offset-suspected" in codes(plan)


@pytest.mark.parametrize("data", [np.full((10, 30, 30), 900, np.float32), np.full((10, 30, 30), -5000, np.int16)])
def test_numbers_that_are_not_reflectance(desk: Desk, data: np.ndarray) -> None:
    with pytest.raises(BadImage, match=r"imagery\.scale"):
        desk.plan(write(desk.folder / "a.tif", data, names=BANDS))


def test_all_no_data(desk: Desk) -> None:
    with pytest.raises(NoImagery, match="no valid pixel"):
        desk.plan(write(desk.folder / "a.tif", np.zeros((10, 30, 30), np.uint16), names=BANDS))


def test_three_bands_for_a_ten_band_model(desk: Desk) -> None:
    with pytest.raises(WrongBands) as caught:
        desk.plan(write(desk.folder / "a.tif", city(30, 30, bands=3), names=("red", "green", "blue")))
    assert "missing: B05, B06, B07, B08, B8A, B11, B12" in caught.value.detail
    assert "red, green, blue" in caught.value.detail or "B04, B03, B02" in caught.value.detail
    assert caught.value.faults[0].pointer == "/inputs/imagery/uploads"


def test_order_of_ten_unnamed_bands_is_assumed_and_told(desk: Desk) -> None:
    plan = desk.plan(write(desk.folder / "a.tif", city(30, 30)))
    assert "band-order-assumed" in codes(plan)


def test_stacked_seasons_are_found_by_their_names(desk: Desk) -> None:
    card = card_of("magnet-rgb")
    data, names = city(30, 30, bands=12), card.input.bands[::-1]
    plan = desk.plan(write(desk.folder / "a.tif", data, names=names), card=card)
    assert "band-order-assumed" not in codes(plan)
    image = desk.open(plan, card).read(0, 0, 30, 30)
    np.testing.assert_array_equal(image.reflectance, (data[::-1] * 0.0001).astype(np.float32))


def test_thirteen_bands_need_names(desk: Desk) -> None:
    path = write(desk.folder / "a.tif", city(30, 30, bands=13))
    with pytest.raises(WrongBands, match="13 without a name"):
        desk.plan(path)
    order = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A")
    plan = desk.plan(path, bands=order)
    reads = {b.band: b.index for b in plan.stacks[0].layers[0].files[0].bands}
    assert (reads["B8A"], reads["B11"], reads["B02"]) == (13, 11, 2)
    with pytest.raises(WrongBands, match="names 10 bands"):
        desk.plan(path, bands=BANDS)


def test_bands_of_the_request_win_over_descriptions(desk: Desk) -> None:
    plan = desk.plan(write(desk.folder / "a.tif", city(30, 30), names=BANDS), bands=tuple(reversed(BANDS)))
    reads = {b.band: b.index for b in plan.stacks[0].layers[0].files[0].bands}
    assert (reads["B02"], reads["B12"]) == (10, 1)


def test_area_outside_names_both_extents(desk: Desk) -> None:
    path = write(desk.folder / "a.tif", city(30, 30), names=BANDS)
    with pytest.raises(NoImagery, match=r"lies outside the uploaded image \(10\.\d+, 47") as caught:
        desk.plan(path, area=square(LEFT + 9000, TOP - 900, LEFT + 9500, TOP - 500))
    assert caught.value.faults[0].pointer == "/inputs/aoi"


def test_area_partly_outside_is_told(desk: Desk) -> None:
    path = write(desk.folder / "a.tif", city(100, 100), names=BANDS)
    plan = desk.plan(path, area=square(LEFT + 500, TOP - 900, LEFT + 1500, TOP - 100))
    warned = next(w for w in plan.warnings if w.code == "partial-coverage")
    assert "50.0 %" in warned.detail
    assert plan.coverage == pytest.approx(0.5, abs=0.001)


def test_vector_upload_as_imagery(desk: Desk) -> None:
    path = desk.folder / "a.json"
    path.write_text('{"type": "Point", "coordinates": [1, 2]}')
    with pytest.raises(BadImage, match="not an image"):
        desk.plan(path)
