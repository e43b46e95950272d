"""One marked cell of 100 m through the real Triton: worker, classify and a whole job put it where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

pytest.importorskip("torch")

from jobs.inference import TritonModels
from jobs.plan import Block
from models.cards import Card, card_of
from models.export.graph import export_network
from models.serving import build_repository
from service.classify import map_codes
from service.stack.triton import EmbeddedTriton
from tests.servers.marked import CELL, MARKED, marked_network, marked_scene
from worker.inference import map_window, padded_window


@pytest.fixture(scope="module")
def card() -> Card:
    told = card_of("magnet").model_dump()
    told["id"] = told["serving"]["model"] = "marked"
    told["weights"] = {"file": "marked.onnx", "bundled": False, "source_url": "https://x.invalid", "source_sha256": "0"}
    return Card.model_validate(told)


@pytest.fixture(scope="module")
def models(card: Card, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonModels]:
    folder = tmp_path_factory.mktemp("marked")
    (folder / "cache").mkdir()
    export_network(marked_network(), folder / "cache" / card.weights.file, card.geometry.tile)
    assert build_repository(folder / "repository", [card], cache=folder / "cache") == ["marked"]
    with EmbeddedTriton(folder / "repository", logs=folder, threads=1, supervise_every=0) as server:
        client = TritonModels(server.grpc_url, timeout=60)
        yield client
        client.close()


def expected(side: tuple[int, int], row: int, column: int) -> np.ndarray:
    """The cell, and the one row and column that an even window sees half a pixel of."""
    found = np.zeros(side, bool)
    found[row : row + CELL + 1, column : column + CELL + 1] = True
    return found


@pytest.mark.parametrize(("row", "column"), [(240, 480), (350, 590), (230, 530), (290, 710)])
def test_a_block_of_a_job_has_the_mark_in_that_very_cell(
    models: TritonModels, card: Card, row: int, column: int
) -> None:
    spectral, form = marked_scene((560, 1000), row, column)
    # The second block of the second row; the mark may lie at its edges and in its neighbours.
    block = Block(id="r0001c0002", row=240, column=480, height=240, width=300)
    window = padded_window(block, card)
    cut = np.s_[:, window.row : window.row + window.height, window.column : window.column + window.width]
    padded = [np.pad(x, ((0, 0), (0, 512), (0, 512)))[cut] for x in (spectral, form)]
    codes = map_window(models, card, block, *padded, before_tile=lambda: None).argmax(0)
    assert codes.shape == (240, 300)
    inside = expected(spectral.shape[1:], row, column)[block.slices]
    np.testing.assert_array_equal(codes == MARKED, inside)
    shares = inside.reshape(24, CELL, 30, CELL).mean((1, 3)) > 0.5
    place = [[(row - 240) // CELL, (column - 480) // CELL]]
    assert np.argwhere(shares).tolist() == (place if row >= 240 else [])


def test_classify_has_the_mark_in_that_very_cell(models: TritonModels, card: Card) -> None:
    spectral, _ = marked_scene((300, 260), 230, 100)
    codes = map_codes(spectral, card, models)
    np.testing.assert_array_equal(codes == card.classes[MARKED].code, expected((300, 260), 230, 100))


def test_a_finished_map_lies_where_the_city_lies(finished: tuple, sample: Path) -> None:
    """Half a cell to any side, and it would fit the truth worse."""
    _, outputs = finished
    with rasterio.open(outputs["map"]) as mapped, rasterio.open(sample / "truth.tif") as truth:
        codes = mapped.read(1)
        grid = {"crs": mapped.crs, "transform": mapped.transform, "width": mapped.width, "height": mapped.height}
        with WarpedVRT(truth, resampling=Resampling.nearest, **grid) as laid:
            known = laid.read(1)
    fits = {}
    for down in (-5, 0, 5):
        for right in (-5, 0, 5):
            moved = np.roll(codes, (down, right), (0, 1))[5:-5, 5:-5]
            both = (moved > 0) & (known[5:-5, 5:-5] > 0)
            fits[down, right] = float((moved[both] == known[5:-5, 5:-5][both]).mean())
    assert max(fits, key=lambda shift: fits[shift]) == (0, 0)
    assert fits[0, 0] - max(fit for shift, fit in fits.items() if shift != (0, 0)) > 0.02
