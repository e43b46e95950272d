"""Areas to fit and to measure units on: procedural cities, and Gdansk by networks that never saw the ground they map.

`python -m benchmarks.unit_areas procedural --seeds 2001-2006 --out FOLDER` and
`python -m benchmarks.unit_areas gdansk --data FOLDER --out FOLDER` (trains a network a fold: 18 minutes on one thread)
write a folder an area, as worker.parcels.units.fitting and benchmarks.units read them.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from rich.console import Console
from shapely.geometry import box

from jobs.area import Grid
from models.cards import card_of
from models.classes import LOCAL_CLIMATE_ZONES
from models.data.cities.ground import CELL, CityGround, read_city, registered
from models.data.procedural import City, generate
from models.errors import CityzonesError
from models.evaluation.city import Fold, block_folds
from models.weights import weights_path
from worker.parcels.units.validation import Area, write_area
from worker.parcels.vectors.blocks import borders_of, derive_blocks
from worker.parcels.vectors.cleaning import clean_parcels

SIDE: Final = 400
FRAGMENTATION: Final = 0.35
"""Share of blocks whose class is not their district's: every third, so that most blocks border on another class."""
CITY: Final = "gdansk"
EPOCHS: Final = 210.0
_WINDOW: Final = (520, 460)  # pixels of the areas a city is cut into
_OFFSET: Final = 5  # pixels: a job's scene cells know nothing of the lattice of the reference
_LEAST_KNOWN: Final = 40_000  # pixels of truth in a window worth measuring
console = Console(stderr=True)

Bytes = NDArray[np.uint8]
Reals = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Condition:
    """A kind of procedural city: how many blocks differ from their district, and whether buildings are known."""

    name: str
    fragmentation: float
    buildings: bool


CONDITIONS: Final = (
    Condition("plain", 0.0, buildings=True),
    Condition("plain-no-buildings", 0.0, buildings=False),
    Condition("fragmented", FRAGMENTATION, buildings=True),
    Condition("fragmented-no-buildings", FRAGMENTATION, buildings=False),
)


def procedural_areas(seed: int, side: int = SIDE, threads: int = 1) -> Iterator[Area]:
    """Map the city of a seed with the bundled network, as served, under every condition of CONDITIONS.

    Each comes with the city's parcels, and once more ("-streets") with the blocks that its streets and river enclose:
    outside the built districts, where few streets lead, these hold ground of several classes.
    """
    session = _session(threads)
    cities = {share: generate(seed, (side, side), fragmentation=share) for share in (0.0, FRAGMENTATION)}
    for told in CONDITIONS:
        city = cities[told.fragmentation]
        form = city.morphology() if told.buildings else np.zeros((6, side, side), np.float32)
        values = _mapped(lambda a, b: session.run(["probabilities"], {"spectral": a, "morphology": b})[0][0],
                         (city.reflectance, form), card_of("magnet").geometry.halo)  # fmt: skip
        grid = Grid(str(city.parcels.crs), city.transform.c, city.transform.f, city.transform.a, side, side)
        for kind, frame in (("", city.parcels[["parcel_id", "geometry"]]), ("-streets", _enclosed(city))):
            parcels = clean_parcels(frame, box(*grid.bounds)).frame
            yield Area(f"{told.name}{kind}-{seed}", values, city.truth, parcels, grid, LOCAL_CLIMATE_ZONES)


def _enclosed(city: City) -> gpd.GeoDataFrame:
    """Return the blocks (parcel_id, geometry) between the streets and the banks of a city."""
    height = city.shape[0] * city.transform.a
    move = np.array([city.transform.c, city.transform.f - height])
    river = shapely.transform(city.plan.river, lambda points: points + move)
    lines = borders_of(np.append(city.streets.geometry.to_numpy(), river))
    extent = box(*move, move[0] + city.shape[1] * city.transform.a, city.transform.f)
    return derive_blocks(lines, extent, str(city.streets.crs)).frame


def _session(threads: int) -> Any:
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    path = weights_path(card_of("magnet"))
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _mapped(
    network: Callable[[Reals, Reals], Bytes], layers: tuple[Reals, Reals], halo: int, tile: int = 240,
    wanted: NDArray[np.bool_] | None = None,
) -> Bytes:  # fmt: skip
    """Map rasters (layer, y, x) tile by tile; beyond them reflectance repeats its edge and nothing is built."""
    height, width = layers[0].shape[1:]
    edge = (halo, halo + tile)
    spectral = np.pad(layers[0], ((0, 0), edge, edge), mode="edge")
    form = np.pad(layers[1], ((0, 0), edge, edge))
    out = np.zeros((len(LOCAL_CLIMATE_ZONES), height, width), np.uint8)
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            if wanted is not None and not wanted[y : y + tile, x : x + tile].any():
                continue
            cut = np.s_[None, :, y : y + tile + 2 * halo, x : x + tile + 2 * halo]
            found = network(np.ascontiguousarray(spectral[cut]), np.ascontiguousarray(form[cut]))
            rows, columns = out[0, y : y + tile, x : x + tile].shape
            out[:, y : y + tile, x : x + tile] = found[:, :rows, :columns]
    return out if wanted is None else out * wanted


def city_areas(data: Path, epochs: float = EPOCHS, count: int = 5) -> Iterator[Area]:
    """Map Gdansk by the folds of benchmarks.accuracy (seed 0) and cut it into windows, with land use as parcels.

    Every square kilometre is mapped at 10 m by the network of the fold that held it back. Truth is the city's own
    reference of 100 m cells; parcels are OpenStreetMap's polygons of land use, overlapping as they are.
    """
    city = registered(read_city(data / f"so2sat_pop_{CITY}"))
    values = np.zeros((len(LOCAL_CLIMATE_ZONES), *city.valid.shape), np.uint8)
    for number, fold in enumerate(block_folds(city, count, 0)):
        began = time.monotonic()
        values += _fold_map(city, fold, epochs)
        console.print(f"fold {number + 1} of {count}: {time.monotonic() - began:.0f} s")
    truth = _pixels(np.where(city.known, city.truth, 0), city)
    source = data / f"so2sat_pop_{CITY}" / f"{CITY}_osm_full.gpkg.zip"
    land = pyogrio.read_dataframe(source, layer="landuse").to_crs(city.crs)
    land = land[~(land.geometry.isna() | land.geometry.is_empty)]
    for row in range(_OFFSET, truth.shape[0], _WINDOW[0]):
        for column in range(_OFFSET, truth.shape[1], _WINDOW[1]):
            cut = np.s_[row : row + _WINDOW[0], column : column + _WINDOW[1]]
            part, codes = values[:, cut[0], cut[1]], truth[cut]
            if np.count_nonzero(part.any(axis=0) & (codes > 0)) < _LEAST_KNOWN:
                continue
            whole = Grid(city.crs, city.transform.c, city.transform.f, city.transform.a, 1, 1)
            grid = whole.window(row, column, *codes.shape)
            mine = land[land.intersects(box(*grid.bounds))]
            frame = mine[["geometry"]].assign(parcel_id=[str(name) for name in mine["id"]])
            parcels = clean_parcels(frame, box(*grid.bounds)).frame
            yield Area(f"{CITY}-{row}-{column}", part, codes, parcels, grid, LOCAL_CLIMATE_ZONES)


def _fold_map(city: CityGround, fold: Fold, epochs: float) -> Bytes:
    """Train on a fold and map the square kilometres it holds back, (class, y, x); 0 elsewhere."""
    torch: Any = importlib.import_module("torch")
    network = _fold_network(city, fold, epochs)
    held = np.isin(city.kilometre, np.unique(city.blocks(fold.test))) & (city.kilometre >= 0)
    wanted = (_pixels(held.astype(np.uint8), city) > 0) & city.valid

    def probabilities(spectral: Reals, form: Reals) -> Bytes:
        with torch.inference_mode():
            shares = network.pixels(torch.from_numpy(spectral), torch.from_numpy(form))[0][0]
            return np.asarray(torch.round(255 * shares).to(torch.uint8).numpy(), np.uint8)

    layers = (city.reflectance.reshape(-1, *city.valid.shape), city.morphology)
    return _mapped(probabilities, layers, network.window // 2, wanted=wanted)


def _fold_network(city: CityGround, fold: Fold, epochs: float) -> Any:
    """Train the network of a fold as models.training.folds does for benchmarks.accuracy: its running average."""
    torch, folds, loop, nodes, variants = (
        importlib.import_module(name)
        for name in ("torch", "models.training.folds", "models.training.loop", "models.training.nodes",
                     "models.networks.variants")
    )  # fmt: skip
    torch.set_num_threads(1)
    config = folds.fold_config("magnet", city, "cpu", 0, epochs)
    known = np.zeros(city.truth.shape, np.bool_)
    known[fold.train[:, 0], fold.train[:, 1]] = True
    source = folds.fold_source(config, city, known)
    torch.manual_seed(0)
    network = variants.build(config.model.variant, config.bands)
    loop.normalise(network, source, 0)
    run = loop.begin(network, config, loop.device_of(config))
    loop.optimise(run, nodes.samples_of(source, network, config), config, None)
    return run.average.eval()


def _pixels(cells: NDArray[Any], city: CityGround) -> Bytes:
    """Return the values of cells (row, column) at every pixel (y, x) of a city, 0 outside its lattice."""
    out = np.zeros(city.valid.shape, np.uint8)
    row, column = city.lattice
    fine = cells.repeat(CELL, axis=0).repeat(CELL, axis=1)[: out.shape[0] - row, : out.shape[1] - column]
    out[row : row + fine.shape[0], column : column + fine.shape[1]] = fine
    return out


def numbers(told: str) -> list[int]:
    """Read seeds such as 1-8 or 1,2,5."""
    found: list[int] = []
    for part in told.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main() -> None:
    """Write the areas asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("procedural", CITY))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=numbers, default="2001-2006", help="of procedural cities, such as 2001-2006")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="of the networks of a city's folds")
    told = parser.parse_args()
    if told.kind == CITY:
        areas = city_areas(told.data, told.epochs)
    else:
        areas = (area for seed in told.seeds for area in procedural_areas(seed))
    try:
        for area in areas:
            write_area(area, told.out / area.name)
            console.print(area.name, markup=False)
    except CityzonesError as error:
        console.print(error.detail, style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
