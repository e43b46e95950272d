"""Blocks of small parcels, ground beside parcels, and the cheap way to decide a block of a large job."""

from __future__ import annotations

import time

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely.geometry import Polygon, box

from jobs.area import Grid
from models.cards import UnitThresholds
from models.classes import LOCAL_CLIMATE_ZONES
from worker.parcels.units import (
    ABSTAIN,
    BLOCK,
    PARCEL,
    PIXEL,
    SCENE,
    UNIT_NAMES,
    Verdicts,
    decide_block,
    group_small,
    grouping,
    judge_parcels,
    parcels_near,
)  # fmt: skip
from worker.parcels.vectors.cleaning import clean_parcels
from worker.parcels.zonal import Sums, coverage_sums, merge_sums, sums_table

WATER, TREES, MIDRISE = 17, 11, 2
GRID = Grid("EPSG:32633", 0.0, 1000.0, 10.0, 100, 100)
LIMITS = UnitThresholds()


def parcels_of(*geometries: Polygon) -> gpd.GeoDataFrame:
    ids = [f"p{k}" for k in range(len(geometries))]
    frame = gpd.GeoDataFrame({"parcel_id": ids}, geometry=list(geometries), crs=GRID.crs)
    return clean_parcels(frame, box(*GRID.bounds)).frame


def plots(left: float, bottom: float, columns: int, rows: int, side: float = 50.0) -> list[Polygon]:
    corners = [(left + side * x, bottom + side * y) for y in range(rows) for x in range(columns)]
    return [box(x, y, x + side, y + side) for x, y in corners]


def judge(parcels: gpd.GeoDataFrame, sums: Sums, block: np.ndarray | None, **limits: float) -> Verdicts:
    return judge_parcels(
        parcels, sums, cell_area=100.0, thresholds=LIMITS.model_copy(update=limits), classes=LOCAL_CLIMATE_ZONES,
        mode="auto", block=block,
    )  # fmt: skip


def sums_of(parcels: gpd.GeoDataFrame, *shares: dict[int, float], valid: float = 1.0) -> Sums:
    cells = parcels["area_m2"].to_numpy() / 100
    probability = np.zeros((len(parcels), 17))
    for row, share in enumerate(shares):
        for code, p in share.items():
            probability[row, code - 1] = p * cells[row] * valid
    return Sums(cells, cells * valid, probability)


def test_streets_part_blocks_and_long_parcels_join_none() -> None:
    first, second = plots(0, 0, 3, 2), plots(162, 0, 2, 2)
    street, lone, large, empty = box(150, 0, 162, 400), box(0, 500, 50, 550), box(0, 100, 200, 300), Polygon()
    parcels = parcels_of(*first, street, *second, lone, large, empty)
    assert group_small(parcels, LIMITS).tolist() == [0] * 6 + [-1] + [1] * 4 + [-1, -1, -1]


def test_edges_drawn_a_little_apart_still_touch() -> None:
    for gap, expected in ((0.4, [0, 0]), (0.6, [-1, -1])):
        parcels = parcels_of(box(0, 0, 50, 50), box(50 + gap, 0, 100, 50))
        assert group_small(parcels, LIMITS).tolist() == expected


def test_numbers_follow_the_rows() -> None:
    parcels = parcels_of(*plots(500, 0, 2, 1), *plots(0, 0, 2, 1))
    assert group_small(parcels, LIMITS).tolist() == [0, 0, 1, 1]
    assert group_small(parcels_of(box(0, 0, 500, 500)), LIMITS).tolist() == [-1]


def test_parcels_heaped_on_one_another_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "_PAIRS_AT_ONCE", 1_000_000)
    monkeypatch.setattr(grouping, "_MOST_CANDIDATES", 3_000_000)
    rng = np.random.default_rng(1)
    west, south = rng.random((2, 5_000)) * 150
    heap = shapely.box(west, south, west + 60, south + 60)
    size = shapely.area(heap)
    frame = gpd.GeoDataFrame(
        {"area_m2": size, "elongation": 1.0, "mean_width": 2 * size / shapely.length(heap), "sliver": False},
        geometry=heap, crs=GRID.crs,
    )  # fmt: skip
    started = time.thread_time()
    block = group_small(frame, LIMITS)
    assert time.thread_time() - started < 10  # without a bound on pairs: 25 million of them
    assert (block[:600] == 0).all()


@pytest.mark.parametrize(
    ("columns", "share", "limits", "unit", "reason"),
    [
        (2, {TREES: 0.9, MIDRISE: 0.1}, {}, BLOCK, "under 1 ha: its block decides"),
        (1, {TREES: 0.9, MIDRISE: 0.1}, {}, SCENE, "under 1 ha"),
        (1, {TREES: 0.9, MIDRISE: 0.1}, {"block_min_area": 5e3}, BLOCK, "under 1 ha: its block decides"),
        (2, {TREES: 0.55, MIDRISE: 0.45}, {}, SCENE, "under 1 ha"),
        (2, dict.fromkeys(range(3, 13), 0.04) | {TREES: 0.64}, {}, SCENE, "under 1 ha"),
        (2, {TREES: 0.9}, {"parcel_max_area": 12_000}, SCENE, "under 1 ha"),
    ],
)
def test_when_a_block_decides(
    columns: int, share: dict[int, float], limits: dict[str, float], unit: int, reason: str
) -> None:
    parcels = parcels_of(*plots(0, 0, columns, 3))
    verdicts = judge(parcels, sums_of(parcels, *[share] * len(parcels)), group_small(parcels, LIMITS), **limits)
    assert set(zip(verdicts.unit, verdicts.reason, strict=True)) == {(unit, reason)}


def test_members_take_the_class_of_the_whole() -> None:
    parcels = parcels_of(*plots(0, 0, 4, 1))
    shares = [{TREES: 0.9, MIDRISE: 0.1}] * 3 + [{TREES: 0.3, MIDRISE: 0.7}]
    verdicts = judge(parcels, sums_of(parcels, *shares), group_small(parcels, LIMITS))
    assert verdicts.unit.tolist() == [BLOCK] * 4
    assert verdicts.top.tolist() == [TREES] * 4
    assert verdicts.second.tolist() == [MIDRISE] * 4
    np.testing.assert_allclose(verdicts.purity, 0.75)
    np.testing.assert_allclose(verdicts.mean[:, TREES - 1], 0.75)
    alone = judge(parcels, sums_of(parcels, *shares), None)
    assert alone.unit.tolist() == [SCENE] * 4
    assert alone.top.tolist() == [TREES] * 3 + [MIDRISE]


def test_a_table_of_blocks_counts_its_large_parcels_too() -> None:
    parcels = parcels_of(box(0, 0, 200, 200), *plots(200, 0, 1, 2))
    shares = [{TREES: 1.0}, {MIDRISE: 1.0}, {MIDRISE: 1.0}]
    verdicts = judge(parcels, sums_of(parcels, *shares), np.zeros(3, np.int64))
    assert verdicts.unit.tolist() == [PARCEL, BLOCK, BLOCK]
    assert verdicts.top.tolist() == [TREES, TREES, TREES]
    assert verdicts.purity.tolist() == pytest.approx([1, 8 / 9, 8 / 9])


def test_clouds_over_a_plot_are_told_and_over_a_block_leave_it_undecided() -> None:
    parcels = parcels_of(*plots(0, 0, 4, 1))
    sums = sums_of(parcels, *[{TREES: 1.0}] * 4)
    sums.valid_area[0] *= 0.4
    sums.probability[0] *= 0.4
    verdicts = judge(parcels, sums, group_small(parcels, LIMITS))
    assert verdicts.unit.tolist() == [ABSTAIN, BLOCK, BLOCK, BLOCK]
    assert verdicts.reason[0] == "too little imagery"
    sums.valid_area[1:3] *= 0.1
    sums.probability[1:3] *= 0.1
    assert judge(parcels, sums, group_small(parcels, LIMITS)).unit.tolist() == [ABSTAIN, ABSTAIN, ABSTAIN, SCENE]


def test_sums_of_blocks_merge_like_those_of_parcels() -> None:
    parcels = parcels_of(*plots(300, 300, 8, 6))
    block = group_small(parcels, LIMITS)
    values = np.random.default_rng(5).integers(0, 255, (17, 100, 100), dtype=np.uint8)
    values[WATER - 1] = 0
    geometries = parcels.geometry.to_numpy()
    whole = coverage_sums(geometries, values, np.ones((100, 100), bool), GRID)
    tables = []
    for row in (0, 50):
        for column in (0, 50):
            part = values[:, row : row + 50, column : column + 50]
            window = GRID.window(row, column, 50, 50)
            tables.append(sums_table(coverage_sums(geometries, part, np.ones((50, 50), bool), window)))
    first = judge(parcels, whole, block, parcel_top=0.0, parcel_entropy=1.0)
    second = judge(parcels, merge_sums(tables, len(parcels)), block, parcel_top=0.0, parcel_entropy=1.0)
    assert set(first.unit) == {BLOCK}
    np.testing.assert_allclose(first.mean, second.mean, atol=1e-12)
    assert (first.top == second.top).all()


def values_of(code: int) -> np.ndarray:
    values = np.zeros((17, 100, 100), np.uint8)
    values[code - 1] = 255
    return values


def decide(parcels: gpd.GeoDataFrame, values: np.ndarray, **more: object) -> tuple[Verdicts, object]:
    thresholds = LIMITS.model_copy(update=more)
    sums = coverage_sums(parcels.geometry.to_numpy(), values, values.any(axis=0), GRID)
    verdicts = judge(parcels, sums, group_small(parcels, thresholds), **more)
    decided = decide_block(
        GRID, values, values[:, 5::10, 5::10], mode="auto", classes=LOCAL_CLIMATE_ZONES, parcels=parcels,
        verdicts=verdicts, thresholds=thresholds,
    )  # fmt: skip
    return verdicts, decided


def test_the_raster_tells_blocks() -> None:
    assert UNIT_NAMES[BLOCK] == "block"
    values = values_of(TREES)
    values[:, 10, 10] = 0
    _, decided = decide(parcels_of(*plots(0, 800, 4, 4)), values)
    assert (decided.units[:20, :20] == BLOCK).all()
    assert (decided.map[:20, :20] == TREES).all()
    assert (decided.units[20:] == SCENE).all()


def test_streets_go_with_the_nearest_parcel_but_no_river_does() -> None:
    values = values_of(TREES)
    values[:, :, 21:] = values_of(WATER)[:, :, 21:]
    values[:, :, 23] = 0
    left, right = box(-100, 0, 200, 1000), box(250, 0, 600, 1000)
    parcels = parcels_of(left, right)
    _, decided = decide(parcels, values, street_reach=25.0)
    assert (decided.parcel[:, 20] == 0).all()
    assert (decided.units[:, 20] == PARCEL).all()
    assert (decided.parcel[:, 21:25] == -1).all()
    _, plain = decide(parcels, values)
    assert (plain.parcel[:, 20:25] == -1).all()


def test_beside_parcels_pixels_decide_where_a_border_crosses_the_cell() -> None:
    values = values_of(TREES)
    values[MIDRISE - 1, 50:], values[TREES - 1, 50:] = 140, 115
    parcels = parcels_of(box(0, 800, 200, 1000))
    _, decided = decide(parcels, values, scene_top=0.6)
    assert (decided.units[50:] == PIXEL).all()
    assert (decided.units[20:50] == SCENE).all()
    alone = decide_block(
        GRID, values, values[:, 5::10, 5::10], mode="auto", classes=LOCAL_CLIMATE_ZONES,
        thresholds=UnitThresholds(scene_top=0.6),
    )  # fmt: skip
    assert (alone.units == SCENE).all()


def test_windows_with_the_parcels_near_them_give_the_whole() -> None:
    rng = np.random.default_rng(2)
    west, south = rng.random((2, 300)) * 950
    shapes = shapely.box(west, south, west + rng.random(300) * 120 + 20, south + rng.random(300) * 120 + 20)
    parcels = parcels_of(*shapes)
    values = rng.integers(1, 15, (17, 100, 100), dtype=np.uint8)
    thresholds = UnitThresholds(street_reach=40.0, scene_top=0.2, parcel_top=0.0, parcel_entropy=1.0)
    sums = coverage_sums(parcels.geometry.to_numpy(), values, np.ones((100, 100), bool), GRID)
    verdicts = judge(parcels, sums, group_small(parcels, thresholds), parcel_top=0.0, parcel_entropy=1.0)
    common = {"mode": "auto", "classes": LOCAL_CLIMATE_ZONES, "parcels": parcels, "verdicts": verdicts,
              "thresholds": thresholds}  # fmt: skip
    whole = decide_block(GRID, values, values[:, 5::10, 5::10], **common)
    tree = shapely.STRtree(parcels.geometry.to_numpy())
    for row, column in ((0, 0), (0, 60), (60, 0), (60, 60)):
        height, width = min(60, 100 - row), min(60, 100 - column)
        grid = GRID.window(row, column, height, width)
        near = parcels_near(tree, grid, thresholds)
        assert len(near) < len(parcels)
        part = values[:, row : row + height, column : column + width]
        decided = decide_block(grid, part, part[:, 5::10, 5::10], near=near, **common)
        for name in ("map", "confidence", "units", "parcel"):
            expected = getattr(whole, name)[row : row + height, column : column + width]
            assert (getattr(decided, name) == expected).all(), name
