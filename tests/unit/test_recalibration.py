"""A temperature is measured on what it was not fitted on, and published into weights and card alike."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from models.accuracy.calibration import calibration_error, fit_temperature  # noqa: E402 - after the check for torch
from models.cards import CARDS_DIR, read_card  # noqa: E402
from models.errors import BadCard, WeightsUnavailable  # noqa: E402
from models.evaluation.recalibration import (  # noqa: E402
    argmax_agreement,
    card_rows,
    measure,
    probabilities_of,
    publish,
    served_temperature,
)
from models.export.card import update_card  # noqa: E402
from models.export.graph import load_magnet  # noqa: E402
from models.training import publish as publishing  # noqa: E402
from models.training.config import BadTraining  # noqa: E402
from models.weights import BUNDLED_DIR  # noqa: E402
from worker.parcels.units.fitting import with_units  # noqa: E402

CARD = CARDS_DIR / "magnet.toml"
WEIGHTS = BUNDLED_DIR / "magnet.safetensors"
GENERATED = {"ECE", "argmax_agreement"}


def told(temperature: float, before: float, after: float, agreement: float, *, helps: bool = True) -> dict[str, Any]:
    held = {"before": {"ECE": before}, "after": {"ECE": after}}
    return {"temperature": temperature, "with_buildings": held, "argmax_agreement": agreement, "helps": helps}


def run_of(folder: Path) -> Path:
    """Write a folder as the run of the bundled network left it, from what its card tells."""
    card = read_card(CARD)
    command = card.training_command.split()
    numbers = {name: int(command[command.index(f"--{name}") + 1]) for name in ("seed", "steps", "threads")}
    cities, side = re.match(r"(\d+) procedural cities of (\d+) x", card.training_data).groups()
    rows = [score.model_dump() for score in card.accuracy if GENERATED.isdisjoint(score.metrics)]
    report = {
        "config": numbers | {"cities": int(cities), "side": int(side)},
        "seconds": int(re.search(r"run of (\d+) s", CARD.read_text()).group(1)),
        "domain": card.domain.model_dump(),
        "accuracy": rows,
    }
    folder.mkdir()
    shutil.copy(WEIGHTS, folder)
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def told_by_card() -> dict[str, Any]:
    card = read_card(CARD)
    figures = [value for score in card.accuracy for name, value in score.metrics.items() if name in GENERATED]
    return told(card.serving.temperature, figures[1], figures[0], figures[2])


def test_the_bundled_network_is_too_modest_and_its_temperature_mends_that(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("models.evaluation.recalibration.SIDE", 200)
    network = load_magnet(WEIGHTS)
    fitted = fit_temperature(*probabilities_of(network, (501,), buildings=True))
    assert 0.4 < fitted < 0.9
    p, index = probabilities_of(network, (1,), buildings=True)
    told = measure(p, index, read_card(CARD).serving.temperature)
    assert told["before"]["ECE"] == pytest.approx(calibration_error(p, index), abs=1e-4)
    assert told["after"]["ECE"] < told["before"]["ECE"] / 2
    assert told["after"]["NLL"] < told["before"]["NLL"]
    assert sum(row["samples"] for row in told["after"]["reliability"]) == told["samples"] == len(index)


def test_bfloat16_names_nearly_every_pixel_alike_and_leaves_the_network_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("models.evaluation.recalibration.SIDE", 200)
    network = load_magnet(WEIGHTS)
    assert 0.998 < argmax_agreement(network, (1,)) < 1
    assert not network.classify._forward_hooks


def test_the_committed_card_is_what_its_run_and_its_figures_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(publishing, "recalibrate", lambda _checkpoint: told_by_card())
    publishing.publish(run_of(tmp_path / "run"), tmp_path / "weights", tmp_path / "magnet.toml")
    # The thresholds of its units are fitted after that: python -m worker.parcels.units.fitting --write.
    committed = CARD.read_text(encoding="utf-8")
    units = next(part for part in committed.split("\n\n") if "[units]" in part.splitlines())
    assert with_units((tmp_path / "magnet.toml").read_text(encoding="utf-8"), units) == committed
    assert (tmp_path / "weights" / "magnet.safetensors").read_bytes() == WEIGHTS.read_bytes()


def test_one_command_calibrates_measures_and_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("models.evaluation.recalibration.SIDE", 100)
    run, weights, card = run_of(tmp_path / "run"), tmp_path / "weights", tmp_path / "magnet.toml"
    monkeypatch.setattr("sys.argv", ["publish", str(run), "--weights", str(weights), "--card", str(card)])
    publishing.main()
    report = json.loads(capsys.readouterr().out)
    written = read_card(card)
    assert written.serving.temperature == report["temperature"] < 1
    assert [row.model_dump() for row in written.accuracy[-3:]] == card_rows(report)
    assert written.accuracy[-1].metrics["argmax_agreement"] > 0.99
    found = ort.InferenceSession(str(weights / "magnet.onnx")).get_outputs()
    assert [output.name for output in found] == ["probabilities", "morphology_weight"]


def test_a_folder_without_the_run_is_told_before_anything_is_computed(tmp_path: Path):
    for text in (None, "{", "[]", '{"accuracy": []}'):
        if text is not None:
            (tmp_path / "report.json").write_text(text)
        with pytest.raises(BadTraining, match="of the demonstration run; make it"):
            publishing.publish(tmp_path, tmp_path / "weights", tmp_path / "magnet.toml")
    run = run_of(tmp_path / "run")
    (run / "magnet.safetensors").unlink()
    with pytest.raises(WeightsUnavailable):
        publishing.publish(run, tmp_path / "weights", tmp_path / "magnet.toml")
    assert not (tmp_path / "weights").exists()


@pytest.mark.scale
def test_publishing_again_writes_graph_and_card(tmp_path: Path):
    for source in (WEIGHTS, CARD):
        shutil.copy(source, tmp_path)
    card, graphs = tmp_path / "magnet.toml", []
    for temperature, after in ((2.0, 0.02), (0.5, 0.01)):
        report = told(temperature, 0.05, after, 0.99)
        publish(report, tmp_path / "magnet.safetensors", card)
        assert read_card(card).serving.temperature == temperature
        assert card.read_text().count("temperature = ") == 1
        assert [row.model_dump() for row in read_card(card).accuracy[-3:]] == card_rows(report)
        assert len(read_card(card).accuracy) == len(read_card(CARD).accuracy)
        graphs.append((tmp_path / "magnet.onnx").read_bytes())
    assert graphs[0] != graphs[1]
    assert np.isclose(read_card(card).geometry.tile, 240)
    update_card(card, served_temperature(told_by_card()), card_rows(told_by_card()))
    assert card.read_bytes() == CARD.read_bytes()


def test_a_temperature_that_does_not_help_is_not_served(tmp_path: Path):
    report = told(0.9, 0.01, 0.02, 0.99, helps=False)
    assert served_temperature(report) == 1
    assert [row["metrics"] for row in card_rows(report)] == [{"ECE": 0.01}, {"argmax_agreement": 0.99}]
    card = Path(shutil.copy(CARD, tmp_path))
    assert update_card(card, 1.0, card_rows(report)).serving.temperature == 1
    assert "temperature = " not in card.read_text()


@pytest.mark.parametrize("text", ["id = 1\n", CARD.read_text().replace('precision = "f32"\n', "")])
def test_a_card_that_cannot_be_written_into_is_left_alone(tmp_path: Path, text: str):
    card = tmp_path / "magnet.toml"
    card.write_text(text)
    with pytest.raises(BadCard):
        update_card(card, 0.5, card_rows(told_by_card()))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("magnet.toml", text)]
