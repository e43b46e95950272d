"""A pixel's value never depends on how windows are cut, and agrees with GDAL and with plain arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.warp import reproject

from tests.unit.imagery_samples import BANDS, LEFT, TOP, Desk, city, write
from worker.imagery import BlockImage


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def same(one: BlockImage, other: BlockImage) -> bool:
    return one.reflectance.tobytes() == other.reflectance.tobytes() and one.valid.tobytes() == other.valid.tobytes()


KINDS: dict[str, dict[str, Any]] = {
    "own pixels": {},
    "lonlat": {"crs": "EPSG:4326", "transform": from_origin(10.3, 47.8, 0.0001, 0.00009)},
    "other zone": {"crs": "EPSG:32633", "left": 250_000.0},
    "finer": {"pixel": 2.5},
    "finer lonlat": {"crs": "EPSG:4326", "transform": from_origin(10.3, 47.8, 0.00003, 0.00003)},
    "coarser": {"pixel": 20.0},
    "off by a third": {"left": LEFT + 3.3, "pixel": 12.0},
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("kind", KINDS)
def test_a_pixel_does_not_depend_on_the_window(desk: Desk, kind: str, data: st.DataObject) -> None:
    path = desk.folder / "a.tif"
    if not path.exists():
        numbers = city(130, 150)
        numbers[:, 40:60, 50:70] = 0
        write(path, numbers, names=BANDS, **KINDS[kind])
        desk.made = desk.plan(path)  # type: ignore[attr-defined]
    plan = desk.made  # type: ignore[attr-defined]
    grid, imagery = plan.pixel_grid, desk.open(plan)
    whole = imagery.read(-8, -8, grid.height + 16, grid.width + 16)
    assert 0 < whole.valid.sum() < whole.valid.size
    row, column = data.draw(st.integers(-8, grid.height)), data.draw(st.integers(-8, grid.width))
    height = data.draw(st.integers(1, grid.height + 8 - row))
    width = data.draw(st.integers(1, grid.width + 8 - column))
    part = imagery.read(row, column, height, width)
    place = slice(row + 8, row + 8 + height), slice(column + 8, column + 8 + width)
    cut = BlockImage(np.ascontiguousarray(whole.reflectance[:, *place]), np.ascontiguousarray(whole.valid[place]))
    assert same(part, cut)


def test_mosaic_of_windows_is_the_whole(desk: Desk) -> None:
    plan = desk.plan(write(desk.folder / "a.tif", city(130, 150), names=BANDS, crs="EPSG:32633", left=250_000.0))
    grid, imagery = plan.pixel_grid, desk.open(plan)
    whole = imagery.read(0, 0, grid.height, grid.width)
    values, valid = np.empty_like(whole.reflectance), np.empty_like(whole.valid)
    for row in range(0, grid.height, 37):
        for column in range(0, grid.width, 41):
            part = imagery.read(row, column, min(37, grid.height - row), min(41, grid.width - column))
            place = slice(row, row + part.valid.shape[0]), slice(column, column + part.valid.shape[1])
            values[:, *place], valid[place] = part.reflectance, part.valid
    assert same(BlockImage(values, valid), whole)


def test_huge_source_windows_are_halved_without_a_trace(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = desk.plan(write(desk.folder / "a.tif", city(400, 400), names=BANDS, pixel=2.5))
    whole = desk.open(plan).read(0, 0, 100, 100)
    monkeypatch.setattr("worker.imagery.sampling._MAX_SOURCE_VALUES", 20_000)
    assert same(desk.open(plan).read(0, 0, 100, 100), whole)


def test_bilinear_agrees_with_gdal(desk: Desk) -> None:
    smooth = (2000 + 800 * np.sin(np.arange(200) / 17)[:, None] * np.cos(np.arange(200) / 23)).astype(np.uint16)
    data = np.repeat(smooth[None], 10, 0)
    plan = desk.plan(write(desk.folder / "a.tif", data, names=BANDS, crs="EPSG:32633", left=250_000.0))
    grid = plan.pixel_grid
    ours = desk.open(plan).read(0, 0, grid.height, grid.width)
    theirs = np.zeros(grid.shape, np.float64)
    reproject(
        data[0].astype(np.float64),
        theirs,
        src_transform=from_origin(250_000.0, TOP, 10, 10),
        src_crs="EPSG:32633",
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        resampling=Resampling.bilinear,
        src_nodata=0,
    )
    inner = ours.valid & (theirs > 0)
    assert inner.mean() > 0.5
    assert np.abs(ours.reflectance[0] - theirs * 0.0001)[inner].max() < 0.002


def test_average_is_the_box_mean(desk: Desk) -> None:
    data = city(160, 160)
    plan = desk.plan(write(desk.folder / "a.tif", data, names=BANDS, pixel=2.5))
    image = desk.open(plan).read(0, 0, 40, 40)
    mean = data.reshape(10, 40, 4, 40, 4).mean(axis=(2, 4)) * 0.0001
    grid = plan.pixel_grid
    assert (grid.left, grid.top) == (LEFT, TOP)
    np.testing.assert_allclose(image.reflectance, mean, atol=1e-7)
