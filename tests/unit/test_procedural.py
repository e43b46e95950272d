"""The procedural city: the same bytes for a seed, within Stewart & Oke's intervals, and readable files."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio
import shapely

from models.data.procedural import BANDS, CRS, NOTICE, BadCity, City, generate, photograph, write_city
from models.data.procedural.catalogue import ASSETS
from models.morphology import burn
from models.priors import INTERVALS

SHAPE = (240, 260)
TREES = (11, 12, 13)


@pytest.fixture(scope="module")
def city() -> City:
    return generate(7, SHAPE)


def test_the_same_seed_gives_the_same_city(city: City):
    again = generate(7, SHAPE)
    assert again.reflectance.tobytes() == city.reflectance.tobytes()
    assert again.truth.tobytes() == city.truth.tobytes()
    assert again.parcels.equals(city.parcels)
    assert again.buildings.equals(city.buildings)
    assert generate(8, SHAPE).truth.tobytes() != city.truth.tobytes()


def test_what_a_city_holds(city: City):
    assert city.reflectance.shape == (10, *SHAPE)
    assert city.reflectance.dtype == np.float32
    assert city.reflectance.min() >= 0
    assert city.reflectance.max() < 1.5
    assert city.truth.dtype == np.uint8
    assert city.truth.min() >= 1
    assert city.truth.max() <= 17
    assert city.parcels.parcel_id.is_unique
    assert city.buildings.geometry.is_valid.all()
    assert (city.buildings.height > 0).all()
    assert city.buildings.crs == CRS


def test_vegetation_water_and_roofs_look_like_themselves(city: City):
    green, red, near = city.reflectance[1], city.reflectance[2], city.reflectance[6]
    ndvi, ndwi = (near - red) / (near + red), (green - near) / (green + near)
    for code in set(np.unique(city.truth)) & {11, 12}:
        assert np.median(ndvi[city.truth == code]) > 0.5
    for code in set(np.unique(city.truth)) & {17}:
        assert np.median(ndwi[city.truth == code]) > 0.2
    for code in set(np.unique(city.truth)) & {1, 2, 8}:
        assert np.median(ndvi[city.truth == code]) < 0.3


def test_every_class_is_reached_and_a_city_shows_most():
    found = [set(np.unique(generate(seed, (400, 400)).truth).tolist()) for seed in (21, 22, 23)]
    assert set.union(*found) == set(range(1, 18))
    assert min(map(len, found)) >= 12


def test_blocks_lie_within_the_intervals_of_stewart_and_oke():
    names = ("built", "impervious", "pervious", "height", "sky", "aspect")
    inside: dict[str, list[bool]] = {name: [] for name in names}
    for seed in (31, 32):
        _collect(generate(seed, (300, 300)), inside)
    shares = {name: np.mean(values) for name, values in inside.items()}
    assert min(len(values) for values in inside.values()) > 100
    assert all(share > 0.7 for share in shares.values()), shares
    assert shares["built"] > 0.85
    assert shares["height"] > 0.85


def _collect(city: City, inside: dict[str, list[bool]]) -> None:
    form, blocks = city.morphology().astype(float), city.blocks
    origin, count = (city.transform.c, city.transform.f), len(blocks)
    index = burn(blocks.geometry.to_numpy(), np.arange(1, count + 1), origin, 10.0, city.shape).astype(int).ravel()

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(index, values.ravel(), count + 1)[1:]

    open_ground = np.maximum(1 - form[0], 1 / 16)
    with np.errstate(invalid="ignore", divide="ignore"):
        sky = total(form[3] * open_ground) / total(open_ground)
        aspect = total(np.expm1(1.5 * form[4]) * open_ground) / total(open_ground)
        height = total(np.expm1(4 * form[1]) * form[0]) / total(form[0])
    big = (total(np.ones(city.shape)) >= 40) & (total(city.truth == 17) == 0)
    for k in np.flatnonzero(big):
        bounds = INTERVALS[blocks.lcz[k] - 1]
        values = {"built": (2, blocks.built[k]), "impervious": (3, blocks.impervious[k])}
        values["pervious"] = (4, blocks.pervious[k])
        if blocks.lcz[k] not in TREES:
            values |= {"sky": (0, sky[k]), "aspect": (1, aspect[k])}
        if blocks.lcz[k] <= 10:
            values["height"] = (5, height[k])
        for name, (prior, value) in values.items():
            inside[name].append(bool(bounds[prior, 0] <= value <= bounds[prior, 1]))


def test_fragmented_blocks_differ_from_their_district():
    plain, mixed = generate(9, (200, 200)), generate(9, (200, 200), fragmentation=0.5)
    alone = plain.blocks.groupby(plain.blocks.block_id.str[:8]).lcz.nunique()
    strays = mixed.blocks.groupby(mixed.blocks.block_id.str[:8]).lcz.nunique()
    assert (alone == 1).all()
    assert (strays > 1).any()


def test_parcels_do_not_overlap_and_hold_their_buildings(city: City):
    parcels, buildings = city.parcels.geometry.to_numpy(), city.buildings.geometry.to_numpy()
    whole = shapely.union_all(parcels)
    assert whole.area == pytest.approx(shapely.area(parcels).sum(), rel=1e-4)
    ground = whole.buffer(0.5, quad_segs=1)
    shapely.prepare(ground)
    assert shapely.covers(ground, buildings).mean() > 0.995


def test_a_photograph_shows_the_same_place(city: City):
    transform, rgb, cover = photograph(city, 60, 80, (200, 300))
    assert rgb.shape == (3, 200, 300)
    assert rgb.dtype == cover.dtype == np.uint8
    assert set(np.unique(cover)) <= set(range(1, 10))
    assert transform.a == 0.5
    assert (transform.c, transform.f) == (city.transform.c + 800, city.transform.f - 600)
    again = photograph(city, 60, 80, (200, 300))
    assert again[1].tobytes() == rgb.tobytes()
    buildings, origin = city.buildings.geometry.to_numpy(), (transform.c, transform.f)
    roofs = burn(buildings, np.ones(len(buildings)), origin, 0.5, (200, 300))
    assert ((cover == 8) == (roofs > 0)).mean() > 0.99


def test_wrong_requests_are_refused(city: City):
    with pytest.raises(BadCity):
        generate(-1)
    with pytest.raises(BadCity):
        generate(1, (10, 100))
    with pytest.raises(BadCity):
        generate(1, (100, 100), fragmentation=1.5)
    with pytest.raises(BadCity):
        photograph(city, 230, 0, (1000, 100))


def test_the_written_sample_reads_back(city: City, tmp_path: Path):
    folder = write_city(city, tmp_path / "one")
    write_city(generate(7, SHAPE), tmp_path / "two")
    for path in (p for p in folder.rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(folder)).read_bytes(), path.name
    with rasterio.open(folder / "imagery.tif") as imagery:
        assert imagery.descriptions == BANDS
        assert imagery.scales == (0.0001,) * 10
        assert imagery.offsets == (-0.1,) * 10
        back = imagery.read() * 1e-4 - 0.1
        assert imagery.tags()["NOTICE"] == NOTICE
    np.testing.assert_allclose(back, city.reflectance, atol=6e-5)
    with rasterio.open(folder / "truth.tif") as truth:
        np.testing.assert_array_equal(truth.read(1), city.truth)
    assert len(gpd.read_file(folder / "buildings.gpkg")) == len(city.buildings)
    assert set(gpd.read_file(folder / "parcels.gpkg").columns) == {"parcel_id", "geometry"}
    area = shapely.geometry.shape(json.loads((folder / "aoi.geojson").read_text())["geometry"])
    whole = shapely.box(*gpd.GeoSeries([shapely.box(*city.parcels.total_bounds)], crs=CRS).to_crs(4326).total_bounds)
    assert whole.contains(area)


def test_the_catalogue_leads_to_every_band(city: City, tmp_path: Path):
    write_city(city, tmp_path)
    catalogue = pystac.Catalog.from_file(str(tmp_path / "catalog.json"))
    (item,) = catalogue.get_items(recursive=True)
    assert item.collection_id == "procedural-sentinel-2"
    assert item.properties["eo:cloud_cover"] == 0
    links = json.loads((tmp_path / "catalog.json").read_text())["links"]
    assert not any(link["href"].startswith("/") for link in links)
    keys = [asset.key for asset in ASSETS]
    assert keys[:4] == ["blue", "green", "red", "rededge1"]
    assert list(item.assets) == keys
    for key in keys:
        asset = item.assets[key]
        assert asset.href.startswith("./")
        with rasterio.open(asset.get_absolute_href()) as source:
            assert list(source.shape) == asset.extra_fields["proj:shape"]
            assert source.crs == CRS
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
