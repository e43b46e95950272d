"""docs/quickstart.md as it stands: every block is run, or read as a request; QGIS's steps are taken by GDAL."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import httpx
import pyogrio
import pytest
import rasterio
from rasterio.windows import Window

from jobs.request import parse_execute
from service.client import Client
from service.stack.embedded import EmbeddedStack
from tests.missing import without

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "quickstart.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^## ([^\n]+)$|^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SIDE = 120
RUNNERS = {"sh": ["bash", "-e"], "python": [sys.executable], "js": ["node", "--input-type=module"]}


def blocks(*languages: str) -> list[tuple[str, str, str]]:
    """Return (section, language, text) of the page's blocks in these languages."""
    found, section = [], ""
    for heading, language, text in BLOCKS:
        section = heading or section
        if language in languages:
            found.append((section, language, text))
    return found


@pytest.fixture(scope="module")
def scene(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A corner of the sample's imagery, 1.2 km wide, so that the examples take seconds."""
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    with rasterio.open(sample / "imagery.tif") as source:
        profile = source.profile | {"width": SIDE, "height": SIDE}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read(window=Window(0, 0, SIDE, SIDE)))
            target.descriptions, target.scales, target.offsets = source.descriptions, source.scales, source.offsets
    return path.read_bytes()


def test_the_page_has_a_section_for_each_kind_of_client() -> None:
    assert [s for s, *_ in blocks(*RUNNERS)] == ["curl", "Python", "Python with OWSLib", "JavaScript"]
    assert {language for _, language, _ in BLOCKS if language} == {*RUNNERS, "jsonc"}


@pytest.mark.parametrize(("section", "language", "text"), blocks(*RUNNERS), ids=lambda v: v if len(v) < 20 else "")
def test_examples_run(
    section: str, language: str, text: str, stack: EmbeddedStack, scene: bytes, tmp_path: Path
) -> None:
    if not shutil.which(RUNNERS[language][0]):
        without(f"{RUNNERS[language][0]} is not installed")
    (tmp_path / "scene.tif").write_bytes(scene)
    environment = os.environ | {"CITYZONES_URL": stack.url}
    command = [*RUNNERS[language], *([] if language == "js" else ["-"] if language == "python" else ["-s"])]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    href = re.search(rf"{stack.url}/files/\S+", done.stdout)
    data = httpx.get(href[0]).content if href else (tmp_path / "map.tif").read_bytes()
    with rasterio.MemoryFile(data) as file, file.open() as image:
        assert image.shape == (SIDE, SIDE)


@pytest.mark.parametrize("text", [text for *_, text in blocks("jsonc")])
def test_requests_on_the_page_are_requests(text: str) -> None:
    plain = re.sub(r"\s//.*$", "", text, flags=re.MULTILINE)
    body = json.loads(re.sub(r"(upl|job)_…", rf"\1_{'0' * 26}", plain))
    assert parse_execute(body).inputs.imagery


def test_qgis_can_read_what_its_links_give(finished: tuple, client: Client) -> None:
    """Reading in ranges over HTTP is GDAL's part of QGIS, with the map's link and with the GeoPackage's."""
    status, files = finished
    links = client.results(status["jobID"])
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(links["map"]["href"]) as image:
        assert image.colormap(1)
    remote = f"/vsicurl/{links['parcels-gpkg']['href']}"
    layers = [name for name, _ in pyogrio.list_layers(remote)]
    assert len(pyogrio.read_dataframe(remote, layer=layers[0])) == len(pyogrio.read_dataframe(files["parcels-gpkg"]))
    assert "layer_styles" in [name for name, _ in pyogrio.list_layers(files["parcels-gpkg"])]
    with zipfile.ZipFile(BytesIO(files["style"].read_bytes())) as styles:
        assert any(name.endswith(".qml") for name in styles.namelist())
    tiles = httpx.get(f"{client.url}/jobs/{status['jobID']}/tiles").json()
    middle = rasterio.warp.transform("EPSG:4326", "EPSG:3857", *([part] for part in tiles["center"][:2]))
    zoom, half = tiles["minzoom"], 20037508.342789244
    x, y = (int((sign * part[0] + half) / (2 * half) * 2**zoom) for sign, part in zip((1, -1), middle, strict=True))
    tile = httpx.get(tiles["tiles"][0].format(z=zoom, x=x, y=y))
    assert (tile.status_code, tile.headers["content-type"]) == (200, "image/png")
