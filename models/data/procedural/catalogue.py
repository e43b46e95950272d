"""The static STAC catalogue of a procedural scene, with the asset names of Sentinel-2 level 2A collections."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pystac
import shapely

from models.data.procedural.city import CRS, NOTICE, City

COLLECTION: Final = "procedural-sentinel-2"
TAKEN: Final = datetime(2024, 7, 1, 10, 10, 31, tzinfo=UTC)
_EXTENSIONS: Final = (
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
)
_COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the scene: its STAC key, band (None: the scene classification), common name and pixel in metres."""

    key: str
    band: str | None
    metres: int

    @property
    def file(self) -> str:
        """The file's name beside the item."""
        return f"{self.band or 'SCL'}.tif"


ASSETS: Final = (
    Asset("blue", "B02", 10), Asset("green", "B03", 10), Asset("red", "B04", 10), Asset("rededge1", "B05", 20),
    Asset("rededge2", "B06", 20), Asset("rededge3", "B07", 20), Asset("nir", "B08", 10), Asset("nir08", "B8A", 20),
    Asset("swir16", "B11", 20), Asset("swir22", "B12", 20), Asset("scl", None, 10),
)  # fmt: skip
_COMMON: Final = {"rededge1": "rededge071", "rededge2": "rededge075", "rededge3": "rededge078"}


def write_catalogue(city: City, folder: Path, scene: Path) -> None:
    """Write catalog.json in `folder`, collection.json above `scene`, the item beside its files; relative links."""
    item = _item(city)
    extent = pystac.Extent(pystac.SpatialExtent(list(item.bbox or [])), pystac.TemporalExtent([[TAKEN, TAKEN]]))
    collection = pystac.Collection(COLLECTION, f"Sentinel-2-like scenes: {NOTICE}.", extent, license="Apache-2.0")
    catalog = pystac.Catalog("procedural", f"Procedural cities: {NOTICE}.")
    catalog.add_child(collection)
    collection.add_item(item)
    catalog.catalog_type = collection.catalog_type = pystac.CatalogType.SELF_CONTAINED
    catalog.set_self_href(str(folder / "catalog.json"))
    collection.set_self_href(str(scene.parent / "collection.json"))
    item.set_self_href(str(scene / f"{item.id}.json"))
    for thing in (catalog, collection, item):
        thing.save_object(include_self_link=False)


def _item(city: City) -> pystac.Item:
    rows, cols = city.shape
    left, top = city.transform.c, city.transform.f
    outline = gpd.GeoSeries([shapely.box(left, top - rows * 10, left + cols * 10, top)], crs=CRS)
    footprint = shapely.set_precision(outline.to_crs("EPSG:4326").iloc[0], 1e-6)
    properties = {
        "title": city.name, "attribution": f"{city.name}: {NOTICE}", "created": "2024-07-01T00:00:00Z", "gsd": 10,
        "eo:cloud_cover": 0.0,
        "eo:snow_cover": 0.0, "proj:code": CRS, "platform": "procedural", "constellation": "procedural",
        "s2:processing_baseline": "05.10", "view:sun_azimuth": round(float(np.degrees(city.sun[0])), 2),
        "view:sun_elevation": round(float(np.degrees(city.sun[1])), 2),
    }  # fmt: skip
    item = pystac.Item(
        f"city-{city.seed}",
        shapely.geometry.mapping(footprint),
        [round(v, 6) for v in footprint.bounds],
        TAKEN,
        properties,
    )
    item.stac_extensions = list(_EXTENSIONS)
    for asset in ASSETS:
        item.add_asset(asset.key, _asset(asset, city))
    return item


def _asset(asset: Asset, city: City) -> pystac.Asset:
    factor = asset.metres // 10
    shape = [-(-city.shape[0] // factor), -(-city.shape[1] // factor)]
    fields: dict[str, Any] = {
        "gsd": asset.metres, "proj:shape": shape,
        "proj:transform": [asset.metres, 0, city.transform.c, 0, -asset.metres, city.transform.f],
    }  # fmt: skip
    if asset.band is None:
        fields |= {"data_type": "uint8", "nodata": 0, "bands": [{"name": "SCL"}]}
    else:
        band = {"name": asset.band, "eo:common_name": _COMMON.get(asset.key, asset.key)}
        fields |= {"data_type": "uint16", "nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1, "bands": [band]}
        # odc-stac and older clients read the scale from here.
        fields["raster:bands"] = [{"data_type": "uint16", "nodata": 0, "scale": 0.0001, "offset": -0.1}]
    role = "data" if asset.band is None else "reflectance"
    return pystac.Asset(f"./{asset.file}", title=asset.band or "scene classification", media_type=_COG,
                        roles=["data"] if role == "data" else ["data", role], extra_fields=fields)  # fmt: skip
