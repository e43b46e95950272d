"""A run on a city becomes a card that can be served: its graph, its temperature, and the figures of its folds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.accuracy.calibration import tempered  # noqa: E402 - after the check for torch
from models.cards import read_card  # noqa: E402
from models.data.cities.ground import read_city  # noqa: E402
from models.evaluation.city import measure  # noqa: E402
from models.evaluation.city_network import open_network  # noqa: E402
from models.networks.weights import load_weights  # noqa: E402
from models.training.config import BadTraining, check  # noqa: E402
from models.training.publish_city import publish  # noqa: E402
from models.training.runs import run  # noqa: E402
from tests.city_folder import write_city  # noqa: E402

PLAIN = {"gain": 0, "band_gain": 0, "offset": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_city(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def made(folder: Path) -> Path:
    training = {"steps": 2, "batch": 1, "nodes": 8, "warm_up": 1, "augmentation": PLAIN, "threads": 1}
    config = {
        "data": {"kind": "city", "folders": [folder], "holdout": 0},
        "model": {"variant": "neighbourhood-magnet", "bands": 6},
        "training": training,
        "output": {"folder": folder / "run", "card": "probe-rgb"},
    }
    report = run(check(config, "a test"), "a test")
    assert report["accuracy"] == []
    return folder / "run"


def table(folder: Path) -> dict:
    city = read_city(folder)
    cells = city.cells
    truth = city.codes(cells)
    rows = [
        {"key": key, "method": key, "smoothed": smooth, **measure(truth, truth, city.blocks(cells)).accuracies}
        for key in ("a", "d")
        for smooth in (False, True)
    ]
    return {
        "data": "probe: 5 folds",
        "rows": rows,
        "calibration": {"d": {"temperature": 0.8, "ECE": 0.05, "ECE_tempered": 0.01}},
    }


@pytest.mark.scale
def test_a_run_is_published_with_what_its_folds_measured(folder: Path, made: Path, tmp_path: Path):
    publish(made, table(folder), read_city(folder), tmp_path, tmp_path)
    card = read_card(tmp_path / "probe-rgb.toml")
    assert card.input.bands == tuple(f"{b} {s}" for s in ("spring", "summer") for b in ("B04", "B03", "B02"))
    assert (card.geometry.window, card.geometry.halo, card.geometry.step) == (90, 45, 1)
    assert card.serving.temperature == 0.8
    assert [score.method for score in card.accuracy][:2] == ["a, smoothed", "d"]
    assert card.accuracy[1].metrics["OA_u_strict"] == 1
    assert card.accuracy[2].metrics["ECE"] == 0.01
    assert 0.9 <= card.accuracy[-1].metrics["argmax_agreement"] <= 1
    assert "held nothing back" in " ".join(card.limits_told)
    session = open_network(card, tmp_path / "probe-rgb.onnx", threads=1)
    side = card.geometry.tile + 90
    rng = np.random.default_rng(2)
    spectral = rng.uniform(0.02, 0.3, (1, 6, side, side)).astype(np.float32)
    form = np.zeros((1, 6, side, side), np.float32)
    answer = session.run(["probabilities"], {"spectral": spectral, "morphology": form})[0]
    network = load_weights(tmp_path / "probe-rgb.safetensors")
    with torch.no_grad():
        logits = network.grid(torch.from_numpy(spectral[..., :90, :90]), torch.from_numpy(form[..., :90, :90])).logits
    plain = torch.softmax(logits[:, :, 0, 0].double(), dim=1).numpy()
    expected = tempered(plain, 0.8)[0] * 255
    assert float(np.abs(answer[0, :, 0, 0] - expected).max()) <= 1


def test_a_temperature_that_does_not_help_is_not_served(folder: Path, made: Path, tmp_path: Path):
    told = table(folder)
    told["calibration"]["d"]["ECE_tempered"] = 0.06
    publish(made, told, read_city(folder), tmp_path, tmp_path)
    card = read_card(tmp_path / "probe-rgb.toml")
    assert card.serving.temperature == 1
    assert [score.metrics["ECE"] for score in card.accuracy if "ECE" in score.metrics] == [0.05]


def test_what_is_no_run_on_a_city_is_refused(folder: Path, made: Path, tmp_path: Path):
    with pytest.raises(BadTraining, match="holds no report"):
        publish(tmp_path, table(folder), read_city(folder), tmp_path, tmp_path)
    told = json.loads((made / "report.json").read_text())
    told["run"] |= {"data": {"kind": "procedural"}, "model": {}, "training": {}}
    (tmp_path / "report.json").write_text(json.dumps(told))
    with pytest.raises(BadTraining, match="on procedural data"):
        publish(tmp_path, table(folder), read_city(folder), tmp_path, tmp_path)
    assert not list(tmp_path.glob("*.onnx"))
