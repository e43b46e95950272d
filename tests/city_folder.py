"""A small made-up city in the schema of a So2Sat-POP folder: seasons, LCZ blocks off the pixel grid, OSM layers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from affine import Affine

CRS = "EPSG:32634"
LEFT, TOP = 340014.064208, 6038482.72286
ROWS, COLUMNS = 400, 500  # pixels: 4 x 5 km
LATTICE = (3, 7)
CODES = (2, 6, 8, 11, 14, 17)
# Red, green and blue reflectance of a class in spring; summer is a tenth darker.
COLOURS = {
    2: (0.16, 0.15, 0.15), 6: (0.11, 0.12, 0.13), 8: (0.22, 0.21, 0.20),
    11: (0.03, 0.05, 0.04), 14: (0.06, 0.10, 0.06), 17: (0.02, 0.04, 0.08),
}  # fmt: skip
SEASON_GAIN = {"spring": 1.0, "summer": 0.9, "autumn": 0.95, "winter": 1.05}
UNMAPPED, ABSENT = 0, 7  # square kilometres: OSM missing, nothing sampled


def truth_cells(seed: int = 0) -> np.ndarray:
    """The codes of the cells that lie whole on the grid, (row, column): patches of 3 x 3 cells."""
    shape = ((ROWS - LATTICE[0]) // 10, (COLUMNS - LATTICE[1]) // 10)
    coarse = np.random.default_rng(seed).choice(CODES, size=(shape[0] // 3 + 1, shape[1] // 3 + 1))
    return np.kron(coarse, np.ones((3, 3), dtype=int))[: shape[0], : shape[1]]


def write_city(
    folder: Path, *, name: str = "probe", seasons: tuple[str, ...] = ("spring", "summer"), full: bool = True
) -> Path:
    """Write the folder; `full` adds streets, land use and the zoning raster."""
    folder.mkdir(parents=True, exist_ok=True)
    cells = truth_cells()
    codes = np.zeros((ROWS, COLUMNS), dtype=np.uint16)
    wide = np.kron(cells, np.ones((10, 10), dtype=int))
    codes[LATTICE[0] : LATTICE[0] + len(wide), LATTICE[1] : LATTICE[1] + wide.shape[1]] = wide
    row, column = divmod(ABSENT, 5)
    absent = (slice(100 * row, 100 * row + 100), slice(100 * column, 100 * column + 100))
    codes[absent] = 0
    rng = np.random.default_rng(1)
    palette = np.zeros((18, 3))
    palette[list(COLOURS)] = list(COLOURS.values())
    palette[0] = (0.1, 0.1, 0.1)
    for season in seasons:
        colour = palette[codes].transpose(2, 0, 1) * SEASON_GAIN[season] + rng.normal(0, 0.008, (3, ROWS, COLUMNS))
        image = np.clip(np.rint(colour * 10_000), 1, None).astype(np.uint16)
        image[:, *absent] = 0
        _write(folder / f"{name}_sen2_rgb_{season}.tif", image, Affine(10, 0, LEFT, 0, -10, TOP))
    # As there: the class raster is a pixel shorter and starts a row lower, its header rounded elsewhere.
    lower = Affine(10, 0, LEFT + 0.00037, 0, -10, TOP - 10 + 0.0002)
    _write(folder / f"{name}_lcz.tif", codes[None, 1:, :-1], lower)
    _write_squares(folder / f"{name}_osm_cells.geojson")
    layers = {"buildings": _buildings(cells)}
    _write_layers(folder / f"{name}_osm_buildings.gpkg.zip", layers)
    if full:
        _write_layers(folder / f"{name}_osm_full.gpkg.zip", layers | {"lines": _lines(), "landuse": _grounds(cells)})
        shares = np.stack([codes[1:, :-1] == code for code in (8, 2, 6, 14)]).astype(np.float32)
        _write(folder / f"{name}_lu.tif", shares, lower)
    return folder


def _write(path: Path, data: np.ndarray, transform: Affine) -> None:
    kind = {"driver": "GTiff", "count": len(data), "height": data.shape[1], "width": data.shape[2], "dtype": data.dtype}
    with rasterio.open(path, "w", crs=CRS, transform=transform, nodata=0, compress="deflate", **kind) as dataset:
        dataset.write(data)


def _write_squares(path: Path) -> None:
    squares, names = [], []
    for k in range(20):
        row, column = divmod(k, 5)
        if k != ABSENT:
            x, y = LEFT + 1000 * column, TOP - 1000 * row
            squares.append(shapely.box(x, y - 1000, x + 1000, y))
            names.append(k)
    table = {"GRD_ID": [f"1km{k}" for k in names], "osm_available": [k != UNMAPPED for k in names]}
    pyogrio.write_dataframe(gpd.GeoDataFrame(table, geometry=squares, crs=CRS), path, driver="GeoJSON")


def _buildings(cells: np.ndarray) -> gpd.GeoDataFrame:
    rows = []
    for (row, column), code in np.ndenumerate(cells):
        x, y = LEFT + 10 * (LATTICE[1] + 10 * column), TOP - 10 * (LATTICE[0] + 10 * row)
        if code == 8:
            rows.append(("industrial", None, None, shapely.box(x + 20, y - 80, x + 80, y - 20)))
        for dx, dy in ((10, 10), (60, 10), (10, 60), (60, 60)) if code in {2, 6} else ():
            side = 30 if code == 2 else 10
            told = ("apartments", None, "5") if code == 2 else ("yes", None, "house")
            rows.append((*told, shapely.box(x + dx, y - dy - side, x + dx + side, y - dy)))
    rows.append(("proposed", 99.0, None, shapely.box(LEFT + 4000, TOP - 3900, LEFT + 4900, TOP - 3100)))
    kind, height, levels, shapes = zip(*rows, strict=True)
    table = {"id": [str(k) for k in range(len(rows))], "building": kind, "height": height, "levels": levels}
    return gpd.GeoDataFrame(table, geometry=[shapely.MultiPolygon([s]) for s in shapes], crs=CRS)


def _lines() -> gpd.GeoDataFrame:
    y = TOP - 1555
    road = shapely.LineString([(LEFT + 1000, y), (LEFT + 2000, y)])
    rail = shapely.LineString([(LEFT + 2005, TOP - 1000), (LEFT + 2005, TOP - 2000)])
    table = {"osm_id": ["1", "2"], "highway": ["primary", None], "railway": [None, "rail"], "waterway": [None, None]}
    return gpd.GeoDataFrame(table, geometry=[road, rail], crs=CRS)


def _grounds(cells: np.ndarray) -> gpd.GeoDataFrame:
    shapes = []
    for row, column in np.argwhere(cells == 14):
        x, y = LEFT + 10 * (LATTICE[1] + 10 * column), TOP - 10 * (LATTICE[0] + 10 * row)
        shapes.append(shapely.MultiPolygon([shapely.box(x, y - 100, x + 100, y)]))
    blank = [None] * len(shapes)
    table = {"id": blank, "landuse": ["farmland"] * len(shapes), "natural": blank, "leisure": blank}
    return gpd.GeoDataFrame(table, geometry=shapes, crs=CRS)


def _write_layers(path: Path, layers: dict[str, gpd.GeoDataFrame]) -> None:
    plain = path.with_suffix("")
    for layer, frame in layers.items():
        pyogrio.write_dataframe(frame, plain, layer=layer, driver="GPKG", append=plain.is_file())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(plain, plain.name)
    plain.unlink()
