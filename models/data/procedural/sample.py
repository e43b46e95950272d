"""Write a procedural city to a folder as the files a real job would read: imagery, a STAC catalogue, vectors, truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster

from models.classes import LAND_COVER, LOCAL_CLIMATE_ZONES, MapClass
from models.data.procedural.catalogue import ASSETS, write_catalogue
from models.data.procedural.city import CRS, NOTICE, PHOTO_METRES, City, photograph
from models.data.procedural.materials import BANDS

SCALE: Final = 1e-4
OFFSET: Final = -0.1  # processing baseline 04.00 and later: reflectance = DN * scale + offset
_WRITTEN: Final = "2024-07-01T00:00:00.000Z"  # a fixed date in the GeoPackages, so that a seed gives the same bytes
_PHOTO_PIXELS: Final = 1000
_AOI_MARGIN: Final = 0.08  # of the city's sides


def write_city(city: City, folder: Path) -> Path:
    """Write the sample files of a city into `folder` (made if missing) and return it.

    imagery.tif (ten bands, uint16, DN = reflectance * 10000 + 1000), a static STAC catalogue with one cloud-optimised
    GeoTIFF a band (catalog.json, procedural-sentinel-2/…), truth.tif (LCZ codes), buildings.gpkg (height), parcels.gpkg
    (parcel_id), streets.gpkg (kind), truth_parcels.gpkg (parcel_id, lcz), photograph.tif and photograph_truth.tif (the
    city's middle at 0.5 m: RGB and land cover codes) and aoi.geojson (longitude, latitude).
    The same city gives the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = digital_numbers(city.reflectance)
    _write(folder / "imagery.tif", numbers, city.transform, list(BANDS), scaled=True)
    _write_classes(folder / "truth.tif", city.truth, city.transform, LOCAL_CLIMATE_ZONES, "local climate zone")
    scene = folder / "procedural-sentinel-2" / f"city-{city.seed}"
    scene.mkdir(parents=True, exist_ok=True)
    for asset in ASSETS:
        if asset.band is None:
            _write(scene / asset.file, city.scene_classes[None], city.transform, ["SCL"], scaled=False)
        else:
            values, transform = _at(numbers[BANDS.index(asset.band)], city.transform, asset.metres)
            _write(scene / asset.file, values[None], transform, [asset.band], scaled=True)
    write_catalogue(city, folder, scene)
    _write_vectors(city, folder)
    _write_photograph(city, folder)
    (folder / "aoi.geojson").write_text(json.dumps(area_of_interest(city), indent=1) + "\n", encoding="utf-8")
    return folder


def digital_numbers(reflectance: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return reflectance (0-1) as Sentinel-2 stores it since baseline 04.00; 0 is no data."""
    numbers = np.rint((reflectance.astype(np.float64) - OFFSET) / SCALE)
    return np.clip(numbers, 1, 65535).astype(np.uint16)


def area_of_interest(city: City) -> dict[str, Any]:
    """Return a GeoJSON polygon in longitude and latitude that lies well inside the city."""
    rows, cols = city.shape
    dx, dy = cols * 10 * _AOI_MARGIN, rows * 10 * _AOI_MARGIN
    left, top = city.transform.c, city.transform.f
    bounds = (left + dx, top - rows * 10 + dy, left + cols * 10 - dx, top - dy)
    ring = gpd.GeoSeries.from_wkt([_box(*bounds)], crs=CRS).to_crs("EPSG:4326").iloc[0]
    corners = [[round(x, 6), round(y, 6)] for x, y in ring.exterior.coords]
    return {
        "type": "Feature",
        "properties": {"name": city.name, "notice": NOTICE},
        "geometry": {"type": "Polygon", "coordinates": [corners]},
    }


def _box(west: float, south: float, east: float, north: float) -> str:
    return f"POLYGON (({west} {south}, {east} {south}, {east} {north}, {west} {north}, {west} {south}))"


def _at(values: NDArray[np.uint16], transform: Affine, metres: int) -> tuple[NDArray[np.uint16], Affine]:
    """Average a 10 m band to the band's own pixel; a row or column left over repeats its last value."""
    factor = metres // 10
    if factor == 1:
        return values, transform
    padded = np.pad(values, ((0, -values.shape[0] % factor), (0, -values.shape[1] % factor)), mode="edge")
    cells = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    return np.rint(cells.mean(axis=(1, 3))).astype(np.uint16), transform @ Affine.scale(factor)


def _write(path: Path, values: NDArray[Any], transform: Affine, names: list[str], *, scaled: bool) -> None:
    """Write (band, y, x) as a cloud-optimised GeoTIFF with band names, no data 0, and scale and offset if `scaled`."""
    profile = {
        "driver": "GTiff", "dtype": values.dtype, "count": len(values), "height": values.shape[1],
        "width": values.shape[2], "crs": CRS, "transform": transform, "nodata": 0,
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(values)
            target.descriptions = tuple(names)
            if scaled:
                target.scales, target.offsets = (SCALE,) * len(names), (OFFSET,) * len(names)
            target.update_tags(NOTICE=NOTICE)
        with memory.open() as source:
            copy_raster(
                source, path, driver="COG", compress="deflate", predictor="yes", blocksize=256, bigtiff="no",
                overview_resampling="average" if scaled else "mode", num_threads=1,
            )  # fmt: skip


def _write_photograph(city: City, folder: Path) -> None:
    """Write what a plane would see of the city's middle, and the truth about it."""
    per = int(10 / PHOTO_METRES)
    size = (min(_PHOTO_PIXELS, city.shape[0] * per), min(_PHOTO_PIXELS, city.shape[1] * per))
    corner = (city.shape[0] - size[0] // per) // 2, (city.shape[1] - size[1] // per) // 2
    transform, rgb, land_cover = photograph(city, *corner, size)
    _write(folder / "photograph.tif", rgb, transform, ["red", "green", "blue"], scaled=False)
    _write_classes(folder / "photograph_truth.tif", land_cover, transform, LAND_COVER, "land cover")


def _write_classes(
    path: Path, codes: NDArray[np.uint8], transform: Affine, classes: tuple[MapClass, ...], name: str
) -> None:
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": codes.shape[0], "width": codes.shape[1]}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    with rasterio.open(path, "w", **profile, **tiles, crs=CRS, transform=transform, nodata=0) as target:
        target.write(codes, 1)
        target.write_colormap(1, {c.code: (*c.rgb, 255) for c in classes})
        target.update_tags(NOTICE=NOTICE)
        target.set_band_description(1, name)


def _write_vectors(city: City, folder: Path) -> None:
    layers = {
        "buildings": city.buildings,
        "parcels": city.parcels[["parcel_id", "geometry"]],
        "truth_parcels": city.parcels[["parcel_id", "lcz", "geometry"]],
        "streets": city.streets,
    }
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _WRITTEN})
    try:
        for name, table in layers.items():
            path = folder / f"{name}.gpkg"
            path.unlink(missing_ok=True)
            table.to_file(path, driver="GPKG", layer=name, engine="pyogrio")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
