"""The smallest files of every fault that spoiled files have shown: each ends in a refusal or is used."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shapely.geometry import MultiPolygon, box

from jobs.area import parse_area, project, utm_grid
from jobs.errors import BadImage, BadVector, CityzonesError
from jobs.inspection import inspect_file
from jobs.public.problems import RequestError
from jobs.settings import Settings
from service.execution import decode
from tests.fuzz.tiff_mutations import Tiff
from tests.fuzz.tiff_seeds import seed
from tests.unit.parcel_desk import Desk, feature, square
from worker.imagery.grids import Footprint

SETTINGS = Settings()


@pytest.mark.parametrize("table", [7, 1.5, "text", [1], [[{}]]])
def test_a_lone_feature_whose_properties_are_no_table(tmp_path: Path, table: Any) -> None:
    path = tmp_path / "a.geojson"
    point = {"type": "Point", "coordinates": [1, 2]}
    path.write_text(json.dumps({"type": "Feature", "properties": table, "geometry": point}))
    with pytest.raises(BadVector, match="not a GeoJSON Feature"):
        inspect_file(path, "a.geojson", SETTINGS)


def test_metadata_of_geoparquet_nested_without_end(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"geometry": [b""]}).replace_schema_metadata({"geo": "[" * 5000}), path)
    with pytest.raises(BadVector):
        inspect_file(path, "a.parquet", SETTINGS)


@pytest.mark.parametrize("table", ['{"\\ud800": 1}', '{"name": "\\uDFFF\\ud800"}', '{"name": ["\\uD800"]}'])
def test_texts_that_no_encoding_can_write(tmp_path: Path, table: str) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(
        f'{{"type": "Feature", "properties": {table}, "geometry": {{"type": "Point", "coordinates": [1, 2]}}}}'
    )
    with pytest.raises(BadVector, match="not valid JSON"):
        inspect_file(path, "a.geojson", SETTINGS)
    with pytest.raises(RequestError, match="surrogates"):
        decode(path.read_bytes())


def test_pairs_of_surrogates_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    table = {"name": "\U0001f3d9 \\ud800"}  # a city, and a backslash
    point = {"type": "Point", "coordinates": [1, 2]}
    path.write_text(json.dumps({"type": "Feature", "properties": table, "geometry": point}))
    assert inspect_file(path, "a.geojson", SETTINGS).facts["fields"] == ["name"]
    assert decode(path.read_bytes())["properties"] == table


@pytest.mark.parametrize("place", [0, 1])
def test_pixels_without_a_size(tmp_path: Path, place: int) -> None:
    tiff = Tiff(bytearray(seed("strips")))
    (scale,) = tiff.of(33550)
    struct.pack_into("<d", tiff.data, scale.values_at + 8 * place, 5e-300)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff.data)
    with pytest.raises(BadImage, match="without a size"):
        inspect_file(path, "a.tif", SETTINGS)


@pytest.mark.parametrize("place", [0, 1])
def test_pixels_wider_than_the_earth(tmp_path: Path, place: int) -> None:
    tiff = Tiff(bytearray(seed("strips")))
    (scale,) = tiff.of(33550)
    struct.pack_into("<d", tiff.data, scale.values_at + 8 * place, 5e27)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff.data)
    with pytest.raises(BadImage, match="lies outside"):
        inspect_file(path, "a.tif", SETTINGS)


def test_images_of_which_a_part_is_nowhere() -> None:
    file = Footprint("EPSG:3035", (1e5, 0.0, 4e6, 0.0, -1e5, 3e6), 200, 200)
    with pytest.raises(BadImage, match="beyond"):
        _ = file.lonlat


def _with_ring(ring: list[list[float]]) -> dict[str, Any]:
    made = feature(MultiPolygon([square(2, 2), box(500_100, 5_500_100, 500_200, 5_500_200)]))
    made["geometry"]["coordinates"][1].append(ring)
    return made


@pytest.mark.parametrize("wanted", ["upload", "streets"])
@pytest.mark.parametrize(
    "ring",
    [
        [[15.0, 49.65, 7], [15.001, 49.65, 7], [15.001, 49.651, 7], [15.0, 49.65, 7]],  # heights here alone
        [[15.0, 49.65], [0, -1e179], [15.001, 49.651], [15.0, 49.65]],  # no projection takes it
        [[179.9, 5], [179.95, 5], [179.95, 6], [179.9, 5]],  # a hole far outside
    ],
)
def test_rings_that_no_library_takes(tmp_path: Path, ring: list[list[float]], wanted: str) -> None:
    desk = Desk(tmp_path)
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [_with_ring(ring), feature(square(5, 5))]}))
    upload = desk.send(path)
    told = {"upload": upload} if wanted == "upload" else {"derive": "streets", "streets": {"upload": upload}}
    assert len(desk.parcels(**told).frame)


def test_shapes_that_geos_gives_up_on_enclose_no_block(tmp_path: Path) -> None:
    shape = [[[15, 49.65]] * 4, [[179.9, 49.65], [179.95, 49.65], [179.95, 49.66], [179.9, 49.65]]]
    made = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": shape}}
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(made))
    desk = Desk(tmp_path)
    with pytest.raises(CityzonesError):
        desk.parcels(derive="streets", streets={"upload": desk.send(path)})


_RING = [[13.38, 52.505], [13.39, 52.505], [13.39, 52.515], [13.38, 52.515], [13.38, 52.505]]
_WIDE = [[13.0, 52.0], [14.0, 52.0], [14.0, 53.0], [13.0, 53.0], [13.0, 52.0]]


@pytest.mark.parametrize("hollow", [("Polygon", [_RING, []]), ("MultiPolygon", [[_RING], [[]]])])
def test_areas_with_nothing_in_a_part_of_them(hollow: tuple[str, Any]) -> None:
    kind, coordinates = hollow
    area = parse_area({"type": kind, "coordinates": coordinates}, pointer="/aoi", max_vertices=100)
    assert utm_grid(area, 10).width > 60


@pytest.mark.parametrize(
    "hollow",
    [
        ("Polygon", [_WIDE, []]),
        ("MultiPolygon", [[_WIDE], [[]]]),
    ],
)
def test_wide_streets_with_nothing_in_a_part_of_them(tmp_path: Path, hollow: tuple[str, Any]) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": hollow[0], "coordinates": hollow[1]}))
    area = parse_area({"bbox": [13.0, 52.0, 13.01, 52.01]}, pointer="/aoi", max_vertices=100)
    grid, desk = utm_grid(area, 10), Desk(tmp_path)
    inside = project(area.geometry, grid.crs)
    streets = {"upload": desk.send(path)}
    assert len(desk.parcels(grid, inside, derive="streets", streets=streets).frame)
