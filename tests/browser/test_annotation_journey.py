"""The whole journey: pictures of Dubai are annotated in a browser, exported, learnt from, and a tile is mapped."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from rasterio.transform import from_origin

from jobs.annotation.project import MaskTable, ProjectFiles
from jobs.annotation.rasters import decode_raster
from jobs.storage import Storage
from models.cards import read_card
from models.data.tiles.folder import Picture, open_tiles
from service.client import Client
from service.stack.embedded import EmbeddedStack
from tests.journeys import fetch, finish
from tests.servers.api import ROOT
from tests.servers.cards import reading_cards, write_cards

pytestmark = [pytest.mark.scale, pytest.mark.real_data, pytest.mark.timeout(600)]
SIDE = 384
CONFIG = """
[data]
kind = "tiles"
folder = {folder!r}
[training]
steps = 30
batch = 4
crop = 96
threads = 2
device = "cpu"
[output]
folder = {out!r}
card = "annotated"
"""


def cropped(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """Return a corner of a picture (y, x, 3) and its classes (y, x)."""
    return np.moveaxis(picture.image[:, :SIDE, :SIDE], 0, -1), picture.codes[:SIDE, :SIDE]


class Expert:
    """Knows the class that most pixels of every mask have, and finds the keys for it."""

    def __init__(self, files: ProjectFiles, truths: list[np.ndarray]) -> None:
        self.table: MaskTable = files.masks()
        self.classes = np.zeros(len(self.table.label), int)
        for tile, truth in enumerate(truths):
            labels = decode_raster(files.storage.get(files.labels_key(tile)) or b"")
            own = np.flatnonzero(self.table.tile == tile)
            for number in own:
                codes = truth[labels == self.table.label[number]]
                self.classes[number] = np.bincount(codes).argmax() or 1

    def seen(self, page: Page) -> list[int]:
        """Return the masks of the wall."""
        told = [cell.get_attribute("aria-label") or "" for cell in page.locator(".cell").all()]
        return [int(found[1]) for text in told if (found := re.match(r"mask (\d+),", text))]

    def label_cluster(self, page: Page) -> None:
        """Give the masks of the wall the class that most of them have, and wait for the next cluster."""
        expect(page.locator(".cell").first).to_be_visible()
        code = int(np.bincount(self.classes[self.seen(page)]).argmax())
        page.keyboard.press(str(code))
        expect(page.locator("#told")).to_contain_text("→")
        page.wait_for_timeout(400)


def test_pictures_are_annotated_learnt_from_and_a_tile_is_mapped(
    stack: EmbeddedStack, browser: Browser, shared_data: Path, tmp_path: Path
) -> None:
    dubai, client = open_tiles(shared_data / "dubai_landcover"), Client(stack.url)
    shown = [cropped(next(iter(dubai.pictures((tile,))))) for tile in ("tile1", "tile5")]
    uploads = []
    for number, (image, _) in enumerate(shown):
        Image.fromarray(image).save(tmp_path / f"dubai{number}.jpg", quality=95)
        uploads.append(client.upload(tmp_path / f"dubai{number}.jpg")["upload"])
    job = finish(client, {"tiles": uploads, "title": "Dubai"}, process="annotation-project")["jobID"]
    files = ProjectFiles(Storage(stack.settings), job)
    expert = Expert(files, [codes for _, codes in shown])

    exported = annotate(browser, f"{stack.url}/annotate#{job}/n/0", expert, tmp_path)
    with zipfile.ZipFile(exported) as archive:
        archive.extractall(tmp_path / "tiles")
    learnt = np.concatenate(
        [p.codes.ravel() for p in open_tiles(tmp_path / "tiles").pictures(("tile0001", "tile0002"))]
    )
    assert 0 < np.count_nonzero(learnt) < learnt.size

    (tmp_path / "run.toml").write_text(CONFIG.format(folder=str(tmp_path / "tiles"), out=str(tmp_path / "run")))
    command = [str(Path(sys.executable).with_name("cityzones")), "models", "train", str(tmp_path / "run.toml")]
    trained = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert trained.returncode == 0, trained.stderr[-3000:]

    held, _ = cropped(next(iter(dubai.pictures(("tile7",)))))
    with mapping_with(tmp_path) as mapper:
        imagery = {"uploads": [mapper.upload(placed(held, tmp_path / "held.tif"))["upload"]]}
        mapped = finish(mapper, {"imagery": imagery, "model": "annotated"}, process="land-cover")
        assert mapped["status"] == "successful", mapped
        outputs = fetch(mapper, mapped["jobID"], tmp_path / "out")
    with rasterio.open(outputs["map"]) as source:
        codes = source.read(1)
    assert codes.shape == (SIDE, SIDE)
    assert set(np.unique(codes)) <= set(np.unique(learnt))  # what nobody labelled is never mapped
    assert (codes > 0).all()


def annotate(browser: Browser, address: str, expert: Expert, folder: Path) -> Path:
    """Label, split, refine, let the classifier suggest, accept and export, by keys and clicks; return the archive."""
    page = browser.new_context(viewport={"width": 1300, "height": 800}).new_page()
    page.set_default_timeout(30_000)
    page.goto(address)
    for _ in range(8):
        expert.label_cluster(page)
    page.keyboard.press("s")
    expect(page.locator("#told")).to_contain_text("split in two")
    expert.label_cluster(page)
    page.keyboard.press("c")
    expect(page.locator("#told")).to_contain_text("Suggestions are in", timeout=60_000)
    page.keyboard.press("y")
    expect(page.locator("#told")).to_contain_text("suggestions accepted")
    page.keyboard.press("r")
    page.locator("canvas").first.click()
    mask = re.search(r"mask (\d+)", page.locator(".chosen").inner_text())
    assert mask
    page.keyboard.press(str(expert.classes[int(mask[1])]))
    expect(page.locator("#corrections li")).to_have_count(1)
    page.keyboard.press("e")
    page.get_by_label("with suggestions").check()
    page.locator("#make").click()
    with page.expect_download() as arriving:
        page.get_by_role("link", name="tiles.zip").click(timeout=60_000)
    arriving.value.save_as(folder / "tiles.zip")
    page.context.close()
    return folder / "tiles.zip"


def placed(image: np.ndarray, path: Path) -> Path:
    """Write a picture somewhere on the Earth, where it is not from: it had no place of its own."""
    place = {"crs": "EPSG:32640", "transform": from_origin(300_000, 2_780_000, 0.5, 0.5)}
    with rasterio.open(path, "w", driver="GTiff", count=3, height=SIDE, width=SIDE, dtype="uint8", **place) as target:
        target.write(np.moveaxis(image, -1, 0))
    return path


@contextmanager
def mapping_with(folder: Path) -> Iterator[Client]:
    """Start a stack that serves the network of a run beside the project's own."""
    card = read_card(folder / "run" / "annotated.toml")
    data = (folder / "run" / card.weights.file).read_bytes()
    told = {
        "bundled": False,
        "source_url": "https://weights.invalid/a",
        "source_sha256": hashlib.sha256(data).hexdigest(),
    }
    weights = card.weights.model_copy(update=told)
    first = write_cards(folder / "served", card.model_copy(update={"weights": weights}))
    cache = folder / "weights"
    cache.mkdir()
    (cache / card.weights.file).write_bytes(data)
    overrides = {"PYTHONPATH": os.pathsep.join([str(first), str(ROOT)]), "CITYZONES_WEIGHTS_CACHE": str(cache)}
    with ExitStack() as stack:
        with reading_cards(folder / "served"):
            running = stack.enter_context(EmbeddedStack(folder / "stack", overrides=overrides))
        yield Client(running.url)
