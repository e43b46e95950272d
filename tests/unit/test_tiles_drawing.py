"""Tiles against GDAL's own warp, the extent of maps all over the Earth, and legends."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import Resampling
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform

from jobs.area import Grid
from jobs.errors import MapUnreadable
from models.classes import LOCAL_CLIMATE_ZONES
from service.tiles import reading
from service.tiles.drawing import Extent, Place, draw, extent, ramp
from service.tiles.legend import class_legend, confidence_legend, image_legend, picture
from service.tiles.reading import coverage
from worker.products.cog import Canvas, CogBand, class_colours

GRID = morecantile.tms.get("WebMercatorQuad")
MAPS = {
    "north": Grid("EPSG:32633", 390_000, 5_820_000, 10.0, 1100, 900),
    "south": Grid("EPSG:32756", 330_000, 6_260_000, 10.0, 700, 1200),
    "west of the antimeridian": Grid("EPSG:32760", 815_000, 7_990_000, 10.0, 600, 500),
    "across the antimeridian": Grid("EPSG:32701", 176_000, 7_990_000, 10.0, 900, 700),
    "coarse": Grid("EPSG:32633", 390_000, 5_820_000, 100.0, 700, 600),
    "arctic": Grid("EPSG:32633", 500_000, 8_690_000, 10.0, 500, 500),
}


def write_map(path: Path, grid: Grid) -> Path:
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 18, (grid.height // 7 + 1, grid.width // 7 + 1), np.uint8)
    codes = coarse.repeat(7, 0).repeat(7, 1)[: grid.height, : grid.width]
    plain = path.with_suffix(".plain.tif")
    with Canvas(plain, grid, colours=class_colours(LOCAL_CLIMATE_ZONES)) as canvas:
        canvas.write(slice(0, grid.height), slice(0, grid.width), codes)
        canvas.publish(path, [CogBand("classes")])
    return path


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("maps")
    return {name: write_map(folder / f"{index}.tif", grid) for index, (name, grid) in enumerate(MAPS.items())}


def warped(path: Path, place: Place, side: int, method: Resampling = Resampling.nearest) -> Any:
    """A tile (band, y, x) as GDAL warps it, without rio-tiler."""
    bounds = GRID.xy_bounds(morecantile.Tile(place.x, place.y, place.z))
    told = {"crs": "EPSG:3857", "transform": from_bounds(*bounds, side, side), "width": side, "height": side}
    with rasterio.open(path) as plain, WarpedVRT(plain, resampling=method, nodata=0, **told) as tile:
        return tile.read()


def over_the_middle(path: Path, zoom: int) -> Place:
    with rasterio.open(path) as dataset:
        x, y = dataset.xy(dataset.height // 2, dataset.width // 2)
        (longitude,), (latitude,) = transform(dataset.crs, "EPSG:4326", [x], [y])
    tile = GRID.tile(longitude, latitude, zoom)
    return Place(zoom, tile.x, tile.y)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("zoom", [5, 9, 11, 13, 14, 16, 19])
def test_every_pixel_of_a_tile_has_the_colour_of_its_class(maps: dict[str, Path], name: str, zoom: int) -> None:
    colours = np.array([(0, 0, 0, 0), *((*c.rgb, 255) for c in LOCAL_CLIMATE_ZONES)], np.uint8)
    place = over_the_middle(maps[name], zoom)
    for side in (256, 512) if zoom == 14 else (256,):
        (codes,) = warped(maps[name], place, side)
        with Image.open(io.BytesIO(draw(maps[name], place, side))) as tile:
            drawn = np.array(tile.convert("RGBA"))
        drawn[drawn[..., 3] == 0] = 0
        assert (drawn == colours[codes]).all()
        assert codes.any() or zoom < 9


def test_other_colours_than_those_in_the_file(maps: dict[str, Path]) -> None:
    safe = {c.code: (*c.rgb_in("safe"), 255) for c in LOCAL_CLIMATE_ZONES}
    place = over_the_middle(maps["north"], 14)
    (codes,) = warped(maps["north"], place, 256)
    with Image.open(io.BytesIO(draw(maps["north"], place, 256, safe))) as tile:
        drawn = np.array(tile.convert("RGBA"))
    assert (drawn[codes > 0] == np.array([safe.get(code, (0,) * 4) for code in range(18)])[codes[codes > 0]]).all()
    assert not drawn[codes == 0, 3].any()
    assert (codes == 0).any()


def test_the_zooms_beside_the_map_and_far_from_it_are_transparent(maps: dict[str, Path]) -> None:
    for place in (Place(14, 0, 0), Place(14, 2**14 - 1, 2**14 - 1), Place(24, 5, 2**24 - 1)):
        data = draw(maps["north"], place, 256)
        assert len(data) < 500
        with Image.open(io.BytesIO(data)) as tile:
            assert tile.size == (256, 256)
            assert not np.asarray(tile.convert("RGBA"))[..., 3].any()


def test_the_extent_is_in_degrees_and_never_wraps(maps: dict[str, Path]) -> None:
    for name, path in maps.items():
        found = extent(path)
        west, south, east, north = found.bounds
        assert -180 <= west < east <= 180, name
        assert south < north
        assert 0 <= found.minzoom < found.maxzoom <= 24
    assert extent(maps["across the antimeridian"]).bounds[2] == 180
    west, south, east, north = extent(maps["north"]).bounds
    assert (west, east) == pytest.approx((13.38, 13.54), abs=0.02)
    assert (south, north) == pytest.approx((52.44, 52.52), abs=0.02)


def test_the_zooms_follow_from_the_resolution(maps: dict[str, Path]) -> None:
    # 10 m are 16.4 m of Web Mercator at 52.5 degrees north, finer than a pixel of zoom 13, and 100 m than one of 9.
    assert extent(maps["north"]).maxzoom == 14 + 2
    assert extent(maps["coarse"]).maxzoom == 10 + 2
    assert isinstance(extent(maps["arctic"]), Extent)


def test_a_file_that_is_no_map_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.tif").write_bytes(b"II*\0" + bytes(100))
    with pytest.raises(MapUnreadable):
        draw(tmp_path / "broken.tif", Place(0, 0, 0), 256)


def test_the_imagery_is_interpolated_and_see_through_where_there_is_none(tmp_path: Path) -> None:
    grid, shape = MAPS["north"], MAPS["north"].shape
    slopes = np.mgrid[: shape[0], : shape[1]] * (200 / max(shape))
    values = np.stack([*slopes, slopes[0]]).astype(np.uint8) + 40
    values[:, 455:600, 560:700] = 0
    with Canvas(tmp_path / "plain.tif", grid, count=3) as canvas:
        canvas.write(slice(0, grid.height), slice(0, grid.width), values)
        canvas.publish(tmp_path / "image.tif", [CogBand("x")] * 3, overview="average", predictor="YES")
    for zoom in (9, 11, 14, 16):
        place = over_the_middle(tmp_path / "image.tif", zoom)
        expected = warped(tmp_path / "image.tif", place, 256, Resampling.bilinear)
        with Image.open(io.BytesIO(draw(tmp_path / "image.tif", place, 256))) as tile:
            drawn = np.asarray(tile.convert("RGBA"))
        assert (drawn[..., 3] == np.where(expected.any(axis=0), 255, 0)).all()
        assert (drawn[..., :3] == np.moveaxis(expected, 0, -1)).all()
        assert drawn[..., 3].any()
    assert len(draw(tmp_path / "image.tif", Place(14, 0, 0), 256)) < 500


def test_the_legend_tells_shares_and_areas_of_every_pixel(maps: dict[str, Path]) -> None:
    legend = class_legend("Local Climate Zones", LOCAL_CLIMATE_ZONES, coverage(maps["coarse"]))
    assert [entry.colour for entry in legend.entries] == [c.colour for c in LOCAL_CLIMATE_ZONES]
    assert sum(entry.share or 0 for entry in legend.entries) == pytest.approx(1, abs=1e-4)
    with rasterio.open(maps["coarse"]) as dataset:
        counted = np.bincount(dataset.read(1).ravel(), minlength=256)
    assert (counted == coverage(maps["coarse"]).pixels).all()
    assert [entry.km2 for entry in legend.entries] == [round(counted[c.code] * 0.01, 6) for c in LOCAL_CLIMATE_ZONES]
    for one in (class_legend("Local Climate Zones", LOCAL_CLIMATE_ZONES), confidence_legend()):
        assert all(entry.share is entry.km2 is None for entry in one.entries)
        with Image.open(io.BytesIO(picture(one))) as image:
            assert image.height > 100
    with Image.open(io.BytesIO(picture(image_legend()))) as image:
        assert image.height < 100
    assert ramp()[1] == (68, 1, 84, 255)
    assert ramp()[100] == (253, 231, 37, 255)


def test_a_map_too_large_to_be_counted_is_sampled(maps: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    counted = coverage(maps["north"])
    for name, value in (("_COUNTED", 1000), ("_SAMPLED_SIDE", 500)):
        monkeypatch.setattr(reading, name, value)
    sampled = coverage(maps["north"])
    assert sampled.pixels.sum() == pytest.approx(counted.pixels.sum())
    assert (sampled.pixels != counted.pixels).any()
    for code in range(1, 18):
        assert sampled.share(code) == pytest.approx(counted.share(code), abs=0.02)


FIRST = """
import sys, threading
from pathlib import Path
from service.tiles.drawing import Place, draw
sys.setswitchinterval(1e-5)
faults, gate = [], threading.Barrier(8)
def first():
    gate.wait()
    try:
        draw(Path(sys.argv[1]), Place(12, 2200, 1343), 256)
    except Exception as error:
        faults.append(repr(error))
threads = [threading.Thread(target=first) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit("; ".join(faults) or None)
"""


def test_the_first_tiles_of_a_process_may_come_all_at_once(maps: dict[str, Path]) -> None:
    command = [sys.executable, "-c", FIRST, str(maps["north"])]
    told = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    ran = subprocess.run(command, env=told, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
