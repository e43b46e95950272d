"""Sums of windows, whatever the cut, the order and the threads, against those of the whole raster."""

from __future__ import annotations

import time
import tracemalloc
from itertools import pairwise
from random import Random

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from jobs.area import Grid
from worker.parcels.zonal import Sums, SumsMerger, coverage_sums, merge_sums, sums_table

SIDE = 64


def bits(sums: Sums) -> bytes:
    return sums.area.tobytes() + sums.valid_area.tobytes() + sums.probability.tobytes()


def scene(seed: int, left: float, top: float, resolution: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, Grid]:
    draw = np.random.default_rng(seed)
    grid = Grid("EPSG:32633", left, top, resolution, SIDE, SIDE)
    across = SIDE * resolution
    x, y = draw.uniform(left - 60, left + across + 60, 60), draw.uniform(top - across - 60, top + 60, 60)
    polygons = shapely.buffer(shapely.points(x, y), draw.uniform(0.2, 30, 60) * resolution)
    polygons[::3] = shapely.difference(polygons[::3], shapely.buffer(shapely.points(x[::3], y[::3]), resolution))
    polygons[::4] = shapely.affinity.scale(polygons[4], 1, 1e-5)
    polygons[5] = shapely.multipolygons(
        [box(left - 9, top - 99, left + 3.3, top + 7), box(left + 50, top - 80, left + 91, top - 9)]
    )
    probabilities = draw.integers(0, 256, (5, SIDE, SIDE), dtype=np.uint8)
    return polygons, probabilities, draw.random((SIDE, SIDE)) > 0.2, grid


def cut_sums(
    polygons: np.ndarray, stack: np.ndarray, valid: np.ndarray, grid: Grid, rows: list[int], columns: list[int],
    **options: object,
) -> list[pa.Table]:  # fmt: skip
    tables = []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            window = np.s_[top:bottom, left:right]
            part = grid.window(top, left, bottom - top, right - left)
            tables.append(sums_table(coverage_sums(polygons, stack[:, *window], valid[window], part, **options)))
    return tables


@pytest.mark.parametrize("cuts", [1, 2, 8])
@pytest.mark.parametrize(
    ("left", "top", "resolution"), [(500_000.0, 6e6, 10.0), (500_003.7, 5_999_999.1, 10.0), (412_300.6, 55.3, 0.6)]
)
def test_one_four_and_64_windows_give_the_same_bits(cuts: int, left: float, top: float, resolution: float) -> None:
    polygons, stack, valid, grid = scene(3, left, top, resolution)
    whole = coverage_sums(polygons, stack, valid, grid, origin=(left, top))
    edges = list(range(0, SIDE + 1, SIDE // cuts))
    tables = cut_sums(polygons, stack, valid, grid, edges, edges, origin=(left, top))
    merged = merge_sums(tables, len(polygons))
    assert bits(merged) == bits(whole)
    assert bits(merge_sums(tables[::-1], len(polygons))) == bits(whole)
    again = [sums_table(merge_sums(tables[k::3], len(polygons))) for k in range(min(3, len(tables)))]
    assert bits(merge_sums(again, len(polygons))) == bits(whole)


edges_drawn = st.sets(st.integers(1, SIDE - 1), max_size=7).map(lambda found: [0, *sorted(found), SIDE])


@settings(max_examples=60, deadline=None)
@example(451, [0, SIDE], [0, 3, SIDE], Random(0), 1)
@given(st.integers(0, 9999), edges_drawn, edges_drawn, st.randoms(use_true_random=False), st.sampled_from([1, 2, 3]))
def test_any_cut_gives_the_same_bits(
    seed: int, rows: list[int], columns: list[int], luck: object, threads: int
) -> None:
    polygons, stack, valid, grid = scene(seed, 500_000.0, 6e6, 10.0)
    whole = coverage_sums(polygons, stack, valid, grid)
    tables = cut_sums(polygons, stack, valid, grid, rows, columns, threads=threads)
    luck.shuffle(tables)  # type: ignore[attr-defined]
    assert bits(merge_sums(tables, len(polygons))) == bits(whole)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9999), edges_drawn, edges_drawn)
def test_float_windows_add_up(seed: int, rows: list[int], columns: list[int]) -> None:
    polygons, levels, valid, grid = scene(seed, 500_000.0, 6e6, 10.0)
    stack = (levels / 255).astype(np.float32)
    whole = coverage_sums(polygons, stack, valid, grid)
    assert bits(whole) == bits(coverage_sums(polygons, stack, valid, grid, threads=2))
    tables = cut_sums(polygons, stack, valid, grid, rows, columns)
    merged = merge_sums(tables, len(polygons))
    np.testing.assert_allclose(merged.probability, whole.probability, rtol=1e-12, atol=1e-9)
    assert merged.area.tobytes() == whole.area.tobytes()
    assert bits(merge_sums(tables[::-1], len(polygons))) == bits(merged)
    exact = coverage_sums(polygons, levels, valid, grid)
    np.testing.assert_allclose(whole.probability, exact.probability, rtol=1e-6, atol=1e-6)


def test_many_tables_are_merged_quickly_in_bounded_memory() -> None:
    draw = np.random.default_rng(5)
    n, classes, count = 200_000, 17, 1500
    rows = np.sort(draw.choice(n, 200, replace=False))
    columns = {name: draw.integers(0, 1 << 36, 200) for name in ["area", "valid_area", *(f"p_{k}" for k in range(17))]}
    table = pa.table({"row": rows} | columns, metadata={"probability_levels": "255"})
    tracemalloc.start()
    begun = time.process_time()
    merger = SumsMerger(n, classes)
    for _ in range(count):
        merger.add(table)
    merged = merger.result()
    seconds, peak = time.process_time() - begun, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert merged.ticks is not None
    assert (merged.ticks[rows, 0] == columns["area"] * count).all()
    assert peak < 260 << 20
    assert seconds < 15


def test_totals_beyond_an_int64_keep_their_value() -> None:
    ticks = np.full((1, 3), 1 << 62, np.int64)
    table = sums_table(Sums(np.ones(1), np.ones(1), np.ones((1, 1)), ticks))
    merged = merge_sums([table] * 8, 1)
    assert merged.ticks is None
    assert merged.area[0] == 2.0**37
    assert merged.probability[0, 0] == 2.0**37 / 255
