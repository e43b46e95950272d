"""A temperature is measured on what it was not fitted on, and published into weights and card alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from models.accuracy.calibration import calibration_error, fit_temperature  # noqa: E402 - after the check for torch
from models.cards import CARDS_DIR, read_card  # noqa: E402
from models.evaluation.recalibration import measure, probabilities_of, publish  # noqa: E402
from models.export.graph import load_magnet  # noqa: E402
from models.weights import BUNDLED_DIR  # noqa: E402


def test_the_bundled_network_is_too_modest_and_its_temperature_mends_that(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("models.evaluation.recalibration.SIDE", 200)
    network = load_magnet(BUNDLED_DIR / "magnet.safetensors")
    fitted = fit_temperature(*probabilities_of(network, (501,), buildings=True))
    assert 0.4 < fitted < 0.9
    p, index = probabilities_of(network, (1,), buildings=True)
    told = measure(p, index, read_card(CARDS_DIR / "magnet.toml").serving.temperature)
    assert told["before"]["ECE"] == pytest.approx(calibration_error(p, index), abs=1e-4)
    assert told["after"]["ECE"] < told["before"]["ECE"] / 2
    assert told["after"]["NLL"] < told["before"]["NLL"]
    assert sum(row["samples"] for row in told["after"]["reliability"]) == told["samples"] == len(index)


def test_publishing_writes_graph_and_card(tmp_path: Path):
    for source in (BUNDLED_DIR / "magnet.safetensors", CARDS_DIR / "magnet.toml"):
        shutil.copy(source, tmp_path)
    graphs = []
    for temperature in (2.0, 0.5):
        publish(temperature, tmp_path / "magnet.safetensors", tmp_path / "magnet.toml")
        assert read_card(tmp_path / "magnet.toml").serving.temperature == temperature
        assert (tmp_path / "magnet.toml").read_text().count("temperature = ") == 1
        graphs.append((tmp_path / "magnet.onnx").read_bytes())
    assert graphs[0] != graphs[1]
    assert np.isclose(read_card(tmp_path / "magnet.toml").geometry.tile, 240)
