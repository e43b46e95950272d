"""BentoML's native endpoint with a real model server: one tile in, its class map out."""

from __future__ import annotations

from pathlib import Path

import bentoml
import httpx
import numpy as np
import pytest
import rasterio
from bentoml.exceptions import BentoMLException

from jobs.inference import TritonModels
from service.classify import map_codes
from service.stack.triton import EmbeddedTriton
from tests.servers.api import Served, problem, write_image
from tests.servers.tiny_model import BANDS, STEP, TILE, tiny_card, tiny_weights


def _classes(image: np.ndarray) -> np.ndarray:
    """Compute the class of every pixel as the tiny network does, whole cells only."""
    rows, columns = image.shape[1] // STEP, image.shape[2] // STEP
    cells = image[:, : rows * STEP, : columns * STEP].reshape(len(BANDS), rows, STEP, columns, STEP).mean((2, 4))
    classes = np.einsum("cb,byx->cyx", tiny_weights(), cells).argmax(0) + 1
    return classes.repeat(STEP, 0).repeat(STEP, 1)


def test_bentomls_own_client_gets_a_class_map(served: Served, tmp_path: Path) -> None:
    image = write_image(tmp_path / "tile.tif", bands=len(BANDS), side=(7 * STEP + 3, 9 * STEP))
    with bentoml.SyncHTTPClient(served.url) as client:
        answer = client.classify(image=image, model="tiny")
    with rasterio.open(image) as source, rasterio.open(answer) as made:
        assert (made.crs, made.transform, made.shape) == (source.crs, source.transform, source.shape)
        assert (made.dtypes, made.nodata) == (("uint8",), 0)
        assert made.colormap(1)[6] == (0, 0x45, 0xFF, 255)
        classes, expected = made.read(1), _classes(source.read())
    inside = (slice(0, 7 * STEP), slice(0, 9 * STEP))
    assert (classes[inside] == expected).mean() > 0.99
    assert classes.min() >= 1


def test_bands_scale_and_nodata_are_honoured(served: Served, tmp_path: Path) -> None:
    straight = write_image(tmp_path / "a.tif", bands=2)
    with rasterio.open(straight) as source:
        values, profile = source.read(), source.profile
    numbers = np.round(values * 10_000).astype(np.uint16) + 1
    numbers[:, :10, :10] = 0
    with rasterio.open(tmp_path / "b.tif", "w", **(profile | {"dtype": "uint16", "nodata": 0, "count": 3})) as out:
        out.write(numbers[1], 1)
        out.write(numbers[0], 3)
        for band, name in enumerate(("B3", "SCL", "b02"), 1):
            out.set_band_description(band, name)
    url = f"{served.url}/classify"
    with (tmp_path / "b.tif").open("rb") as file:
        told = {"model": "tiny", "scale": "0.0001", "offset": "-0.0001"}
        answer = httpx.post(url, files={"image": file}, data=told, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/tiff"), answer.text
    with rasterio.MemoryFile(answer.content) as memory, memory.open() as made:
        classes = made.read(1)
    assert (classes[:10, :10] == 0).all()
    same = classes[10:, 10:] == _classes(values)[10:, 10:]
    assert same.mean() > 0.97


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"bands": 2, "side": (513, 20)}, "upload-too-large"),
        ({"bands": 3}, "wrong-bands"),
        ({"bands": 2, "dtype": "uint8"}, "bad-image"),
        ({"bands": 2, "transform": rasterio.Affine(20, 0, 390_000, 0, -20, 5_820_000)}, "bad-image"),
        ({"bands": 2, "crs": None}, "missing-crs"),
    ],
)
def test_tiles_that_do_not_fit_are_problems(served: Served, tmp_path: Path, told: dict[str, object], code: str) -> None:
    image = write_image(tmp_path / "tile.tif", **told)  # type: ignore[arg-type]
    with image.open("rb") as file:
        answer = httpx.post(f"{served.url}/classify", files={"image": file}, data={"model": "tiny"}, timeout=60)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["instance"]) == (code, "/classify")
    assert answer.status_code in {413, 422}


def test_other_mistakes_with_classify(served: Served, tmp_path: Path) -> None:
    url = f"{served.url}/classify"
    assert httpx.post(url, files={"model": (None, "tiny")}).json()["errors"][0]["pointer"] == "/image"
    image = write_image(tmp_path / "tile.tif")
    with image.open("rb") as file:
        assert httpx.post(url, files={"image": file}, data={"model": "nope"}).json()["code"] == "unknown-model"
    with bentoml.SyncHTTPClient(served.url) as client, pytest.raises(BentoMLException):
        client.classify(image=image, model="nope")
    assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize("side", [(1, 1), (STEP, 1), (TILE, TILE), (TILE + 1, 2 * TILE - 1)])
def test_every_size_is_covered(triton: EmbeddedTriton, side: tuple[int, int]) -> None:
    image = np.random.default_rng(1).random((len(BANDS), *side), np.float32)
    codes = map_codes(image, tiny_card(), TritonModels(triton.grpc_url, timeout=30))
    assert codes.shape == side
    assert codes.min() >= 1


@pytest.mark.parametrize("text", ["http://127.0.0.1:9/tile.tif", "https://example.org/tile.tif", "/etc/hostname", ""])
def test_a_file_is_never_fetched_from_where_a_text_says(served: Served, text: str) -> None:
    form = {"image": (None, text)}
    answer = httpx.post(f"{served.url}/classify", files=form, timeout=60)  # type: ignore[arg-type]
    assert "is not a file" in problem(answer, 400, "malformed-request")["detail"]
    told = httpx.post(f"{served.url}/classify", json={"image": text}, timeout=60)
    problem(told, 415, "unsupported-media-type")


def test_fields_that_classify_does_not_know_are_named(served: Served, tmp_path: Path) -> None:
    data = write_image(tmp_path / "tile.tif", bands=2).read_bytes()
    for fields, said in (({"modle": "tiny"}, "'modle'"), ({"model": ["tiny", "tiny"]}, "twice")):
        answer = httpx.post(f"{served.url}/classify", files={"image": ("a.tif", data)}, data=fields, timeout=60)
        assert said in problem(answer, 400, "malformed-request")["detail"]
    answer = httpx.post(f"{served.url}/classify", files={"image": ("a.tif", data)}, data={"scale": "NaN"}, timeout=60)
    problem(answer, 400, "invalid-parameter")
