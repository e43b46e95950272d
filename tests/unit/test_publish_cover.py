"""A run on tiles becomes a card that can be served: its graph, its temperature, and the figures of its folds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from models.errors import WeightsUnavailable  # noqa: E402 - after the check for torch
from models.export import cover_card  # noqa: E402
from models.export.graph import COVER  # noqa: E402
from models.networks.land_cover import LandCoverNet  # noqa: E402
from models.onnx_signature import read_signature  # noqa: E402
from models.serving import check_contract  # noqa: E402
from models.training.config import BadTraining  # noqa: E402
from models.training.landcover.publish import publish  # noqa: E402
from models.training.weights import save_weights  # noqa: E402

REPORT = {
    "run": {
        "data": {"kind": "tiles"}, "model": {"start": None}, "output": {"card": "probe-cover", "limits": []},
        "training": {"augmentation": {"scale": 2.0}},
    },
    "seconds": 3, "device": "cpu", "data": "tiles: tile1.", "domain": {"median": [0.4] * 3, "iqr": [0.2] * 3},
    "accuracy": [],
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    save_weights(LandCoverNet(), folder / "probe-cover.safetensors", "a test")
    (folder / "report.json").write_text(json.dumps(REPORT))
    told = {"command": "a test", "taught": ["road"], "lacking": ["tree"]}
    cover_card.write_cover_card(REPORT, COVER, folder / "probe-cover.toml", **told)
    return folder


def table(tempered: float) -> dict:
    row = {"method": "network", "mean_iou": 0.5, "overall_accuracy": 0.7, "iou": {"road": 0.5}}
    return {
        "folder": "tiles", "folds": [["tile1", "tile2"], ["tile3"]], "steps": 70, "stride": 6, "rows": [row],
        "calibration": {"temperature": 1.5, "ECE": 0.1, "ECE_tempered": tempered},
    }  # fmt: skip


def test_a_run_is_published_with_what_its_folds_measured(run: Path, tmp_path: Path):
    card = publish(run, table(0.05), tmp_path, tmp_path)
    check_contract(card, read_signature(tmp_path / "probe-cover.onnx"))
    assert card.serving.temperature == 1.5
    assert [score.metrics for score in card.accuracy] == [
        {"mIoU": 0.5, "OA": 0.7, "IoU_road": 0.5},
        {"ECE": 0.05},
        {"ECE": 0.1},
    ]
    assert "held out in turn tile1, tile2; tile3; 70 steps, every 6th" in card.accuracy[0].data
    assert "held nothing out" in " ".join(card.limits_told)


def test_a_temperature_that_does_not_help_is_not_served(run: Path, tmp_path: Path):
    card = publish(run, table(0.2), tmp_path, tmp_path)
    assert card.serving.temperature == 1
    assert [score.method for score in card.accuracy] == ["network", "as trained (temperature 1)"]


def test_what_is_no_run_is_refused_before_anything_is_written(run: Path, tmp_path: Path):
    with pytest.raises(BadTraining, match=r"holds no report\.json"):
        publish(tmp_path, table(0.1), tmp_path, tmp_path)
    with pytest.raises(KeyError):
        publish(run, {}, tmp_path, tmp_path)
    (run / "probe-cover.safetensors").unlink()
    with pytest.raises(WeightsUnavailable):
        publish(run, table(0.1), tmp_path, tmp_path)
    (run / "report.json").write_text(json.dumps({"run": {"data": {"kind": "city"}, "output": {"card": "a"}}}))
    with pytest.raises(BadTraining, match="a run on city data"):
        publish(run, table(0.1), tmp_path, tmp_path)
    assert not list(tmp_path.glob("*.onnx"))
