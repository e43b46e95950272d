"""Parts of blocks hold what a walk over all features and blocks would give them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import shapely
from pydantic import SecretStr
from shapely.geometry import GeometryCollection, Polygon, box

from jobs.area import Grid
from jobs.errors import BadVector
from jobs.plan import cut_blocks
from jobs.settings import Settings
from jobs.storage import Storage
from worker.parcels.vectors import partition
from worker.parcels.vectors.partition import Lattice, part_key, read_part, write_parts
from worker.parcels.zonal import coverage_sums

GRID = Grid("EPSG:32633", 500_000.0, 5_510_000.0, 10.0, 1000, 700)
SIDE = 240
HEIGHT = {"height": pa.float64()}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(Settings(storage_url=f"file://{tmp_path}/store", link_secret=SecretStr("s")))


def lattice_of(area: Polygon) -> Lattice:
    return Lattice(GRID, SIDE, cut_blocks(GRID, SIDE, area))


def houses(count: int, seed: int = 0) -> gpd.GeoDataFrame:
    random = np.random.default_rng(seed)
    x, y = random.uniform(499_000, 511_000, count), random.uniform(5_502_000, 5_511_000, count)
    size = random.choice([5.0, 20.0, 3000.0], count, p=[0.6, 0.38, 0.02])
    shapes = shapely.box(x, y, x + size, y + size)
    heights = np.where(np.arange(count) % 5 == 0, np.nan, random.uniform(3, 60, count))
    return gpd.GeoDataFrame({"height": heights}, geometry=shapes, crs=GRID.crs)


@pytest.mark.parametrize("reach", [0.0, 350.0])
def test_every_block_gets_what_touches_it(storage: Storage, tmp_path: Path, reach: float) -> None:
    lattice = lattice_of(Polygon([(500_000, 5_510_000), (510_000, 5_510_000), (510_000, 5_508_000)]))
    frame = houses(3000)
    frames = [frame.iloc[:700], frame.iloc[700:700], frame.iloc[700:]]
    told = write_parts(storage, "p", frames, lattice, columns=HEIGHT, scratch=tmp_path, reach=reach)
    bounds, copies = shapely.bounds(frame.geometry.to_numpy()), 0
    for block in lattice.blocks:
        full = GRID.window(block.row, block.column, SIDE, SIDE).bounds
        left, bottom, right, top = np.array(full) + np.array([-reach, -reach, reach, reach])
        west, south, east, north = bounds.T
        rows = np.flatnonzero((west <= right) & (east >= left) & (south <= top) & (north >= bottom))
        part = read_part(storage, "p", block.id)
        assert part["row"].tolist() == rows.tolist()
        assert part["row"].dtype == np.int64
        np.testing.assert_array_equal(part["height"], frame["height"].to_numpy()[rows])
        assert part.geometry.to_wkb().tolist() == frame.geometry.iloc[rows].to_wkb().tolist()
        assert part.crs == GRID.crs
        copies += len(rows)
    assert told.features == 3000
    assert copies > 300


def test_a_block_without_features_has_no_object_and_reads_empty(storage: Storage, tmp_path: Path) -> None:
    lattice = lattice_of(box(*GRID.bounds))
    house = gpd.GeoDataFrame({"height": [3.0]}, geometry=[box(500_100, 5_509_000, 500_110, 5_509_010)], crs=GRID.crs)
    told = write_parts(storage, "p", [house], lattice, columns=HEIGHT, scratch=tmp_path)
    assert (told.blocks, told.copies) == (1, 1)
    empty = lattice.blocks[-1].id
    assert storage.size(part_key("p", empty)) is None
    part = read_part(storage, "p", empty)
    assert part.empty
    assert list(part.columns) == ["row", "height", "geometry"]
    assert part.dtypes["row"] == np.int64
    assert part.crs == GRID.crs
    with pytest.raises(RuntimeError, match="never written"):
        read_part(storage, "q", empty)
    assert write_parts(storage, "q", [], lattice, columns=HEIGHT, scratch=tmp_path).features == 0
    assert read_part(storage, "q", empty).empty


def test_the_same_features_give_the_same_bytes_however_they_come(storage: Storage, tmp_path: Path) -> None:
    lattice, frame = lattice_of(box(*GRID.bounds)), houses(2000)
    digests = []
    for name, step in (("a", 2000), ("b", 111)):
        frames = [frame.iloc[k : k + step] for k in range(0, 2000, step)]
        write_parts(storage, name, frames, lattice, columns=HEIGHT, scratch=tmp_path, reach=50)
        keys = storage.keys(f"{name}/")
        digests.append([(key[1:], hashlib.sha256(storage.get(key) or b"").hexdigest()) for key in keys])
    assert digests[0] == digests[1]
    assert not list(tmp_path.glob("tmp*"))


def jagged(corners: int, radius: float) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    r = radius + 0.1 * radius * np.sin(7 * angle) + 0.02 * radius * np.sin(90 * angle)
    return Polygon(np.stack([505_000 + r * np.cos(angle), 5_506_500 + r * np.sin(angle)], axis=1))


def test_a_huge_outline_is_cut_and_sums_stay(storage: Storage, tmp_path: Path) -> None:
    lattice, shape = lattice_of(box(*GRID.bounds)), jagged(200_000, 3000)
    frame = gpd.GeoDataFrame(geometry=[shape, box(0, 0, 1, 1)], crs=GRID.crs)
    write_parts(storage, "p", [frame], lattice, columns={}, scratch=tmp_path)
    area = 0.0
    for block in lattice.blocks:
        part, window = (
            read_part(storage, "p", block.id),
            GRID.window(block.row, block.column, block.height, block.width),
        )
        random = np.random.default_rng(block.row)
        values, valid = random.integers(0, 255, (3, *window.shape), np.uint8), random.random(window.shape) < 0.9
        cut = coverage_sums(part.geometry.to_numpy(), values, valid, window)
        whole = coverage_sums(frame.geometry.to_numpy()[part["row"]], values, valid, window)
        np.testing.assert_allclose(cut.area, whole.area, atol=1e-6)
        np.testing.assert_allclose(cut.probability, whole.probability, atol=1e-6)
        assert shapely.get_num_coordinates(part.geometry.to_numpy()).sum() < 80_000
        area += cut.area.sum()
    assert area * 100 == pytest.approx(shape.area, rel=1e-9)


def test_a_huge_outline_that_crosses_itself_is_mended_first(storage: Storage, tmp_path: Path) -> None:
    lattice, shape = lattice_of(box(*GRID.bounds)), jagged(4000, 3000)
    corners = shapely.get_coordinates(shape)
    corners[[100, 2000]] = corners[[2000, 100]]
    tangled = GeometryCollection([Polygon(corners), box(500_000, 5_509_000, 502_600, 5_509_900)])
    frame = gpd.GeoDataFrame(geometry=[tangled], crs=GRID.crs)
    told = write_parts(storage, "p", [frame], lattice, columns={}, scratch=tmp_path)
    assert told.features == 1
    parts = [read_part(storage, "p", block.id) for block in lattice.blocks]
    assert sum(len(part) for part in parts) > 6
    assert all(set(part.geom_type) <= {"Polygon", "MultiPolygon"} for part in parts)


def test_features_that_fill_every_block_again_and_again_are_refused(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition, "MOST_COPIES", 1000)
    frame = gpd.GeoDataFrame(geometry=[box(*GRID.bounds)] * 100, crs=GRID.crs)
    with pytest.raises(BadVector, match="side by side"):
        write_parts(storage, "p", [frame], lattice_of(box(*GRID.bounds)), columns={}, scratch=tmp_path)
