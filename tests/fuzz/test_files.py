"""Spoiled files end in a record or a refusal: nothing else opened, written or reached, in bounded time and memory."""

from __future__ import annotations

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


@_few_or(2200, 40)
def test_images(judge: Judge, number: int) -> None:
    names = names_of(judge.bait.folder, judge.bait.url)
    each(spoiled_images(names), number, lambda data: judge.file("image", "image.tif", data))
    judge.verdict(least=number * 9 // 10)


@_few_or(500)
def test_disguises(judge: Judge, number: int) -> None:
    names = names_of(judge.bait.folder, judge.bait.url)
    each(disguises(names), number, lambda data: judge.file("disguise", "image.tif", data))
    judge.verdict(least=number * 9 // 10)


@_few_or(380)
def test_geopackages(judge: Judge, number: int) -> None:
    names = names_of(judge.bait.folder, judge.bait.url)
    each(geopackages(names), number, lambda data: judge.file("GeoPackage", "parcels.gpkg", data))
    judge.verdict(least=number * 9 // 10)


@_few_or(500)
def test_geoparquets(judge: Judge, number: int) -> None:
    names = names_of(judge.bait.folder, judge.bait.url)
    each(geoparquets(names), number, lambda data: judge.file("GeoParquet", "parcels.parquet", data))
    judge.verdict(least=number * 9 // 10)


@_few_or(1050, 40)
def test_geojson_files(judge: Judge, number: int) -> None:
    each(geojson.documents(), number, lambda data: judge.file("GeoJSON", "parcels.geojson", data))
    judge.verdict(least=number * 9 // 10)
