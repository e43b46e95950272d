"""COGs and styles: valid, coloured, and the same bytes twice."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from rio_cogeo import cog_validate

from jobs.area import Grid
from models.classes import LAND_COVER, LOCAL_CLIMATE_ZONES
from worker.products.cog import UNIT_COLOURS, Canvas, CogBand, class_colours, class_tags
from worker.products.style import legend, parcels_qml, parcels_sld, raster_qml, raster_sld, style_zip

RNG = np.random.default_rng(5)


def grid_of(height: int, width: int) -> Grid:
    return Grid("EPSG:32634", 340_000.0, 6_038_000.0, 10.0, width, height)


def classes_of(height: int, width: int) -> np.ndarray:
    coarse = RNG.integers(0, 18, (height // 10 + 1, width // 10 + 1), dtype=np.uint8)
    return coarse.repeat(10, axis=0).repeat(10, axis=1)[:height, :width]


def publish(
    path: Path, data: np.ndarray, bands: Sequence[CogBand], *, tile: int = 512, nodata: int = 0,
    colours: Mapping[int, Any] | None = None, **told: Any,
) -> None:  # fmt: skip
    """Paint an array tile by tile, in the order of its columns, and publish it."""
    height, width = data.shape[-2:]
    count = 1 if data.ndim == 2 else len(data)
    plain, grid = path.with_suffix(".plain"), grid_of(height, width)
    with Canvas(plain, grid, count=count, nodata=nodata, tile=tile, colours=colours) as canvas:
        for column in range(0, width, tile):
            for row in range(0, height, tile):
                rows, columns = slice(row, min(row + tile, height)), slice(column, min(column + tile, width))
                canvas.write(rows, columns, data[..., rows, columns])
                assert (canvas.read(rows, columns) == data.reshape(-1, height, width)[0, rows, columns]).all()
        canvas.publish(path, bands, **told)


def write(path: Path, data: np.ndarray) -> None:
    band = CogBand("Local Climate Zone", class_tags(LOCAL_CLIMATE_ZONES))
    publish(path, data, [band], colours=class_colours(LOCAL_CLIMATE_ZONES), tags={"CITYZONES_JOB": "job_x"})


@pytest.mark.parametrize("shape", [(1300, 1700), (60, 80), (1, 1), (512, 513)])
def test_a_map_is_a_valid_cog_with_palette_and_statistics(tmp_path: Path, shape: tuple[int, int]) -> None:
    data = classes_of(*shape)
    data[0, 0] = 3
    write(tmp_path / "map.tif", data)
    valid, errors, warnings = cog_validate(tmp_path / "map.tif", strict=True)
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(tmp_path / "map.tif") as source:
        assert (source.read(1) == data).all()
        assert source.nodata == 0
        assert source.block_shapes == [(512, 512)]
        assert source.transform == grid_of(*shape).transform
        assert source.crs.to_epsg() == 32634
        assert source.colormap(1)[17] == (106, 106, 255, 255)
        assert source.colormap(1)[0][3] == 0
        assert source.descriptions == ("Local Climate Zone",)
        tags = source.tags(1)
        assert tags["CLASS_11"] == "A: Dense trees"
        assert int(tags["STATISTICS_MAXIMUM"]) == data.max()
        assert float(tags["STATISTICS_VALID_PERCENT"]) == pytest.approx(100 * (data > 0).mean(), abs=0.05)
        assert source.tags()["CITYZONES_JOB"] == "job_x"
        if max(shape) > 512:
            assert source.overviews(1)
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif"]


def test_overviews_hold_only_classes_of_the_map(tmp_path: Path) -> None:
    data = np.where(classes_of(1200, 1200) > 8, 17, 1).astype(np.uint8)
    write(tmp_path / "map.tif", data)
    with rasterio.open(tmp_path / "map.tif", overview_level=0) as source:
        assert set(np.unique(source.read(1))) == {1, 17}


def test_confidence_averages_in_its_overviews(tmp_path: Path) -> None:
    data = np.where(np.indices((1024, 1024)).sum(axis=0) % 2, 40, 60).astype(np.uint8)
    publish(tmp_path / "c.tif", data, [CogBand("confidence")], overview="average")
    with rasterio.open(tmp_path / "c.tif", overview_level=0) as source:
        assert (source.read(1) == 50).all()


def test_written_twice_and_by_other_windows_the_bytes_are_the_same(tmp_path: Path) -> None:
    data = classes_of(1100, 900)
    for name, tile in (("a", 512), ("b", 512), ("c", 240)):
        publish(tmp_path / name, data, [CogBand("x")], colours=UNIT_COLOURS, tile=tile)
    first, *others = ((tmp_path / name).read_bytes() for name in "abc")
    assert all(first == other for other in others)


def test_what_was_not_painted_is_no_data(tmp_path: Path) -> None:
    with Canvas(tmp_path / ".plain", grid_of(700, 900)) as canvas:
        canvas.write(slice(0, 240), slice(480, 720), np.full((240, 240), 9, np.uint8))
        canvas.publish(tmp_path / "map.tif", [CogBand("x")])
    with rasterio.open(tmp_path / "map.tif") as source:
        values = source.read(1)
    assert (values == 9).sum() == 240 * 240
    assert set(np.unique(values)) == {0, 9}


def test_a_map_without_any_pixel_can_be_written(tmp_path: Path) -> None:
    write(tmp_path / "map.tif", np.zeros((30, 30), np.uint8))
    assert cog_validate(tmp_path / "map.tif")[0]


def test_the_style_zip_never_changes_and_names_every_class() -> None:
    first = style_zip(LOCAL_CLIMATE_ZONES)
    assert first == style_zip(LOCAL_CLIMATE_ZONES)
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {i.date_time for i in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        rows = list(csv.DictReader(io.StringIO(archive.read("classes.csv").decode())))
        assert [r["name"] for r in rows][12] == "Bush, scrub"
        clr = archive.read("colours.clr").decode().splitlines()
        assert clr[16] == "17 106 106 255"
        assert archive.read("colours.txt").decode().splitlines()[1] == "1 140 0 0 255"


def test_qgis_styles_carry_codes_colours_and_names() -> None:
    raster = ET.fromstring(raster_qml(LOCAL_CLIMATE_ZONES))
    entries = raster.findall(".//paletteEntry")
    assert [(e.get("value"), e.get("color"), e.get("label")) for e in entries][10] == ("11", "#006a00", "A Dense trees")
    parcels = ET.fromstring(parcels_qml(LOCAL_CLIMATE_ZONES))
    renderer = parcels.find("renderer-v2")
    assert renderer is not None
    assert renderer.get("attr") == "class_code"
    assert len(renderer.findall("categories/category")) == len(renderer.findall("symbols/symbol")) == 18
    fill = renderer.find("symbols/symbol[@name='16']/layer/Option/Option[@name='color']")
    assert fill is not None
    assert fill.get("value") == "106,106,255,255"


def test_slds_are_well_formed() -> None:
    space = {"s": "http://www.opengis.net/sld", "o": "http://www.opengis.net/ogc"}
    raster = ET.fromstring(raster_sld(LAND_COVER).encode())
    assert len(raster.findall(".//s:ColorMapEntry", space)) == 9
    parcels = ET.fromstring(parcels_sld(LAND_COVER).encode())
    assert [e.text for e in parcels.findall(".//o:Literal", space)] == [str(k) for k in range(1, 10)]


def test_legends_do_not_say_a_name_twice() -> None:
    assert legend(LOCAL_CLIMATE_ZONES[1]) == "2 Compact midrise"
    assert [legend(c) for c in LAND_COVER][:3] == ["Bareland", "Rangeland", "Developed space"]


def test_a_band_without_a_value_is_written_all_the_same(tmp_path: Path) -> None:
    data = np.stack((classes_of(60, 80), np.full((60, 80), 255, np.uint8)))
    publish(tmp_path / "a.tif", data, [CogBand("a"), CogBand("b")], overview="nearest", nodata=255)
    assert cog_validate(tmp_path / "a.tif", strict=True)[0]
    with rasterio.open(tmp_path / "a.tif") as source:
        assert (source.read() == data).all()


def test_several_bands_make_one_valid_cog_with_names(tmp_path: Path) -> None:
    data = RNG.integers(0, 101, (3, 700, 900), dtype=np.uint8)
    data[:, :5] = 255
    bands = [CogBand(f"band {k}", {"NAME": f"b{k}"}) for k in range(3)]
    for name in ("one", "two"):
        publish(tmp_path / name, data, bands, overview="nearest", nodata=255, tags={"JOB": "x"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert cog_validate(tmp_path / "one", strict=True) == (True, [], [])
    with rasterio.open(tmp_path / "one") as source:
        assert (source.read() == data).all()
        assert source.descriptions == ("band 0", "band 1", "band 2")
        assert source.nodatavals == (255, 255, 255)
        assert source.tags(2)["NAME"] == "b1"
        half = source.read(out_shape=(3, 350, 450))
    assert {tuple(p) for p in half.reshape(3, -1).T} <= {tuple(p) for p in data.reshape(3, -1).T}
