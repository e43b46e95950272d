"""What the accuracy of a map tells: counts by hand, areas and their limits, JSON without gaps, and the picture."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from models.classes import LAND_COVER, LOCAL_CLIMATE_ZONES
from worker.products.accuracy import Accuracy, accuracy_document, assess, confusion_picture


def features(*rows: tuple[int, dict[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    counts = np.zeros((len(rows), 18), np.int64)
    for row, (_, pixels) in enumerate(rows):
        for code, number in pixels.items():
            counts[row, code] = number
    return np.array([truth for truth, _ in rows], np.int16), counts


def assessed(*rows: tuple[int, dict[int, int]], polygons: bool = False, **mapped: float) -> Accuracy:
    truth, counts = features(*rows)
    km2 = np.zeros(17)
    for code, area in mapped.items():
        km2[int(code.removeprefix("c")) - 1] = area
    kind = np.full(len(truth), polygons)
    return assess(truth, counts, kind, classes=LOCAL_CLIMATE_ZONES, mapped_km2=km2)


POINTS: tuple[Any, ...] = ((2, {2: 1}), (2, {2: 1}), (2, {17: 1}), (17, {17: 1}), (17, {17: 1}), (17, {0: 1}))


def test_points_are_counted_and_areas_estimated():
    found = assessed(*POINTS, c2=6.0, c17=4.0)
    assert (found.points, found.polygons, found.pixels, found.unmapped) == (6, 0, 5, 1)
    assert found.metrics["OA"] == 0.8
    assert found.spread is None
    two, water = found.classes[1], found.classes[16]
    assert (two.users, two.producers, two.km2) == (1.0, pytest.approx(2 / 3, abs=1e-4), pytest.approx(6 + 4 / 3))
    assert water.km2 == pytest.approx(8 / 3)
    assert found.overall == pytest.approx(0.6 + 0.4 * 2 / 3)
    assert found.covered == 1
    assert found.classes[4].users is None


def test_polygons_count_pixels_for_accuracy_and_once_for_areas():
    rows = [(2, {2: 90, 3: 10}), (2, {2: 60, 3: 40}), (3, {3: 50}), (3, {3: 50})]
    found = assessed(*rows, polygons=True, c2=1.0, c3=1.0, c5=2.0)
    assert found.metrics["OA"] == pytest.approx(250 / 300, abs=1e-4)
    assert found.overall == 1
    assert found.covered == 0.5
    assert "left out" in found.areas_note
    assert found.spread is not None
    assert found.spread["OA"].repeats == 25
    assert found.spread["OA"].lowest < found.spread["OA"].highest


def test_too_few_features_estimate_nothing_and_say_so():
    found = assessed((2, {2: 1}), (3, {3: 1}), c2=1.0, c3=1.0)
    assert found.overall is None
    assert "two reference features" in found.areas_note
    nothing = assessed((2, {0: 1}), c2=1.0)
    assert (nothing.pixels, nothing.metrics) == (0, {})


def test_the_document_is_plain_json_and_repeatable():
    rows = [(2, {2: 90, 3: 10}), (2, {2: 60, 3: 40}), (3, {3: 50}), (3, {3: 50})]
    found = assessed(*rows, polygons=True, c2=1.0, c3=1.0)
    assert accuracy_document(found) == accuracy_document(assessed(*rows, polygons=True, c2=1.0, c3=1.0))
    told = json.loads(accuracy_document(found))
    assert told["metrics"]["OA"] == 0.8333
    assert told["confusion_matrix"]["counts"][1][2] == 50
    assert told["confusion_matrix"]["labels"][10] == "A"
    assert told["bootstrap"]["repeats"] == 25
    assert told["classes"][1]["estimated_km2"] == 1
    assert told["classes"][5]["users_accuracy"] is None
    assert json.loads(accuracy_document(assessed((2, {0: 1}), c2=1.0)))["metrics"] == {}


def test_land_cover_goes_without_the_metrics_of_zones():
    counts = np.zeros((4, 10), np.int64)
    counts[[0, 1, 2, 3], [4, 4, 8, 8]] = 1
    km2 = np.ones(9)
    found = assess(np.array([4, 4, 8, 8]), counts, np.zeros(4, bool), classes=LAND_COVER, mapped_km2=km2)
    assert set(found.metrics) == {"OA", "AA", "kappa", "macro_F1"}


def test_the_picture_holds_the_classes_that_occur():
    picture = confusion_picture(assessed(*POINTS, (2, {5: 12_345}), c2=6.0, c17=4.0))
    assert [kind.label for kind in picture["kinds"]] == ["2", "5", "G"]
    assert len(picture["cells"]) == 9
    assert {cell["count"] for cell in picture["cells"]} == {"", "1", "2", "12k"}
    assert [cell["share"] for cell in picture["cells"] if cell["y"] == 2] == [0, 0, 1]
