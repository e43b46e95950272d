"""The bundled card of land cover: small, served as its weights are, and right about what it knows."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from models.cards import card_of  # noqa: E402 - after the check for torch
from models.evaluation.tiles import open_network  # noqa: E402
from models.export.graph import COVER, ServedCover  # noqa: E402
from models.networks.land_cover import MULTIPLE  # noqa: E402
from models.networks.weights import load_cover  # noqa: E402
from models.weights import BUNDLED_DIR  # noqa: E402

WEIGHTS = BUNDLED_DIR / "land-cover.safetensors"


def test_the_bundled_graph_gives_what_the_bundled_weights_give():
    card = card_of("land-cover")
    assert (BUNDLED_DIR / card.weights.file).stat().st_size < 4.5e6
    assert WEIGHTS.stat().st_size < 2.3e6
    assert card.geometry == COVER
    side = card.geometry.tile + 2 * card.geometry.halo
    assert side % MULTIPLE == 0
    image = np.random.default_rng(0).random((1, 3, side, side), dtype=np.float32)
    image[:, :, :, side // 2 :] = 0.7
    served = ServedCover(load_cover(WEIGHTS), card.geometry, card.serving.temperature)
    with torch.no_grad():
        expected = served(torch.from_numpy(image)).numpy()
    found = open_network(card, threads=1)(image)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert found.max() > 100


def test_the_card_tells_what_it_was_taught_and_how_right_it_is():
    card = card_of("land-cover")
    taught = load_cover(WEIGHTS).taught.numpy() > 0
    assert [told.label for told, there in zip(card.classes, taught, strict=True) if there] == [
        "bareland", "road", "tree", "water", "building",
    ]  # fmt: skip
    assert all(told.label in card.limits_told[0] for told in card.classes)
    measured = {score.method: score.metrics for score in card.accuracy if "mIoU" in score.metrics}
    assert {"random forest on pixels", "network", "network, masks vote"} == set(measured)
    assert any("ECE" in score.metrics for score in card.accuracy)
