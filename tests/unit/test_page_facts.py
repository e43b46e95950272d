"""What the web page is told of the service, the base map it may draw, and the policy it runs under."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from jobs.settings import Settings
from jobs.storage import Storage, links_origin
from service.headers import map_page_policy
from tests.servers.api import Api, settings_in

TILES = "https://tiles.example.org/{z}/{x}/{y}.png?key=abc"
BASEMAP = {"basemap_url": TILES, "basemap_attribution": "© OpenStreetMap contributors"}
S3 = {"storage_url": "s3://maps/below", "s3_access_key_id": "a", "s3_secret_access_key": "b"}


def sources(settings: Settings) -> dict[str, list[str]]:
    parts = [part.split() for part in map_page_policy(settings).split("; ")]
    return {name: allowed for name, *allowed in parts}


def test_the_page_is_told_what_it_needs_without_a_key(tmp_path: Path) -> None:
    api = Api(settings_in(tmp_path, auth="keys", max_upload_bytes=77, link_seconds=9))
    answer = api.get("/page.json")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    told = answer.json()
    assert told.pop("version")
    assert told == {
        "auth": "keys",
        "basemap": None,
        "limits": {"max_upload_bytes": 77, "link_seconds": 9},
        "uploads": "resumable",
    }
    assert "/page.json" not in api.get("/openapi.json").json()["paths"]


def test_the_page_is_told_of_the_base_map_and_of_uploads_into_the_bucket(tmp_path: Path) -> None:
    told = Api(settings_in(tmp_path, **BASEMAP, **S3, basemap_maxzoom=17)).get("/page.json").json()
    assert told["basemap"] == {"tiles": TILES, "attribution": "© OpenStreetMap contributors", "maxzoom": 17}
    assert (told["uploads"], told["auth"]) == ("direct", "open")


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"basemap_url": "https://tiles.example.org/{z}/{x}.png"}, r"\{y\}, each once"),
        ({"basemap_url": "https://tiles.example.org/{z}/{x}/{y}/{y}.png"}, "each once"),
        ({"basemap_url": "https://{s}.example.org/{z}/{x}/{y}.png"}, r"\{s\}"),
        ({"basemap_url": "https://{z}.example.org/{x}/{y}.png"}, "host"),
        ({"basemap_url": "https://me:word@tiles.example.org/{z}/{x}/{y}.png"}, "password"),
        ({"basemap_url": "https://tiles.example.org; script-src */{z}/{x}/{y}.png"}, "http"),
        ({"basemap_url": "https://[::1]/{z}/{x}/{y}.png"}, "IPv6"),
        ({"basemap_url": "file:///tiles/{z}/{x}/{y}.png"}, "http"),
        ({"basemap_url": "//tiles.example.org/{z}/{x}/{y}.png"}, "http"),
        ({"basemap_url": TILES + "#part"}, "fragment"),
        ({"basemap_attribution": None}, "ATTRIBUTION"),
        ({"basemap_attribution": "  "}, "ATTRIBUTION"),
        ({"basemap_attribution": "<b>OSM</b>"}, "markup"),
        ({"basemap_attribution": "a" * 301}, "300"),
        ({"basemap_maxzoom": 25}, "24"),
        ({"basemap_url": TILES.replace("https", "http"), "public_url": "https://a.org", "auth": "keys"}, "use https"),
    ],
)
def test_a_base_map_that_no_page_could_draw_stops_the_program(told: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings.model_validate(BASEMAP | told)


def test_a_base_map_may_be_this_machines_own() -> None:
    told = BASEMAP | {"basemap_url": "http://127.0.0.1:8080/{z}/{y}/{x}", "public_url": "https://localhost"}
    assert sources(Settings.model_validate(told))["img-src"][-1] == "http://127.0.0.1:8080"
    assert Settings.model_validate({"basemap_url": ""}).basemap_url == ""


def test_the_page_runs_files_of_ours_alone(tmp_path: Path) -> None:
    found = sources(settings_in(tmp_path))
    for name in ("script-src", "style-src", "worker-src", "connect-src", "manifest-src"):
        assert found[name] == ["'self'"]
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert found[name] == ["'none'"]
    assert found["img-src"] == ["'self'", "data:", "blob:"]


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"s3_region": "eu-central-1"},
        {"s3_endpoint": "http://127.0.0.1:9000"},
        {"s3_endpoint": "http://storage:9000", "s3_public_endpoint": "https://maps.example.org/s3"},
    ],
)
def test_the_page_may_reach_what_links_lead_to(tmp_path: Path, told: dict[str, str]) -> None:
    settings = settings_in(tmp_path, **S3, **told, **BASEMAP)
    link = Storage(settings).put_link("uploads/x")
    assert link
    signed = urlsplit(link.href)
    assert links_origin(settings) == f"{signed.scheme}://{signed.netloc}"
    assert sources(settings)["connect-src"] == ["'self'", "https://tiles.example.org", links_origin(settings)]
