"""A job's tiles through the interface: TileJSON, tags, and that they are as private as the job."""

from __future__ import annotations

import io
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import morecantile
import numpy as np
import pytest
from PIL import Image

from jobs.area import Grid
from jobs.keys import KeyStore
from jobs.request import parse_execute
from jobs.settings import Settings
from jobs.storage import Storage
from models.classes import LOCAL_CLIMATE_ZONES
from tests.servers.api import EXECUTE, LCZ, Api, finish, new_job, problem
from tests.unit.test_tiles_drawing import write_map

GRID = Grid("EPSG:32633", 390_000, 5_820_000, 10.0, 600, 500)
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
SHORT = 4  # seconds, of which the first second may be over at once, and building an application takes one


@pytest.fixture(scope="module")
def cog(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_map(tmp_path_factory.mktemp("map") / "map.tif", GRID).read_bytes()


def mapped(api: Api, cog: bytes) -> str:
    job = new_job(api.store)
    finish(api.store, job, {"map": ("map.tif", COG, cog)})
    return job


@pytest.fixture
def job(api: Api, cog: bytes) -> str:
    return mapped(api, cog)


@pytest.fixture
def guarded(settings: Settings) -> tuple[Api, dict[str, str], dict[str, str]]:
    """The interface where keys are asked, the headers of the jobs' owner, and those of another tenant."""
    api = Api(settings.model_copy(update={"auth": "keys"}))
    keys = KeyStore(Storage(settings))
    headers = [{"Authorization": f"Bearer {keys.create(tenant, ['read']).text}"} for tenant in ("public", "other")]
    return api, headers[0], headers[1]


def path_of(href: str) -> str:
    parts = urlsplit(href)
    return f"{parts.path}?{parts.query}"


def tile_of(document: dict[str, Any], zoom: int) -> str:
    longitude, latitude, _ = document["center"]
    tile = morecantile.tms.get("WebMercatorQuad").tile(longitude, latitude, zoom)
    template = path_of(document["tiles"][0])
    return template.replace("{z}", str(zoom)).replace("{x}", str(tile.x)).replace("{y}", str(tile.y))


def colours_of(picture: bytes) -> set[tuple[int, ...]]:
    """The colours of what is not transparent."""
    with Image.open(io.BytesIO(picture)) as image:
        pixels = np.asarray(image.convert("RGBA")).reshape(-1, 4)
    return {tuple(map(int, one)) for one in np.unique(pixels[pixels[:, 3] > 0, :3], axis=0)}


def test_the_tilejson_leads_to_tiles_and_legend(api: Api, job: str) -> None:
    answer = api.get(f"/jobs/{job}/tiles")
    document = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert document["tilejson"] == "3.0.0"
    assert document["minzoom"] < document["center"][2] < document["maxzoom"]
    assert "Copernicus" in document["attribution"]
    for zoom in (document["minzoom"], document["maxzoom"]):
        tile = api.get(tile_of(document, zoom))
        assert (tile.status_code, tile.headers["content-type"]) == (200, "image/png")
        with Image.open(io.BytesIO(tile.content)) as image:
            assert image.size == (256, 256)
            assert np.asarray(image.convert("RGBA"))[..., 3].any()
    large = api.get(tile_of(document, 14).replace(".png", "@2x.png"))
    assert Image.open(io.BytesIO(large.content)).size == (512, 512)
    legend = api.get(f"/jobs/{job}/legend").json()
    assert [entry["colour"] for entry in legend["entries"]] == [c.colour for c in LOCAL_CLIMATE_ZONES]
    for link in document["links"]:
        assert api.get(path_of(link["href"])).headers["content-type"] == link["type"]
    (told,) = [link for link in api.get(f"/jobs/{job}").json()["links"] if link["rel"].endswith("/tilesets-map")]
    assert path_of(told["href"]).startswith(f"/jobs/{job}/tiles")


def test_a_tile_the_client_has_is_not_drawn_again(api: Api, job: str) -> None:
    href = tile_of(api.get(f"/jobs/{job}/tiles").json(), 14)
    first = api.get(href)
    assert "private" in first.headers["cache-control"]
    (api.store.storage.folder / "jobs" / job / "outputs" / "map.tif").unlink()
    for sent in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
        kept = api.get(href, headers={"If-None-Match": sent})
        assert (kept.status_code, kept.content, kept.headers["etag"]) == (304, b"", first.headers["etag"])
    problem(api.get(href), 404, "not-found")


def test_safe_colours_are_those_of_tiles_and_legend(api: Api, job: str) -> None:
    document = api.get(f"/jobs/{job}/tiles?palette=safe").json()
    drawn = [link["href"] for link in document["links"] if link["rel"] != "related"]
    for href in (*document["tiles"], *drawn):
        assert parse_qsl(urlsplit(href).query)[:2] == [("layer", "map"), ("palette", "safe")]
    standard, safe = ({c.rgb_in(name) for c in LOCAL_CLIMATE_ZONES} for name in ("standard", "safe"))
    for size in (".png", "@2x.png"):
        tile = api.get(tile_of(document, 14).replace(".png", size))
        assert colours_of(tile.content) == safe
        usual = api.get(tile_of(document, 14).replace(".png", size).replace("=safe", "=standard"))
        assert colours_of(usual.content) == standard
        assert tile.headers["etag"] != usual.headers["etag"]
    legend = next(link["href"] for link in document["links"] if link["rel"] == "legend")
    entries = api.get(path_of(legend)).json()["entries"]
    assert [entry["colour"] for entry in entries] == [c.safe for c in LOCAL_CLIMATE_ZONES]
    assert safe <= colours_of(api.get(path_of(document["links"][2]["href"])).content)
    told = api.get(f"/processes/{LCZ}").json()["classes"]
    assert [(one["colour"], one["safe"]) for one in told] == [(c.colour, c.safe) for c in LOCAL_CLIMATE_ZONES]


def test_the_confidence_looks_the_same_in_every_palette(api: Api, cog: bytes) -> None:
    job = new_job(api.store)
    finish(api.store, job, {name: (f"{name}.tif", COG, cog) for name in ("map", "confidence")})
    document = api.get(f"/jobs/{job}/tiles?layer=confidence&palette=safe").json()
    href = tile_of(document, 14)
    assert api.get(href).content == api.get(href.replace("=safe", "=standard")).content
    legends = [api.get(f"/jobs/{job}/legend?layer=confidence&palette={name}") for name in ("standard", "safe")]
    assert legends[0].json() == legends[1].json()


def test_an_unknown_palette_is_refused_by_name(api: Api, job: str) -> None:
    for path in ("tiles", "tiles/3/4/2.png", "tiles/3/4/2@2x.png", "legend", "legend.png"):
        told = problem(api.get(f"/jobs/{job}/{path}?palette=SAFE"), 400, "invalid-parameter")
        assert "palette" in str(told["errors"])


def test_tags_differ_by_place_and_size(api: Api, job: str) -> None:
    href = f"/jobs/{job}/tiles/3/4/2.png"
    asked = [href, href.replace("3/4", "3/5"), href.replace(".png", "@2x.png"), f"/jobs/{job}/legend.png"]
    assert len({api.get(one).headers["etag"] for one in asked}) == 4


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("tiles/2/4/0.png", 404, "not-found"),
        ("tiles/2/0/4.png", 404, "not-found"),
        ("tiles/25/0/0.png", 400, "invalid-parameter"),
        ("tiles/-1/0/0.png", 400, "invalid-parameter"),
        ("tiles/1/a/0.png", 400, "invalid-parameter"),
        (f"tiles/1/{'9' * 5000}/0.png", 400, "invalid-parameter"),
        ("tiles/1/0/0.png?layer=preview", 400, "invalid-parameter"),
        ("tiles/1/0/0.png?layer=confidence", 404, "not-found"),
        ("tiles/1/0/0.png?layer=image", 404, "not-found"),
        ("tiles/1/0/0.webp", 404, "not-found"),
        ("tiles?layer=confidence", 404, "not-found"),
    ],
)
def test_what_is_no_tile_is_a_problem(api: Api, job: str, path: str, status: int, code: str) -> None:
    problem(api.get(f"/jobs/{job}/{path}"), status, code)


def test_jobs_without_a_map_say_why(api: Api, cog: bytes) -> None:
    running = new_job(api.store)
    problem(api.get(f"/jobs/{running}/tiles"), 404, "result-not-ready")
    problem(api.get(f"/jobs/job_{'0' * 26}/tiles/0/0/0.png"), 404, "unknown-job")
    project = api.store.create("annotation-project", parse_execute(EXECUTE)).job
    finish(api.store, project, {})
    for path in ("tiles", "tiles/0/0/0.png", "legend", "legend.png", "point?lon=1&lat=1"):
        problem(api.get(f"/jobs/{project}/{path}"), 404, "not-found")
    done = mapped(api, cog)
    href = tile_of(api.get(f"/jobs/{done}/tiles").json(), 13)
    assert api.get(href).status_code == 200
    assert api.ask("DELETE", f"/jobs/{done}").status_code == 200
    for path in (href, f"/jobs/{done}/tiles", f"/jobs/{done}/legend"):
        problem(api.get(path), 410, "job-dismissed")


def test_tiles_are_as_private_as_the_job(guarded: tuple[Api, dict[str, str], dict[str, str]], cog: bytes) -> None:
    api, owner, other = guarded
    job = mapped(api, cog)
    for path in ("tiles", "tiles/0/0/0.png", "tiles/0/0/0@2x.png", "legend", "legend.png"):
        assert api.get(f"/jobs/{job}/{path}", headers=owner).status_code == 200, path
        problem(api.get(f"/jobs/{job}/{path}", headers=other), 404, "unknown-job")
        problem(api.get(f"/jobs/{job}/{path}"), 401, "unauthorized")


def test_a_signed_link_shows_the_tiles_of_its_job_alone_and_ends(
    guarded: tuple[Api, dict[str, str], dict[str, str]], cog: bytes
) -> None:
    api, owner, _ = guarded
    job, another = mapped(api, cog), mapped(api, cog)
    document = api.get(f"/jobs/{job}/tiles", headers=owner).json()
    href = tile_of(document, 14)
    assert api.get(href).status_code == 200
    itself = api.get(path_of(document["links"][0]["href"])).json()
    assert itself["tiles"] == document["tiles"], "a signed link never prolongs itself"
    problem(api.get(href.replace(job, another)), 403, "link-refused")
    problem(api.get(href.replace("/tiles/", "/nothing/")), 404, "not-found")
    problem(api.get(f"/jobs/{job}/results?{urlsplit(href).query}"), 400, "invalid-parameter")
    query = dict(parse_qsl(urlsplit(href).query))
    for change in (
        {"expires": str(int(query["expires"]) + 1)}, {"expires": "soon"}, {"expires": ""},
        {"signature": "0" * 64}, {"signature": ""}, {"key": "00000000"},
    ):  # fmt: skip
        changed = urlencode(query | change)
        problem(api.get(f"{urlsplit(href).path}?{changed}", headers=owner), 403, "link-refused")
    file = urlsplit(api.get(f"/jobs/{job}/results", headers=owner).json()["map"]["href"])
    problem(api.get(f"{urlsplit(href).path}?{file.query.replace('name=map.tif&', '')}"), 403, "link-refused")


def test_an_expired_signature_is_refused(settings: Settings, cog: bytes) -> None:
    api = Api(settings.model_copy(update={"link_seconds": SHORT}))
    href = tile_of(api.get(f"/jobs/{mapped(api, cog)}/tiles").json(), 14)
    ends = time.monotonic() + SHORT + 1.1  # dates of links are whole seconds
    assert api.get(href).status_code == 200
    time.sleep(ends - time.monotonic())
    assert "expired" in problem(api.get(href), 403, "link-refused")["detail"]


def test_what_a_client_names_is_no_html_in_the_attribution(api: Api, cog: bytes) -> None:
    inputs = {
        "aoi": {"bbox": [13.3, 52.4, 13.4, 52.5]},
        "imagery": {"stac": {"collection": "<img onerror=x>", "datetime": "2024-07-01/2024-07-31"}},
    }
    job = api.execute({"inputs": inputs}).json()["jobID"]
    finish(api.store, job, {"map": ("map.tif", COG, cog)})
    assert "&lt;img" in api.get(f"/jobs/{job}/tiles").json()["attribution"]
