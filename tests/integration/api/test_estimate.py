"""What a request would come to, told without creating anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from jobs.settings import Settings
from tests.integration.stac_site import SURVEY, served, static, survey
from tests.journeys import stac_inputs
from tests.servers.api import LCZ, Api, problem, settings_in, write_image
from tests.servers.cards import reading_cards, write_cards
from tests.servers.pictures import picture_card


@pytest.fixture
def near(settings: Settings, tmp_path: Path, catalogue: str) -> Api:
    """The interface with the sample's catalogue."""
    told = {"broker_url": settings.broker_url, "live_url": settings.live_url, "stac_url": catalogue}
    return Api(settings_in(tmp_path, **told))


def ask(api: Api, inputs: dict[str, Any]) -> httpx.Response:
    return api.ask("POST", f"/processes/{LCZ}/estimate", json={"inputs": inputs})


def test_an_estimate_tells_size_time_and_scenes(near: Api, sample: Path) -> None:
    answer = ask(near, stac_inputs(sample))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["model"], body["resolution"]) == ("magnet", 10)
    assert body["pixels"] == pytest.approx(body["km2"] * 1e4, rel=0.2)
    assert body["blocks"] >= 1
    assert body["seconds"] > 0
    assert body["seconds_drawn_from"] == 0
    assert body["output_bytes"] > 100_000
    scenes = body["scenes"]
    assert scenes["fitting"] >= len(scenes["likely"]) >= 1
    assert scenes["likely"][0]["id"]
    assert near.get("/jobs").json()["jobs"] == []


def test_coarse_maps_have_fewer_pixels(near: Api, sample: Path) -> None:
    fine, coarse = (ask(near, stac_inputs(sample) | {"resolution": r}).json() for r in (10, 100))
    assert coarse["pixels"] * 100 == fine["pixels"]
    assert coarse["blocks"] == fine["blocks"]
    shown = ask(near, stac_inputs(sample) | {"resolution": 100, "outputs": ["map", "image"]}).json()
    assert shown["output_bytes"] > coarse["output_bytes"] + 2 * fine["pixels"], "the imagery keeps its pixels"


def test_dates_without_scenes_say_why(near: Api, sample: Path) -> None:
    inputs = stac_inputs(sample)
    inputs["imagery"]["stac"]["datetime"] = "1990-01-01/1990-02-01"
    scenes = ask(near, inputs).json()["scenes"]
    assert scenes["fitting"] == 0
    assert sum(scenes["refused"].values()) > 0


def test_a_catalogue_that_is_away_takes_only_the_scenes(api: Api, sample: Path) -> None:
    away = Api(api.settings.model_copy(update={"stac_url": "http://127.0.0.1:9/catalog.json", "stac_timeout": 0.5}))
    body = ask(away, stac_inputs(sample)).json()
    assert body["blocks"] >= 1
    assert "scenes" not in body
    assert [warned["code"] for warned in body["warnings"]] == ["imagery-unavailable"]


def test_finished_jobs_teach_the_time(near: Api, sample: Path) -> None:
    for _ in range(3):
        near.store.live.remember("pace:magnet", "4.0", most=50)
    rule = 3.0 + 1.5 * ask(near, stac_inputs(sample)).json()["blocks"]
    told = ask(near, stac_inputs(sample)).json()
    assert told["seconds_drawn_from"] == 3
    assert told["seconds"] == pytest.approx(4 * rule, abs=0.1)


def test_an_uploaded_image_is_estimated_by_where_it_lies(api: Api, tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.tif", bands=10, side=(600, 500))
    upload = api.upload(image).json()["upload"]
    body = ask(api, {"imagery": {"uploads": [upload]}}).json()
    assert body["km2"] == pytest.approx(30, rel=0.06)
    assert 4 <= body["blocks"] <= 6
    assert "scenes" not in body


def test_a_bad_request_is_refused_as_an_execution_is(api: Api) -> None:
    problem(ask(api, {"imagery": {"uploads": []}}), 422, "invalid-request")
    half = {"aoi": {"bbox": [0, 0, 60, 60]}, "imagery": {"stac": {"datetime": "2025"}}}
    problem(ask(api, half), 422, "area-out-of-limits")


def test_pictures_of_a_catalogue_are_told_the_newest_first(settings: Settings, tmp_path: Path) -> None:
    write_cards(tmp_path / "told", picture_card())
    (tmp_path / "site").mkdir()
    with reading_cards(tmp_path / "told"), served(tmp_path / "site") as site:
        picture = np.ones((3, 200, 200), np.uint8)
        items = [survey(site, f"p{year}", f"{year}-05-01T10:00", picture) for year in (2019, 2024, 2021)]
        root = static(site, *items, collection=SURVEY)
        api = Api(settings.model_copy(update={"stac_url": root}))
        inputs = {"aoi": items[0].geometry, "model": "pictures"}
        inputs["imagery"] = {"stac": {"collection": SURVEY, "datetime": "2020/2025"}}
        body = api.ask("POST", "/processes/land-cover/estimate", json={"inputs": inputs}).json()
    assert [scene["id"] for scene in body["scenes"]["likely"]] == ["p2024", "p2021"]
    assert body["scenes"]["refused"] == {"outside the time asked for": 1}
    assert body["resolution"] == 0.5
