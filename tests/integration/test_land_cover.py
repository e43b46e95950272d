"""Land cover for real: two pictures side by side go in over HTTP, and the map with its parcels comes back.

The network is the tests' own, `tests.servers.pictures`; what the project's own one knows is not asked here.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import httpx
import morecantile
import numpy as np
import onnxruntime
import pystac
import pytest
import rasterio
import zarr
from PIL import Image
from rasterio.transform import from_origin
from rasterio.warp import transform
from rio_cogeo.cogeo import cog_validate
from shapely import points
from shapely.geometry import box

from jobs.request import DEFAULT_OUTPUTS
from models.classes import LAND_COVER, SHARES
from service.client import Client
from service.examples import EXECUTE_EXAMPLES
from service.stack.sample import unusable
from tests.journeys import fetch, finish
from tests.servers.pictures import HALO, REACH, painted, picture_of, write_picture_model

HERE, LAND = "EPSG:32639", "land-cover"
LEFT, TOP, PIXEL = 500_000.0, 2_780_000.0, 0.5
ON_REQUEST = ("probabilities", "uncertainty", "image")
HEIGHT, WIDTH = 300, 620  # of the two tiles together: 2 x 3 blocks
CODES = painted(HEIGHT, WIDTH)


def write_tile(path: Path, data: np.ndarray, column: int = 0, **told: Any) -> Path:
    placed = from_origin(LEFT + column * PIXEL, TOP, PIXEL, PIXEL)
    profile = {"crs": HERE, "transform": placed, "photometric": "rgb", "dtype": data.dtype} | told
    with rasterio.open(path, "w", count=len(data), height=data.shape[1], width=data.shape[2], **profile) as out:
        out.write(data)
    return path


def plots() -> gpd.GeoDataFrame:
    """Return nine plots of 40 m x 30 m that cut through the quilt of squares, the last one mostly outside."""
    rows, columns = np.divmod(np.arange(9), 3)
    shapes = [box(x, y - 30, x + 40, y) for x, y in zip(LEFT + 10 + 130 * columns, TOP - 10 - 45 * rows, strict=True)]
    return gpd.GeoDataFrame({"plot": [f"p{i}" for i in range(9)]}, geometry=shapes, crs=HERE)


@pytest.fixture(scope="module")
def uploads(client: Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder, picture, cut = tmp_path_factory.mktemp("tiles"), picture_of(CODES), 320
    plots().to_file(folder / "plots.gpkg")
    files = [
        write_tile(folder / "west.tif", picture[:, :, :cut]),
        write_tile(folder / "east.tif", picture[:, :, cut:], cut),
        folder / "plots.gpkg",
    ]
    west, east, parcels = (client.upload(path)["upload"] for path in files)
    return {"imagery": {"uploads": [west, east]}, "parcels": {"upload": parcels}, "model": "pictures"}


@pytest.fixture(scope="module")
def done(client: Client, uploads: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The example of the contract as it stands there, with these uploads and every output but the accuracy."""
    inputs = EXECUTE_EXAMPLES["pictures"]["value"]["inputs"]
    assert {*inputs, "model"} == uploads.keys()
    status = finish(client, uploads | {"outputs": [*DEFAULT_OUTPUTS, *ON_REQUEST]}, process=LAND)
    assert status["status"] == "successful", status
    return status, fetch(client, status["jobID"], tmp_path_factory.mktemp("outputs"))


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(1)


def test_a_process_is_offered_as_soon_as_it_has_a_model(client: Client) -> None:
    listed = httpx.get(f"{client.url}/processes").json()["processes"]
    assert [process["id"] for process in listed][:2] == ["local-climate-zones", LAND]
    told = client.process(LAND)
    assert [c["colour"] for c in told["classes"]] == [c.colour for c in LAND_COVER]
    assert not {"buildings", "resolution"} & told["inputs"].keys()
    assert ["red", "green", "blue"] in [model["bands"] for model in told["models"]]


def test_every_output_comes_back_and_opens(done: Any) -> None:
    status, outputs = done
    assert set(outputs) == {*DEFAULT_OUTPUTS, *ON_REQUEST}
    assert unusable(outputs) == []
    assert status["blocks"] == {"done": 6, "total": 6}
    assert status.get("warnings", []) == []


def test_the_map_has_the_pictures_own_pixels_and_opens_coloured(done: Any) -> None:
    _, outputs = done
    assert cog_validate(outputs["map"], strict=True, quiet=True)[0]
    with rasterio.open(outputs["map"]) as mapped:
        assert (mapped.crs, mapped.res, mapped.shape) == (HERE, (PIXEL, PIXEL), (HEIGHT, WIDTH))
        assert mapped.transform == from_origin(LEFT, TOP, PIXEL, PIXEL)
        assert (mapped.nodata, mapped.dtypes) == (0, ("uint8",))
        palette = mapped.colormap(1)
        assert {code: palette[code] for code in range(1, 10)} == {c.code: (*c.rgb, 255) for c in LAND_COVER}
    assert (read(outputs["map"]) == CODES).mean() > 0.9
    assert read(outputs["confidence"]).min() >= 100 // 9
    assert set(np.unique(read(outputs["units"]))) <= {1, 2}, "there are no scene cells, and no blocks"


def test_the_image_is_the_pictures_side_by_side(client: Client, done: Any) -> None:
    status, outputs = done
    assert cog_validate(outputs["image"], strict=True, quiet=True)[0]
    with rasterio.open(outputs["image"]) as image, rasterio.open(outputs["map"]) as mapped:
        assert (image.crs, image.transform, image.shape) == (mapped.crs, mapped.transform, mapped.shape)
        assert (image.nodata, image.dtypes) == (0, ("uint8",) * 3)
        assert np.array_equal(image.read(), np.maximum(picture_of(CODES), 1))
    tiles = httpx.get(f"{client.url}/jobs/{status['jobID']}/tiles?layer=image").json()
    west, south, east, north = tiles["bounds"]
    tile = morecantile.tms.get("WebMercatorQuad").tile((west + east) / 2, (south + north) / 2, tiles["maxzoom"])
    drawn = httpx.get(tiles["tiles"][0].format(z=tile.z, x=tile.x, y=tile.y))
    with Image.open(io.BytesIO(drawn.content)) as picture:
        assert np.asarray(picture.convert("RGBA"))[..., 3].any()
    assert httpx.get(f"{client.url}/jobs/{status['jobID']}/legend?layer=image").json()["entries"] == []


def test_windows_leave_no_seams(done: Any, tmp_path: Path) -> None:
    """Blocks, tiles and files meet as if the network had seen the whole at once, mirrored beyond its border."""
    _, outputs = done
    image = np.pad(picture_of(CODES) / np.float32(255), ((0, 0), (HALO, HALO), (HALO, HALO)), mode="reflect")
    path = write_picture_model(tmp_path / "whole.onnx", whole=image.shape[1:])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (whole,) = session.run(None, {"spectral": image[None]})
    with zarr.storage.ZipStore(outputs["probabilities"], mode="r") as store:
        group = zarr.open(store, mode="r")
        values = group[next(iter(group))][:] if isinstance(group, zarr.Group) else group[:]
    differing = np.abs(values.astype(int) - whole[0])
    assert REACH < HALO
    assert differing.max() <= 1, "rounding"
    assert (differing > 0).mean() < 0.01


def test_parcels_tell_the_shares_of_their_classes(done: Any) -> None:
    _, outputs = done
    table = gpd.read_parquet(outputs["parcels"])
    shares = table[[f"p_{code}" for code in range(1, 10)]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-3)
    for name, codes in SHARES[LAND].items():
        np.testing.assert_allclose(table[name], shares[:, [c - 1 for c in codes]].sum(axis=1), atol=1e-6)
        truth = []
        for shape in table.to_crs(HERE).geometry:
            left, bottom, right, top = ((np.array(shape.bounds) - [LEFT, TOP, LEFT, TOP]) / PIXEL).round().astype(int)
            truth.append(np.isin(CODES[-top:-bottom, left:right], codes).mean())
        np.testing.assert_allclose(table[name], truth, atol=0.12)
    assert set(table.decided_by) <= {"parcel", "pixel"}
    styled = gpd.read_file(outputs["parcels-gpkg"], layer="parcels")
    assert {"sealed_share", "green_share", "building_share"} <= set(styled)


def test_item_and_factsheet_speak_of_land_cover(done: Any) -> None:
    _, outputs = done
    item = pystac.Item.from_dict(json.loads(outputs["item"].read_text()))
    told = item.assets["map"].extra_fields["bands"][0]["classification:classes"]
    assert [(c["value"], f"#{c['color_hint'].lower()}") for c in told if c["value"]] == [
        (c.code, c.colour) for c in LAND_COVER
    ]
    assert item.properties["proj:shape"] == [HEIGHT, WIDTH]
    page = outputs["factsheet"].read_text()
    assert "Land cover" in page
    assert "numbers of a picture" in page
    assert "scene cell" not in page
    assert "Climate" not in page


def test_tiles_and_legend_have_the_palette(client: Client, done: Any) -> None:
    status, _ = done
    tiles = httpx.get(f"{client.url}/jobs/{status['jobID']}/tiles").json()
    west, south, east, north = tiles["bounds"]
    (left, right), (low, high) = transform(HERE, "EPSG:4326", [LEFT, LEFT + WIDTH * PIXEL], [TOP - HEIGHT * PIXEL, TOP])
    assert np.allclose([west, south, east, north], [left, low, right, high], atol=1e-4)
    assert tiles["maxzoom"] >= 18
    legend = httpx.get(f"{client.url}/jobs/{status['jobID']}/legend").json()
    assert {(entry["colour"], entry["name"]) for entry in legend["entries"]} >= {(c.colour, c.name) for c in LAND_COVER}
    zoom, half = tiles["maxzoom"], 20037508.342789244
    middle = transform("EPSG:4326", "EPSG:3857", [(west + east) / 2], [(south + north) / 2])
    x, y = (int((sign * part[0] + half) / (2 * half) * 2**zoom) for sign, part in zip((1, -1), middle, strict=True))
    drawn = httpx.get(tiles["tiles"][0].format(z=zoom, x=x, y=y))
    with Image.open(io.BytesIO(drawn.content)) as tile:
        colours = {colour[:3] for _, colour in tile.convert("RGBA").getcolors() if colour[3]}
    assert colours
    assert colours <= {c.rgb for c in LAND_COVER}


def test_an_estimate_is_what_the_job_came_to(client: Client, uploads: dict[str, Any], done: Any) -> None:
    told = httpx.post(f"{client.url}/processes/{LAND}/estimate", json={"inputs": uploads}, timeout=30).json()
    assert (told["model"], told["resolution"], told["blocks"]) == ("pictures", PIXEL, done[0]["blocks"]["total"])
    assert told["km2"] == pytest.approx(HEIGHT * WIDTH * PIXEL**2 / 1e6, rel=0.05)
    assert told["pixels"] == pytest.approx(HEIGHT * WIDTH, rel=0.2)


def test_what_only_scenes_have_is_refused_by_name(client: Client, uploads: dict[str, Any]) -> None:
    body = {"inputs": uploads | {"resolution": 10, "units": "scene"}}
    answer = httpx.post(f"{client.url}/processes/{LAND}/execution", json=body)
    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.json()["errors"]} == {"/inputs/resolution", "/inputs/units"}


def test_deep_pictures_with_infrared_are_stretched_and_told(client: Client, tmp_path: Path) -> None:
    asked = {"model": "pictures", "outputs": ["map"]}
    picture = picture_of(CODES[:200, :200]).astype(np.uint16) * 40 + 300
    four = np.concatenate([picture, picture[:1]])
    path = write_tile(tmp_path / "deep.tif", four, photometric="minisblack", alpha="unspecified")
    status = finish(client, asked | {"imagery": {"uploads": [client.upload(path)["upload"]]}}, process=LAND)
    assert status["status"] == "successful", status
    told = {warned["code"] for warned in status["warnings"]}
    assert told == {"image-stretched", "bands-ignored", "band-order-assumed"}
    assert (read(fetch(client, status["jobID"], tmp_path)["map"]) == CODES[:200, :200]).mean() > 0.8


def test_a_small_picture_is_classified_at_once(client: Client, tmp_path: Path) -> None:
    path = write_tile(tmp_path / "small.tif", picture_of(CODES[:100, :150]), nodata=0)
    with path.open("rb") as file:
        answer = httpx.post(f"{client.url}/classify", files={"image": file}, data={"model": "pictures"}, timeout=60)
    assert answer.status_code == 200, answer.text
    with rasterio.MemoryFile(answer.content) as memory, memory.open() as made:
        assert (made.read(1) == CODES[:100, :150]).mean() > 0.9


def test_a_finished_map_is_decided_again_by_parcels_and_held_against_the_truth(
    client: Client, uploads: dict[str, Any], done: Any, tmp_path: Path
) -> None:
    rows, columns = np.mgrid[7:HEIGHT:20, 7:WIDTH:20].reshape(2, -1)
    places = points(LEFT + (columns + 0.5) * PIXEL, TOP - (rows + 0.5) * PIXEL)
    names = [LAND_COVER[code - 1].name for code in CODES[rows, columns]]
    gpd.GeoDataFrame({"class": names}, geometry=places, crs=HERE).to_file(tmp_path / "truth.gpkg")
    known = client.upload(tmp_path / "truth.gpkg")["upload"]
    inputs = {"imagery": {"job": done[0]["jobID"]}, "parcels": uploads["parcels"], "units": "parcel"}
    inputs |= {"outputs": ["map", "parcels", "accuracy", "image"], "reference": {"upload": known}}
    status = finish(client, inputs, process=LAND)
    assert status["status"] == "successful", status
    outputs = fetch(client, status["jobID"], tmp_path)
    assert set(gpd.read_parquet(outputs["parcels"]).decided_by) == {"parcel"}
    assert len(np.unique(read(outputs["map"])[22:78, 22:98])) == 1, "the first plot is of one class"
    assert json.loads(outputs["accuracy"].read_text())["metrics"]["OA"] > 0.7
    with rasterio.open(outputs["image"]) as again, rasterio.open(done[1]["image"]) as first:
        assert np.array_equal(again.read(), first.read())


@pytest.mark.parametrize(
    ("data", "told", "code", "said"),
    [
        (np.full((1, 60, 60), 9, np.uint8), {"photometric": "minisblack"}, "wrong-bands", "found: 1 without a name"),
        (np.zeros((3, 60, 60), np.uint8), {"nodata": 0}, "no-imagery", "no valid pixel"),
    ],
    ids=["one band", "all without data"],
)
def test_pictures_that_show_nothing_fail_with_a_sentence(
    client: Client, tmp_path: Path, data: np.ndarray, told: dict[str, Any], code: str, said: str
) -> None:
    upload = client.upload(write_tile(tmp_path / "bad.tif", data, **told))["upload"]
    status = finish(client, {"imagery": {"uploads": [upload]}, "model": "pictures"}, process=LAND)
    assert (status["status"], status["problem"]["code"]) == ("failed", code)
    assert said in status["problem"]["detail"]
