"""Which unit decides, and the block that follows from it."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import Polygon, box

from jobs.area import Grid
from models.cards import UnitThresholds
from models.classes import LAND_COVER, LOCAL_CLIMATE_ZONES
from worker.parcels.units import ABSTAIN, PARCEL, PIXEL, SCENE, Decided, Verdicts, decide_block, judge_parcels
from worker.parcels.vectors.cleaning import clean_parcels
from worker.parcels.zonal import Sums, coverage_sums

WATER, TREES, MIDRISE = 17, 11, 2
GRID = Grid("EPSG:32633", 0.0, 1000.0, 10.0, 100, 100)


def parcels_of(*geometries: Polygon) -> gpd.GeoDataFrame:
    ids = [f"p{k}" for k in range(len(geometries))]
    frame = gpd.GeoDataFrame({"parcel_id": ids}, geometry=list(geometries), crs=GRID.crs)
    return clean_parcels(frame, box(*GRID.bounds)).frame


def sums_of(parcels: gpd.GeoDataFrame, *shares: dict[int, float], valid: float = 1.0) -> Sums:
    cells = parcels["area_m2"].to_numpy() / 100
    probability = np.zeros((len(parcels), 17))
    for row, share in enumerate(shares):
        for code, p in share.items():
            probability[row, code - 1] = p * cells[row] * valid
    return Sums(cells, cells * valid, probability)


def judge(parcels: gpd.GeoDataFrame, sums: Sums, mode: str = "auto") -> Verdicts:
    return judge_parcels(
        parcels, sums, cell_area=100.0, thresholds=UnitThresholds(), classes=LOCAL_CLIMATE_ZONES, mode=mode
    )


@pytest.mark.parametrize(
    ("shape", "share", "unit", "reason"),
    [
        (box(0, 0, 200, 200), {TREES: 0.9, MIDRISE: 0.1}, PARCEL, ""),
        (box(0, 0, 500, 100), {TREES: 1.0}, PIXEL, "elongated"),
        (box(0, 0, 300, 300).difference(box(0, 20, 280, 300)), {TREES: 1.0}, PIXEL, "narrow"),
        (box(0, 0, 150, 50), {TREES: 1.0}, SCENE, "under 1 ha"),
        (box(0, 0, 200, 200), {WATER: 0.85, TREES: 0.15}, PIXEL, "water edge"),
        (box(0, 0, 200, 200), {WATER: 0.95, TREES: 0.05}, PARCEL, ""),
        (box(0, 0, 90, 90), {TREES: 1.0}, SCENE, "under 1 ha"),
        (box(0, 0, 1100, 1000), {TREES: 1.0}, SCENE, "over 100 ha"),
        (box(0, 0, 200, 200), {TREES: 0.55, MIDRISE: 0.45}, SCENE, "mixed"),
        (box(0, 0, 200, 200), dict.fromkeys(range(3, 13), 0.04) | {TREES: 0.64}, SCENE, "mixed"),
        (box(0, 0, 0.5, 0.5), {TREES: 1.0}, SCENE, "sliver"),
    ],
)
def test_the_rule(shape: Polygon, share: dict[int, float], unit: int, reason: str) -> None:
    parcels = parcels_of(shape)
    verdicts = judge(parcels, sums_of(parcels, share))
    assert (verdicts.unit[0], verdicts.reason[0]) == (unit, reason)


def test_figures_of_a_verdict() -> None:
    parcels = parcels_of(box(0, 0, 200, 200), box(300, 0, 500, 200), box(600, 0, 800, 200))
    even = dict.fromkeys(range(1, 18), 1 / 17)
    verdicts = judge(parcels, sums_of(parcels, {TREES: 0.7, WATER: 0.3}, even, {}, valid=0.75))
    assert verdicts.top.tolist() == [TREES, 1, 0]
    assert verdicts.second.tolist() == [WATER, 2, 0]
    np.testing.assert_allclose(verdicts.purity, [0.7, 1 / 17, 0])
    np.testing.assert_allclose(verdicts.entropy[:2], [-(0.7 * np.log(0.7) + 0.3 * np.log(0.3)) / np.log(17), 1])
    np.testing.assert_allclose(verdicts.valid_fraction, 0.75)
    np.testing.assert_allclose(verdicts.pixels, 300)
    np.testing.assert_allclose(verdicts.mean.sum(axis=1), [1, 1, 0])


def test_parcel_that_reaches_over_the_grid_is_judged_by_what_lies_on_it() -> None:
    parcels = parcels_of(box(-5000, 0, 100, 200), box(-5000, 300, 5000, 1300))
    probabilities = np.zeros((17, *GRID.shape), np.uint8)
    probabilities[TREES - 1] = 255
    sums = coverage_sums(parcels.geometry.to_numpy(), probabilities, np.ones(GRID.shape, np.bool_), GRID)
    verdicts = judge(parcels, sums, mode="parcel")
    np.testing.assert_allclose(verdicts.valid_fraction, 1)
    assert verdicts.unit.tolist() == [PARCEL, PARCEL]
    assert verdicts.top.tolist() == [TREES, TREES]


def test_half_without_imagery_is_the_limit() -> None:
    parcels = parcels_of(box(0, 0, 200, 200))
    for valid, unit, reason in ((0.5, PARCEL, ""), (0.49, ABSTAIN, "too little imagery")):
        verdicts = judge(parcels, sums_of(parcels, {TREES: 1.0}, valid=valid))
        assert (verdicts.unit[0], verdicts.reason[0]) == (unit, reason)


@pytest.mark.parametrize(("mode", "unit"), [("pixel", PIXEL), ("scene", SCENE), ("parcel", PARCEL)])
def test_asking_for_a_unit_overrides_every_rule_but_imagery(mode: str, unit: int) -> None:
    parcels = parcels_of(box(0, 0, 200, 20), box(0, 100, 200, 300))
    sums = sums_of(parcels, {TREES: 0.5, WATER: 0.5}, {})
    verdicts = judge(parcels, sums, mode)
    assert verdicts.unit.tolist() == [unit, ABSTAIN]


def test_land_cover_knows_its_own_water() -> None:
    parcels = parcels_of(box(0, 0, 200, 200))
    probability = np.zeros((1, 9))
    probability[0, 5], probability[0, 3] = 320, 80
    verdicts = judge_parcels(
        parcels, Sums(np.array([400.0]), np.array([400.0]), probability), cell_area=100.0,
        thresholds=UnitThresholds(), classes=LAND_COVER, mode="auto",
    )  # fmt: skip
    assert (verdicts.top[0], verdicts.reason[0]) == (6, "water edge")


def stack(*planes: tuple[int, np.ndarray]) -> np.ndarray:
    result = np.zeros((17, *planes[0][1].shape), np.uint8)
    for code, plane in planes:
        result[code - 1] = plane
    return result


def block(mode: str, *shapes: Polygon, modify: tuple[int, ...] = ()) -> tuple[Decided, np.ndarray, Verdicts | None]:
    left = np.zeros((100, 100), np.uint8)
    left[:, :50] = 230
    noise = np.where(np.indices((100, 100)).sum(axis=0) % 7 == 0, 250, 0).astype(np.uint8)
    pixels = stack((TREES, left), (MIDRISE, 250 - left), (WATER, noise))
    pixels[:, :10, :10] = 0
    scenes = stack((TREES, left[::10, ::10]), (MIDRISE, 250 - left[::10, ::10]))
    parcels = parcels_of(*shapes) if shapes else None
    verdicts = None
    if parcels is not None:
        sums = coverage_sums(parcels.geometry.to_numpy(), pixels, pixels.any(axis=0), GRID)
        verdicts = judge(parcels, sums, mode)
    decided = decide_block(
        GRID, pixels, scenes, mode=mode, classes=LOCAL_CLIMATE_ZONES, parcels=parcels, verdicts=verdicts
    )
    return decided, pixels, verdicts


def test_without_parcels_auto_is_the_scene_cell() -> None:
    decided, _, _ = block("auto")
    assert set(np.unique(decided.map)) == {0, MIDRISE, TREES}
    assert (decided.map[10:, :50] == TREES).all()
    assert (decided.confidence[10:, :50] == 92).all()
    assert (decided.units[10:] == SCENE).all()
    assert not decided.units[:10, :10].any()
    assert not decided.confidence[:10, :10].any()


def test_pixels_decide_for_themselves_when_asked() -> None:
    decided, pixels, _ = block("pixel")
    there = pixels.any(axis=0)
    assert (decided.map[there] == pixels.argmax(axis=0)[there] + 1).all()
    assert (decided.units[there] == PIXEL).all()


def test_each_parcel_is_burned_by_the_unit_that_decided_it() -> None:
    whole, road = box(500, 0, 1000, 400), box(0, 500, 500, 560)
    decided, pixels, verdicts = block("auto", whole, road)
    assert verdicts is not None
    assert verdicts.unit.tolist() == [PARCEL, PIXEL]
    assert (decided.map[60:, 50:] == MIDRISE).all()
    assert (decided.units[60:, 50:] == PARCEL).all()
    assert (decided.confidence[60:, 50:] == round(100 * verdicts.purity[0])).all()
    strip = np.s_[44:50, :50]
    assert (decided.units[strip] == PIXEL).all()
    assert (decided.map[strip] == pixels.argmax(axis=0)[strip] + 1).all()
    assert (decided.units[20:40] == SCENE).all()


def test_a_parcel_that_decides_fills_its_clouds() -> None:
    decided, _, _ = block("parcel", box(0, 800, 200, 1000))
    assert (decided.map[:20, :20] == TREES).all()


def test_a_parcel_without_enough_imagery_leaves_its_cells_to_the_scene() -> None:
    decided, _, verdicts = block("auto", box(0, 870, 130, 1000))
    assert verdicts is not None
    assert verdicts.unit[0] == ABSTAIN
    assert (decided.units[10:13, :13] == SCENE).all()
    assert not decided.map[:10, :10].any()


def test_later_rows_win_and_slivers_hold_nothing() -> None:
    decided, _, _ = block("parcel", box(400, 0, 1000, 600), box(300, 0, 520, 600), box(700.2, 0, 700.3, 600))
    assert (decided.map[40:, 30:52] == TREES).all()
    assert (decided.map[40:, 52:] == MIDRISE).all()


def test_a_parcel_smaller_than_a_pixel_stays_in_the_table() -> None:
    decided, _, verdicts = block("parcel", box(601, 301, 603, 303))
    assert verdicts is not None
    assert verdicts.unit[0] == PARCEL
    assert not (decided.units == PARCEL).any()


def test_windows_give_the_same_map_as_the_whole() -> None:
    shapes = [box(333, 111, 777, 555), Polygon([(0, 0), (500, 0), (250, 433)]), box(100, 700, 165, 999)]
    parcels = parcels_of(*shapes)
    rng = np.random.default_rng(3)
    pixels = rng.integers(1, 255, (17, 100, 100), dtype=np.uint8)
    sums = coverage_sums(parcels.geometry.to_numpy(), pixels, np.ones((100, 100), bool), GRID)
    verdicts = judge(parcels, sums, "parcel")
    common = {"mode": "parcel", "classes": LOCAL_CLIMATE_ZONES, "parcels": parcels, "verdicts": verdicts}
    whole = decide_block(GRID, pixels, pixels[:, 5::10, 5::10], **common)
    for row, column in ((0, 0), (0, 60), (60, 0), (60, 60)):
        height, width = min(60, 100 - row), min(60, 100 - column)
        window = np.s_[row : row + height, column : column + width]
        part = pixels[:, *window]
        decided = decide_block(GRID.window(row, column, height, width), part, part[:, 5::10, 5::10], **common)
        for name in ("map", "confidence", "units"):
            assert (getattr(decided, name) == getattr(whole, name)[window]).all(), name
