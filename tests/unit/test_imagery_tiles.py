"""Several uploaded images as one set: which of them holds where, and what is told of overlaps, gaps, differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Point

from jobs.area import Area, parse_area, project
from tests.unit.imagery_samples import BANDS, LEFT, TOP, Desk, city, codes, write
from worker.imagery import ImageryPlan


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def square(left: float, bottom: float, right: float, top: float, crs: str = "EPSG:32632") -> Area:
    from shapely.geometry import box, mapping  # noqa: PLC0415 - one place only

    return parse_area(
        mapping(project(box(left, bottom, right, top), "EPSG:4326", source=crs)), pointer="", max_vertices=999
    )


def test_mosaic_takes_the_first_valid(desk: Desk) -> None:
    left, right = np.full((10, 50, 60), 1000, np.uint16), np.full((10, 50, 60), 2000, np.uint16)
    left[:, 10:20, 40:50] = 0
    one = write(desk.folder / "one.tif", left, names=BANDS)
    two = write(desk.folder / "two.tif", right, names=BANDS, left=LEFT + 400)
    plan = desk.plan(one, two)
    assert plan.pixel_grid.shape == (50, 100)
    image = desk.open(plan).read(0, 0, 50, 100)
    assert image.valid.all()
    assert image.reflectance[0, 0, 59] == np.float32(0.1)
    assert image.reflectance[0, 15, 45] == np.float32(0.2)
    assert image.reflectance[0, 0, 60] == np.float32(0.2)


def _told(plan: ImageryPlan, code: str) -> str:
    return next(w.detail for w in plan.warnings if w.code == code)


def test_overlaps_and_gaps_of_tiles_are_told(desk: Desk) -> None:
    def tile(name: str, column: int, row: int) -> Path:
        left, top = LEFT + column * 10, TOP - row * 10
        return write(desk.folder / name, city(50, 60, seed=column), names=BANDS, left=left, top=top)

    beside = desk.plan(tile("a.tif", 0, 0), tile("b.tif", 60, 0))
    assert codes(beside) == {"scale-assumed"}
    overlapping = desk.plan(tile("c.tif", 0, 0), tile("d.tif", 40, 0))
    assert _told(overlapping, "tiles-overlap").startswith("20.0 % of the mapped area")
    assert "tiles-leave-gaps" not in codes(overlapping)
    apart = desk.plan(tile("e.tif", 0, 0), tile("f.tif", 90, 0))
    assert _told(apart, "tiles-leave-gaps").startswith("20.0 % of the area")
    assert "tiles-overlap" not in codes(apart)
    area = square(LEFT + 400, TOP - 400, LEFT + 1100, TOP - 100)
    within = desk.plan(tile("g.tif", 0, 0), tile("h.tif", 90, 0), area=area)
    assert _told(within, "tiles-leave-gaps").startswith("42.9 % of the area")
    assert "57.1 %" in _told(within, "partial-coverage")
    twice = desk.plan(tile("i.tif", 0, 0), tile("i.tif", 0, 0))
    assert _told(twice, "tiles-overlap").startswith("100.0 %")


def test_the_first_named_tile_wins_whatever_was_uploaded_first(desk: Desk) -> None:
    one = write(desk.folder / "one.tif", np.full((10, 50, 60), 1000, np.uint16), names=BANDS)
    two = write(desk.folder / "two.tif", np.full((10, 50, 60), 2000, np.uint16), names=BANDS)
    assert desk.open(desk.plan(one, two)).read(0, 0, 1, 1).reflectance[0, 0, 0] == np.float32(0.1)
    assert desk.open(desk.plan(two, one)).read(0, 0, 1, 1).reflectance[0, 0, 0] == np.float32(0.2)


def test_tiles_that_differ_are_put_onto_one_grid_and_told(desk: Desk) -> None:
    one = write(desk.folder / "one.tif", np.full((10, 50, 60), 1000, np.uint16), names=BANDS)
    real = np.full((10, 25, 30), 0.2, np.float32)
    two = write(desk.folder / "two.tif", real, names=BANDS, left=LEFT + 600, pixel=20.0)
    west = project(Point(LEFT + 1200, TOP), "EPSG:32633", source="EPSG:32632")
    three = write(desk.folder / "three.tif", city(50, 60), names=BANDS, left=west.x, top=west.y, crs="EPSG:32633")
    plan = desk.plan(one, two, three)
    assert plan.pixel_grid.crs == "EPSG:32632"
    told = _told(plan, "tiles-differ")
    assert "1 of 3 are not in the map's CRS" in told
    assert "1 of 3 have pixels of another size than 10 m" in told
    assert "different ways" in told
    image = desk.open(plan).read(0, 0, 50, 120)
    assert (image.reflectance[0, 20, 10], image.reflectance[0, 20, 100]) == (np.float32(0.1), np.float32(0.2))


def test_single_bands_of_one_place_are_no_tiles(desk: Desk) -> None:
    paths = [write(desk.folder / f"{b}.tif", city(40, 40, bands=1)) for b in BANDS]
    assert codes(desk.plan(*paths)) == {"scale-assumed"}
