"""The process annotation-project on the whole stack: pictures in, masks and clusters out, labels saved."""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image
from pycocotools.coco import COCO
from rasterio.transform import from_origin

from models.data.tiles.folder import open_tiles
from service.client import Client
from service.stack.embedded import EmbeddedStack
from tests.journeys import fetch, finish

PROJECT, CLASSIFICATION, EXPORT = "annotation-project", "annotation-classification", "annotation-export"
SIDE = 256


def picture(path: Path, *, seed: int, dtype: str = "uint8", bands: int = 3, nodata: bool = False) -> Path:
    """Write a GeoTIFF of fields and roofs: a chequerboard of unequal rectangles in four colours, with noise."""
    rng = np.random.default_rng(seed)
    ground = np.zeros((SIDE, SIDE), int)
    for _ in range(40):
        row, column, height, width = (*rng.integers(0, SIDE - 20, 2), *rng.integers(16, 60, 2))
        ground[row : row + height, column : column + width] = rng.integers(0, 4)
    colours = np.array([(70, 110, 60), (190, 170, 140), (60, 80, 150), (200, 80, 70)])
    image = np.clip(colours[ground] + rng.normal(0, 4, (SIDE, SIDE, 3)), 1, 255)
    image = np.zeros_like(image) if nodata else image
    values = np.moveaxis(image * (40 if dtype == "uint16" else 1), -1, 0)[:bands].astype(dtype)
    place = {"crs": "EPSG:32633", "transform": from_origin(390_000 + seed * 128, 5_820_000, 0.5, 0.5)}
    with rasterio.open(
        path, "w", driver="GTiff", count=bands, height=SIDE, width=SIDE, dtype=dtype, nodata=0, **place
    ) as target:
        target.write(values)
    return path


def jpeg(path: Path) -> Path:
    with rasterio.open(picture(path.with_suffix(".tif"), seed=5)) as source:
        Image.fromarray(np.moveaxis(source.read(), 0, -1)).save(path, quality=95)
    return path


def ask(stack: EmbeddedStack, method: str, path: str, **told: Any) -> httpx.Response:
    return httpx.request(method, f"{stack.url}{path}", timeout=60, **told)


def begin(stack: EmbeddedStack, inputs: dict[str, Any]) -> httpx.Response:
    return ask(stack, "POST", f"/processes/{PROJECT}/execution", json={"inputs": inputs})


@pytest.fixture(scope="module")
def tiles(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tiles")
    client = Client(stack.url)
    return {
        "bytes": client.upload(picture(folder / "bytes.tif", seed=1))["upload"],
        "words": client.upload(picture(folder / "words.tif", seed=2, dtype="uint16"))["upload"],
        "grey": client.upload(picture(folder / "grey.tif", seed=3, bands=1))["upload"],
        "jpeg": client.upload(jpeg(folder / "roofs.jpg"))["upload"],
        "empty": client.upload(picture(folder / "empty.tif", seed=4, nodata=True))["upload"],
    }


def test_pictures_become_a_project(stack: EmbeddedStack, tiles: dict[str, str]) -> None:
    inputs = {"tiles": list(tiles.values()), "title": "Five pictures", "clusters": 6}
    status = finish(Client(stack.url), inputs, process=PROJECT)
    assert status["status"] == "successful", status
    job = status["jobID"]
    assert status["message"] == "the results are ready"
    assert {w["code"] for w in status["warnings"]} == {"image-stretched", "image-grey", "image-empty"}
    pages = next(link["href"] for link in status["links"] if link["rel"] == "edit")
    assert pages == f"{stack.url}/annotate#{job}"
    told = ask(stack, "GET", f"/jobs/{job}/annotation").json()
    assert told["title"] == "Five pictures"
    assert [tile["masks"] > 5 for tile in told["tiles"]] == [True, True, True, True, False]
    assert told["masks"] == sum(tile["masks"] for tile in told["tiles"])
    assert told["pixels"] == 4 * SIDE**2  # every valid pixel is in a mask
    clusters = ask(stack, "GET", f"/jobs/{job}/annotation/neighbourhoods/0").json()["clusters"]
    assert len(clusters) == 6
    node = clusters[0]["node"]
    masks = ask(stack, "GET", f"/jobs/{job}/annotation/neighbourhoods/0/clusters/{node}").json()["masks"]
    edit = {"kind": "label", "masks": [mask["mask"] for mask in masks], "code": 5, "source": "cluster"}
    saved = ask(stack, "POST", f"/jobs/{job}/annotation/edits", json={"base": 0, "who": "ana", "edit": edit})
    assert saved.json() == {"version": 1, "status": "saved"}
    assert ask(stack, "GET", f"/jobs/{job}/annotation").json()["labelled"] == len(masks)
    results = ask(stack, "GET", f"/jobs/{job}/results").json()
    assert httpx.get(results["project"]["href"], timeout=60).json()["job"] == job


def test_tiles_without_a_valid_pixel_are_no_project(stack: EmbeddedStack, tiles: dict[str, str]) -> None:
    status = finish(Client(stack.url), {"tiles": [tiles["empty"]]}, process=PROJECT)
    assert status["problem"]["code"] == "bad-image"
    assert "no tile holds a valid pixel" in status["problem"]["detail"]


def test_an_estimate_names_tiles_and_pixels(stack: EmbeddedStack, tiles: dict[str, str]) -> None:
    body = {"inputs": {"tiles": [tiles["bytes"], tiles["words"]]}}
    told = ask(stack, "POST", f"/processes/{PROJECT}/estimate", json=body).json()
    assert (told["blocks"], told["pixels"]) == (2, 2 * SIDE**2)
    assert "model" not in told


@pytest.mark.parametrize(
    ("inputs", "pointer"),
    [
        ({}, "/inputs/tiles"),
        ({"tiles": []}, "/inputs/tiles"),
        ({"tiles": ["upl_" + "0" * 26]}, "/inputs/tiles/0"),
        ({"tiles": ["grey", "grey"]}, "/inputs"),
        ({"tiles": ["grey"], "clusters": 1}, "/inputs/clusters"),
        ({"tiles": ["grey"], "neighborhood": 512}, "/inputs/neighborhood"),
    ],
)
def test_what_is_no_project_is_refused(
    stack: EmbeddedStack, tiles: dict[str, str], inputs: dict[str, Any], pointer: str
) -> None:
    named = {name: [tiles.get(t, t) for t in value] if name == "tiles" else value for name, value in inputs.items()}
    answer = begin(stack, named)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_picture_without_georeference_is_no_map(stack: EmbeddedStack, tiles: dict[str, str]) -> None:
    body = {"inputs": {"imagery": {"uploads": [tiles["jpeg"]]}}}
    answer = ask(stack, "POST", "/processes/local-climate-zones/execution", json=body)
    assert answer.status_code == 422
    assert "a picture without georeference; an image file is needed here" in answer.json()["detail"]


def test_labels_are_learnt_from_and_exported(stack: EmbeddedStack, tiles: dict[str, str], tmp_path: Path) -> None:
    client = Client(stack.url)
    named = [tiles["bytes"], tiles["jpeg"]]
    project = finish(client, {"tiles": named, "clusters": 8}, process=PROJECT)["jobID"]
    refused = ask(stack, "POST", f"/processes/{CLASSIFICATION}/execution", json={"inputs": {"project": project}})
    assert refused.status_code == 422
    assert "0 masks of 0 classes are labelled" in refused.json()["detail"]
    labelled = label_half(stack, project)
    learnt = finish(client, {"project": project}, process=CLASSIFICATION)
    assert learnt["status"] == "successful", learnt
    summary = httpx.get(client.results(learnt["jobID"])["summary"]["href"], timeout=60).json()
    state = ask(stack, "GET", f"/jobs/{project}/annotation").json()
    assert state["predictions"] == {"version": state["version"]}
    assert summary["labelled"] == len(labelled)
    assert summary["classified"] == state["masks"] - len(labelled)

    exported = finish(client, {"project": project}, process=EXPORT)
    files = fetch(client, exported["jobID"], tmp_path)
    with zipfile.ZipFile(files["tiles"]) as archive:
        archive.extractall(tmp_path / "tiles")
    folder = open_tiles(tmp_path / "tiles")
    pictures = list(folder.pictures(tuple(folder.tiles)))
    with (tmp_path / "provenance.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert {int(row["mask"]): int(row["code"]) for row in rows} == labelled
    assert {(row["source"], row["who"]) for row in rows} == {("manual", "ana")}
    training = {int(row["mask"]) for row in rows if row["split"] == "training"}
    areas = {a["id"] - 1: a["area"] for a in json.loads(files["coco"].read_text())["annotations"]}
    assert sum(np.count_nonzero(p.codes) for p in pictures) == sum(areas[mask] for mask in training)
    with rasterio.open(tmp_path / "tiles" / "tile0001" / "masks" / "bytes.tif") as mask:
        assert (mask.nodata, mask.crs.to_epsg(), mask.colormap(1)[8]) == (0, 32633, (222, 31, 7, 255))
    loaded = COCO(str(files["coco"]))
    for annotation in loaded.loadAnns(loaded.getAnnIds()):
        inside = loaded.annToMask(annotation)
        assert inside.sum() == annotation["area"]
        assert labelled[annotation["id"] - 1] == annotation["category_id"]

    surer = finish(client, {"project": project, "predictions": True, "least_confidence": 0}, process=EXPORT)
    with_all = fetch(client, surer["jobID"], tmp_path / "all")
    sources = Counter(row["source"] for row in csv.DictReader(with_all["provenance"].open()))
    assert sources == {"manual": len(labelled), "classifier": state["masks"] - len(labelled)}


def label_half(stack: EmbeddedStack, project: str) -> dict[int, int]:
    """Give every second mask one of two classes by turns; returns mask and class."""
    here = f"/jobs/{project}/annotation"
    count = ask(stack, "GET", here).json()["masks"]
    labelled = {mask: (5, 8)[mask // 2 % 2] for mask in range(0, count, 2)}
    for base, code in enumerate(sorted(set(labelled.values()))):
        edit = {"kind": "label", "masks": [m for m, c in labelled.items() if c == code], "code": code}
        answer = ask(stack, "POST", f"{here}/edits", json={"base": base, "who": "ana", "edit": edit})
        assert answer.status_code == 201, answer.text
    return labelled
