"""Spoiled files end in a record or a refusal: nothing else opened, written or reached, in bounded time and memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fuzz import geojson
from tests.fuzz.conftest import each
from tests.fuzz.disguises import disguises
from tests.fuzz.judge import Judge
from tests.fuzz.references import names_of
from tests.fuzz.tiff_mutations import spoiled_images
from tests.fuzz.vector_files import geopackages, geoparquets

# pyogrio tells every small departure from the standard.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def _few_or(many: int, few: int = 25) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("number", [few, pytest.param(many, marks=pytest.mark.scale)])


def _hold(judge: Judge, spoiled: Any, number: int, kind: str, name: str) -> None:
    """Send so many spoiled files, and check that each was judged as it should be."""
    each(spoiled, number, lambda data: judge.file(kind, name, data))
    judge.verdict(least=number * 9 // 10)


@_few_or(2200, 40)
def test_images(judge: Judge, number: int) -> None:
    _hold(judge, spoiled_images(names_of(judge.bait.folder, judge.bait.url)), number, "image", "image.tif")


@_few_or(500)
def test_disguises(judge: Judge, number: int) -> None:
    _hold(judge, disguises(names_of(judge.bait.folder, judge.bait.url)), number, "disguise", "image.tif")


@_few_or(380)
def test_geopackages(judge: Judge, number: int) -> None:
    _hold(judge, geopackages(names_of(judge.bait.folder, judge.bait.url)), number, "GeoPackage", "parcels.gpkg")


@_few_or(500)
def test_geoparquets(judge: Judge, number: int) -> None:
    _hold(judge, geoparquets(names_of(judge.bait.folder, judge.bait.url)), number, "GeoParquet", "parcels.parquet")


@_few_or(1050, 40)
def test_geojson_files(judge: Judge, number: int) -> None:
    _hold(judge, geojson.documents(), number, "GeoJSON", "parcels.geojson")
