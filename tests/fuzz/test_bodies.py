"""GeoJSON in requests: areas of interest and parcels of every way to be wrong, each taken or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from jobs.request import parse_execute
from service.execution import decode
from tests.fuzz import geojson
from tests.fuzz.conftest import each
from tests.fuzz.judge import Judge
from tests.servers.api import LCZ, write_image

NUMBERS = pytest.mark.parametrize("number", [40, pytest.param(500, marks=pytest.mark.scale)])
GIANT = 50_000  # vertices


@pytest.fixture
def image(judge: Judge, tmp_path: Path) -> str:
    """An image around the areas that are drawn."""
    answer = judge.api.upload(write_image(tmp_path / "image.tif", side=(150, 150)))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["upload"])


@pytest.mark.parametrize("way", ["estimate", "execution"])
@NUMBERS
def test_areas(judge: Judge, image: str, way: str, number: int) -> None:
    def send(area: Any) -> None:
        text = geojson.dump({"inputs": {"aoi": area, "imagery": {"uploads": [image]}}})
        judge.body(f"aoi in {way}", text, path=f"/processes/{LCZ}/{way}")

    each(geojson.areas(), number, send)
    judge.verdict(least=number * 9 // 10)


@NUMBERS
def test_inline_parcels(judge: Judge, image: str, number: int) -> None:
    def send(features: Any) -> None:
        parcels = {"features": features, "id_field": "name"} if len(features) % 2 else {"features": features}
        text = geojson.dump({"inputs": {"parcels": parcels, "imagery": {"uploads": [image]}}})
        if judge.body("parcels in a request", text):
            wanted = parse_execute(decode(text.encode())).inputs.parcels
            assert wanted is not None
            judge.inline("parcels of a request, used", wanted.features)

    each(st.lists(geojson.features(), max_size=3), number, send)
    judge.verdict(least=number * 9 // 10)


@pytest.mark.scale
def test_giants(judge: Judge, image: str) -> None:
    ring = geojson.circle(GIANT)
    area = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {}, "geometry": area}
    many = {"type": "MultiPolygon", "coordinates": [[geojson.square(1e-5)]] * 30_000}
    for inputs in ({"aoi": area}, {"aoi": many}, {"parcels": {"features": [feature] * 1}}):
        judge.body("giant in a request", json.dumps({"inputs": inputs | {"imagery": {"uploads": [image]}}}))
    judge.inline("giant parcels, used", [feature])
    judge.api.ask("DELETE", f"/uploads/{image}")
    long = {"type": "Polygon", "coordinates": [geojson.circle(1_000_000)]}
    for made in (long, many, {"type": "GeometryCollection", "geometries": [area] * 3}):
        judge.file("giant file", "giant.geojson", json.dumps(made).encode())
    nested = b'{"type":"GeometryCollection","geometries":[' * 100_000
    for data in (nested, b"[" * 10**6, b'{"a":' * 10**6, b'{"features":[' + b"{}," * 10**6, b" " * 10**7 + b"{"):
        judge.file("giant text", "giant.geojson", data)
    judge.verdict(least=11)
