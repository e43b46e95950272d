"""What is at a place: pixels of rasters against rasterio, parcels of both kinds of tables against geopandas."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer
from shapely.geometry import MultiPolygon, Point, Polygon, box, shape

from jobs.area import Grid
from jobs.errors import MapUnreadable
from models.classes import LOCAL_CLIMATE_ZONES
from service.tiles.parcel import Found, geojson, parcel_at
from service.tiles.spot import Spot, spot, values
from tests.unit.test_tiles_drawing import MAPS, write_map
from worker.parcels.units import PARCEL, Verdicts
from worker.products.cog import Canvas, CogBand
from worker.products.parcels import parcel_table, write_geopackage, write_geoparquet

GRID = MAPS["north"]
TABLES = ("parcels.gpkg", "parcels.parquet")


def lonlat(grid: Grid, x: float, y: float) -> tuple[float, float]:
    longitude, latitude = Transformer.from_crs(grid.crs, 4326, always_xy=True).transform(x, y)
    return float(longitude), float(latitude)


def table_of(outlines: list[Polygon | MultiPolygon]) -> gpd.GeoDataFrame:
    """A table as jobs write it, of parcels with random probabilities."""
    count, rng = len(outlines), np.random.default_rng(11)
    mean = rng.dirichlet(np.full(17, 0.3), count)
    order = mean.argsort(axis=1)[:, ::-1]
    verdicts = Verdicts(
        mean, (order[:, 0] + 1).astype(np.uint8), (order[:, 1] + 1).astype(np.uint8), mean.max(axis=1),
        rng.random(count), np.ones(count), np.full(count, 12.0), np.full(count, PARCEL, np.uint8),
        np.full(count, "", object),
    )  # fmt: skip
    columns = {
        "parcel_id": [f"P{n}" for n in range(count)],
        "area_m2": shapely.area(outlines),
        "overlap_share": np.zeros(count),
    }
    return parcel_table(gpd.GeoDataFrame(columns, geometry=outlines, crs=GRID.crs), verdicts, LOCAL_CLIMATE_ZONES)


def written(folder: Path, table: gpd.GeoDataFrame) -> dict[str, Path]:
    write_geopackage(
        folder / "parcels.gpkg", table, LOCAL_CLIMATE_ZONES, title="t", created=datetime(2026, 1, 1, tzinfo=UTC)
    )
    write_geoparquet(folder / "parcels.parquet", table)
    return {name: folder / name for name in TABLES}


@pytest.fixture(scope="module")
def city() -> gpd.GeoDataFrame:
    """More parcels than a row group holds: octagons that overlap their neighbours."""
    turns = np.linspace(0, 2 * np.pi, 9)[:-1]
    east, south = 60 * np.cos(turns), 60 * np.sin(turns)
    corners = [(GRID.left + 50 + 100 * column, GRID.top - 50 - 100 * row) for row in range(90) for column in range(50)]
    return table_of([Polygon(np.c_[x + east, y + south]) for x, y in corners])


@pytest.fixture(scope="module")
def tables(city: gpd.GeoDataFrame, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(tmp_path_factory.mktemp("tables"), city)


def at(x: float, y: float, grid: Grid = GRID) -> Spot:
    return Spot(lonlat(grid, x, y)[0], x, y, grid.crs, grid.resolution, 1)


@pytest.mark.parametrize("name", MAPS)
def test_a_place_has_the_class_of_the_pixel_that_holds_it(tmp_path: Path, name: str) -> None:
    grid, rng = MAPS[name], np.random.default_rng(5)
    path = write_map(tmp_path / "map.tif", grid)
    with rasterio.open(path) as dataset:
        codes = dataset.read(1)
    for row, column in zip(rng.integers(0, grid.height, 12), rng.integers(0, grid.width, 12), strict=True):
        x, y = grid.transform @ (column + 0.1, row + 0.9)
        found = spot(path, *lonlat(grid, x, y))
        assert found is not None
        assert (found.code, found.resolution) == (codes[row, column], grid.resolution)
        assert (found.x, found.y) == (pytest.approx(x, abs=1e-3), pytest.approx(y, abs=1e-3))
    for x, y in ((-0.5, 5), (grid.width + 0.5, 5), (5, -0.5), (5, grid.height + 0.5)):
        found = spot(path, *lonlat(grid, *(grid.transform @ (x, y))))
        assert found is not None
        assert found.code == 0
        assert values(path, found) == {}


def test_the_far_side_of_the_earth_is_not_on_the_map(tmp_path: Path) -> None:
    swiss = Grid("EPSG:2056", 2_600_000, 1_200_000, 10.0, 100, 100)
    path = write_map(tmp_path / "map.tif", swiss)
    longitude, latitude = lonlat(swiss, 2_600_500, 1_199_500)
    assert spot(path, longitude, latitude) is not None
    transformer = Transformer.from_crs(4326, 2056, always_xy=True)
    x, y = transformer.transform(longitude - 180, -latitude)
    assert abs(x - 2_600_500) < 50_000, (x, y)
    for place in ((longitude - 180, -latitude), (0, 90), (0, -90), (180, 0), (-180, 0)):
        found = spot(path, *place)
        assert found is None or found.code == 0


def test_bands_are_told_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "bands.tif"
    with Canvas(tmp_path / "plain.tif", GRID, count=2, nodata=255) as canvas:
        canvas.write(slice(0, 512), slice(0, 512), np.stack([np.full((512, 512), n, np.uint8) for n in (7, 9)]))
        canvas.publish(path, [CogBand("first", {"NAME": "depth"}), CogBand("second")])
    assert values(path, at(*(GRID.transform @ (3.5, 3.5)))) == {"depth": 7, "2": 9}
    (tmp_path / "broken.tif").write_bytes(b"II*\0" + bytes(100))
    with pytest.raises(MapUnreadable):
        spot(tmp_path / "broken.tif", 0, 0)


@pytest.mark.parametrize("name", TABLES)
def test_the_parcel_of_a_place_is_the_one_geopandas_finds(
    city: gpd.GeoDataFrame, tables: dict[str, Path], name: str
) -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        x, y = GRID.left + rng.uniform(-50, 5050), GRID.top - rng.uniform(-50, 9050)
        expected = city[city.covers(Point(x, y))]
        found = parcel_at(tables[name], at(x, y))
        assert (found is None) == expected.empty
        if found is not None:
            last = expected.iloc[-1]
            assert found.columns["parcel_id"] == last.parcel_id
            assert found.columns["p_6"] == pytest.approx(last.p_6)
            assert shapely.equals(found.outline, last.geometry)
            drawn = gpd.GeoSeries([shape(geojson(found, at(x, y)))], crs=4326).to_crs(GRID.crs)[0]
            assert drawn.symmetric_difference(last.geometry).area < 2
    for x, y in ((GRID.left - 1e6, GRID.top), (0.0, 0.0)):
        assert parcel_at(tables[name], at(x, y)) is None


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_none_says_so(tmp_path: Path, name: str) -> None:
    for data in (b"", b"no table", b"PAR1" + bytes(100) + b"PAR1", b"SQLite format 3\0" + bytes(4000)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(MapUnreadable):
            parcel_at(tmp_path / name, at(GRID.left, GRID.top))


def test_outlines_are_sent_as_they_are_unless_they_are_long() -> None:
    middle = GRID.left + 1000, GRID.top - 1000
    for count, kept in ((4000, True), (100_000, False)):
        turns = np.linspace(0, 2 * np.pi, count + 1)[:-1]
        radius = 500 + np.random.default_rng(1).random(count)
        ring = Polygon(np.c_[middle[0] + radius * np.cos(turns), middle[1] + radius * np.sin(turns)])
        sent = shape(geojson(Found({}, ring), at(*middle)))
        assert (shapely.get_num_coordinates(sent) == count + 1) == kept
        assert shapely.get_num_coordinates(sent) <= 5000
        back = gpd.GeoSeries([sent], crs=4326).to_crs(GRID.crs)[0]
        assert back.hausdorff_distance(ring) < 5
    crumbs = MultiPolygon([box(x, y, x + 1, y + 1) for x in range(0, 120, 2) for y in range(0, 120, 2)])
    sent = shape(geojson(Found({}, shapely.transform(crumbs, lambda c: c + middle)), at(*middle)))
    assert 4 <= shapely.get_num_coordinates(sent) <= 5000
    assert sent.is_valid


def test_an_outline_across_the_antimeridian_stays_in_one_piece() -> None:
    grid = MAPS["across the antimeridian"]
    outline = gpd.GeoSeries([box(179.99, -18.5, 180.01, -18.49)], crs=4326).to_crs(grid.crs)[0]
    west, east = outline.bounds[0] + 5, outline.bounds[2] - 5
    for x, bounds in ((west, (179.99, 180.01)), (east, (-180.01, -179.99))):
        sent = shape(geojson(Found({}, outline), at(x, outline.centroid.y, grid)))
        assert (sent.bounds[0], sent.bounds[2]) == pytest.approx(bounds, abs=1e-4)
