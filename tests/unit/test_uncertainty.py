"""The five bands by hand: of the unit that decided, of the pixel's own place, and nodata where nothing is known."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import box

from jobs.area import Grid
from jobs.plan import Block
from jobs.products import DOUBTS, UNSURE
from models.cards import Card, UnitThresholds, card_of
from models.classes import LOCAL_CLIMATE_ZONES
from models.consistency import UNKNOWN
from worker.parcels.units import decide_block, judge_parcels
from worker.parcels.vectors.cleaning import clean_parcels
from worker.parcels.zonal import coverage_sums
from worker.pipeline.probabilities import at_pixels, at_scenes
from worker.pipeline.uncertainty import Evidence, uncertainty_of

GRID = Grid("EPSG:32633", 500_000.0, 5_500_400.0, 10.0, 40, 40)
BLOCK = Block(id="b", row=0, column=0, height=40, width=40)
CARD = card_of("magnet")
PARTS = {"classes": LOCAL_CLIMATE_ZONES, "scene": 10}


def values() -> np.ndarray:
    """Left: class 2 at 80 %, 5 at 20 %. Right: 17 for certain. The last column has no imagery."""
    made = np.zeros((17, 40, 40), np.uint8)
    made[1, :, :20], made[4, :, :20], made[16, :, 20:] = 204, 51, 255
    made[:, :, 39] = 0
    return made


def reasons() -> np.ndarray:
    made = np.full((18, 40, 40), 10, np.uint8)
    made[0], made[2], made[17] = 128, 90, UNKNOWN
    return made


def bands(mode: str = "pixel", parcels: gpd.GeoDataFrame | None = None, card: Card = CARD, **more) -> np.ndarray:
    p = values()
    verdicts = None
    if parcels is not None:
        sums = coverage_sums(parcels.geometry.to_numpy(), p, p.any(axis=0), GRID)
        verdicts = judge_parcels(
            parcels, sums, cell_area=100.0, thresholds=UnitThresholds(), classes=LOCAL_CLIMATE_ZONES, mode=mode
        )
    decided = decide_block(
        GRID,
        at_pixels(p, BLOCK, card),
        at_scenes(p, BLOCK, card),
        mode=mode,
        parcels=parcels,
        verdicts=verdicts,
        **PARTS,
    )
    evidence = Evidence(p, more.get("reasons", reasons()))
    return uncertainty_of(decided, evidence, verdicts, BLOCK, card)


def entropy(*shares: float) -> float:
    return 100 * sum(-p * np.log(p) for p in shares if p) / np.log(17)


def test_pixels_tell_their_own():
    found = bands()
    assert found.shape == (len(DOUBTS), 40, 40)
    assert found[:, 5, 5].tolist() == [80, round(entropy(0.8, 0.2)), 5, 50, 90]
    assert found[:, 5, 30].tolist() == [100, 0, 0, 50, UNSURE]
    assert (found[:, :, 39] == UNSURE).all()


def test_scene_cells_tell_of_the_node_at_their_centre():
    found = bands("scene")
    assert (found[:3, :10, :10] == np.array([80, round(entropy(0.8, 0.2)), 5])[:, None, None]).all()


def test_a_parcel_tells_its_mean_and_pixels_without_imagery_no_reasons():
    parcels = clean_parcels(
        gpd.GeoDataFrame({"parcel_id": ["a"]}, geometry=[box(500_100, 5_500_000, 500_400, 5_500_300)], crs=GRID.crs),
        box(*GRID.bounds),
    ).frame
    found = bands("parcel", parcels)
    left, right = 10 / 29, 19 / 29
    expected = [100 * right, entropy(right, left * 0.8, left * 0.2), 2]
    for column in (12, 30, 39):
        assert found[:3, 20, column] == pytest.approx(expected, abs=1)
    assert found[3, 20, 12] == 50
    assert (found[3:, 20, 39] == UNSURE).all()
    assert found[:3, 5, 5].tolist() == [80, round(entropy(0.8, 0.2)), 5]


def test_networks_without_reasons_leave_their_bands_empty():
    assert (bands(reasons=None)[3:] == UNSURE).all()
    silent = CARD.model_copy(update={"serving": CARD.serving.model_copy(update={"extras": ()})})
    found = bands(card=silent)
    assert (found[3] == UNSURE).all()
    assert found[4, 5, 5] == 90
