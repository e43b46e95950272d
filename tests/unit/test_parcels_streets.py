"""Blocks derived from streets, as a request asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from pydantic import ValidationError
from shapely.geometry import LineString, Point

from jobs.errors import BadVector, InvalidRequest, ParcelsOutsideArea
from jobs.request import Parcels, parse_execute
from tests.unit.parcel_desk import AREA, Desk, frame_of, swapped
from worker.parcels.vectors.cleaning import clean_parcels


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def streets(*lines: Any, **columns: Any) -> gpd.GeoDataFrame:
    return frame_of(*lines, **columns)


CROSS = (
    LineString([(499_000, 5_500_500), (502_000, 5_500_500)]),
    LineString([(500_500, 5_400_000), (500_500, 5_501_500)]),
)
FOOTWAY = LineString([(500_100, 5_499_000), (500_100, 5_502_000)])


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_blocks_are_derived_from_streets(desk: Desk, suffix: str) -> None:
    frame = streets(*CROSS, FOOTWAY, highway=["primary", "residential", "footway"])
    loaded = desk.parcels(derive="streets", streets={"upload": desk.add(frame, suffix)})
    assert loaded.frame["parcel_id"].tolist() == ["block-1", "block-2", "block-3", "block-4"]
    np.testing.assert_allclose(loaded.frame.area, 250_000)
    assert {w.code for w in loaded.warnings} == {"streets-left-out"}
    assert not clean_parcels(loaded.frame, AREA).warnings


def test_streets_of_degrees_with_swapped_axes(desk: Desk) -> None:
    frame = swapped(streets(*CROSS).to_crs("EPSG:4326"))
    loaded = desk.parcels(derive="streets", streets={"upload": desk.add(frame, ".geojson")})
    assert len(loaded.frame) == 4
    assert loaded.warnings[0].code == "streets-axes-swapped"


def test_streets_that_cannot_be_used_are_pointed_at(desk: Desk) -> None:
    points = desk.add(frame_of(Point(500_500, 5_500_500)), ".parquet")
    away = desk.add(streets(LineString([(600_000, 5_500_500), (602_000, 5_500_500)])), ".parquet")
    paths = desk.add(streets(FOOTWAY, highway=["footway"]), ".parquet")
    for upload, error, match in (
        (points, BadVector, "no line"), (away, ParcelsOutsideArea, "no line of the streets touches"),
        (paths, BadVector, "none of the lines"),
    ):  # fmt: skip
        with pytest.raises(error, match=match) as caught:
            desk.parcels(derive="streets", streets={"upload": upload})
        assert caught.value.faults[0].pointer == "/inputs/parcels/streets"


@pytest.mark.parametrize(
    ("wanted", "match"),
    [
        ({}, "exactly one"),
        ({"derive": "streets"}, "need both"),
        ({"streets": {"upload": "upl_" + "0" * 26}}, "exactly one"),
        ({"upload": "upl_" + "0" * 26, "streets": {"upload": "upl_" + "0" * 26}}, "need both"),
        ({"derive": "streets", "streets": {"upload": "upl_" + "0" * 26}, "id_field": "a"}, "numbered"),
        ({"derive": "streets", "streets": {"upload": "upl_" + "0" * 26}, "layer": "a"}, "layer belongs to upload"),
        ({"derive": "streets", "features": [{}], "streets": {"upload": "upl_" + "0" * 26}}, "exactly one"),
    ],
)
def test_requests_for_parcels_that_make_no_sense(wanted: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        Parcels(**wanted)


def test_the_streets_of_a_request_are_among_its_uploads() -> None:
    upload = "upl_" + "0" * 26
    inputs = {
        "imagery": {"uploads": ["upl_" + "1" * 26]},
        "parcels": {"derive": "streets", "streets": {"upload": upload}},
    }
    assert parse_execute({"inputs": inputs}).inputs.uploads["/inputs/parcels/streets/upload"] == upload
    inputs["parcels"]["streets"]["uplaod"] = upload  # type: ignore[index]
    with pytest.raises(InvalidRequest, match="did you mean 'upload'"):
        parse_execute({"inputs": inputs})
