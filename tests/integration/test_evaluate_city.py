"""`cityzones models evaluate-city` with a network made for the occasion: nearest colour, as ONNX."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from models.cards import Card
from models.data.cities.ground import REFERENCE_SHIFT, CityGround, read_city
from models.errors import BadCard, MissingExtra, WeightsUnavailable
from models.evaluation.city_network import Manner, evaluate_card, open_network
from models.evaluation.city_tiles import network_probabilities
from service import cli_evaluate
from service.cli import app
from tests.city_folder import COLOURS, write_city

TILE, HALO = 120, 11
KEYS = {
    "overall_accuracy", "average_accuracy", "kappa", "oa_urban", "oa_built", "oa_weighted", "macro_f1_100", "f1",
    "cells",
}  # fmt: skip


def _card(**changes: Any) -> Card:
    told: dict[str, Any] = {
        "id": "nearest-colour",
        "version": "1",
        "product": "local-climate-zones",
        "title": "Nearest colour",
        "summary": "Means of cells to the nearest colour.",
        "licence": "Apache-2.0",
        "training_data": "none",
        "citation": "none",
        "input": {"bands": ("B02", "B03", "B04"), "resolution": 10.0, "reflectance": "TOA"},
        "geometry": {"window": 32, "step": 10, "tile": TILE, "halo": HALO},
        "serving": {"model": "nearest-colour"},
        "weights": {"file": "nearest.onnx", "bundled": True},
    }
    return Card.model_validate(told | changes)


def _write_network(path: Path, *, morphology: bool = False, step: int = 10) -> Path:
    """Write softmax(k (2 m.x - m.m)) of the means x of `step` pixels; with buildings, natural classes lose on roofs."""
    side, nodes = TILE + 2 * HALO, TILE // step
    weights, bias = np.zeros((17, 3)), np.full(17, -1000.0)
    for code, colour in COLOURS.items():
        mean = np.array(colour[::-1]) * 0.95  # blue first, as the card says
        weights[code - 1], bias[code - 1] = 2 * mean, -(mean @ mean)
    sharp = 2000.0
    inputs = [helper.make_tensor_value_info("spectral", TensorProto.FLOAT, ["n", 3, side, side])]
    if morphology:
        inputs.append(helper.make_tensor_value_info("morphology", TensorProto.FLOAT, ["n", 6, side, side]))
    output = helper.make_tensor_value_info("probabilities", TensorProto.UINT8, ["n", 17, nodes, nodes])
    constants = [
        helper.make_tensor("starts", TensorProto.INT64, [2], [HALO, HALO]),
        helper.make_tensor("ends", TensorProto.INT64, [2], [HALO + TILE, HALO + TILE]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("weights", TensorProto.FLOAT, [17, 3, 1, 1], (sharp * weights).astype(np.float32).ravel()),
        helper.make_tensor("bias", TensorProto.FLOAT, [17], np.clip(sharp * bias, -1e4, 0).astype(np.float32)),
        helper.make_tensor("levels", TensorProto.FLOAT, [], [255.0]),
    ]
    steps = [
        helper.make_node("Slice", ["spectral", "starts", "ends", "axes"], ["core"]),
        helper.make_node("AveragePool", ["core"], ["means"], kernel_shape=[step, step], strides=[step, step]),
        helper.make_node("Conv", ["means", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["shares"], axis=1),
        helper.make_node("Mul", ["shares", "levels"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["probabilities"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(steps, "nearest", inputs, [output], constants)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    onnx.checker.check_model(onnx.load(path))
    return path


def _silent(_: str) -> None:
    return


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_city(tmp_path_factory.mktemp("city"), full=False)


@pytest.fixture(scope="module")
def city(folder: Path) -> CityGround:
    return read_city(folder)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return _write_network(tmp_path / "nearest.onnx")


def test_the_command_ends_in_json(folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_evaluate, "card_of", lambda _: _card())
    monkeypatch.setattr("models.evaluation.sessions.weights_path", lambda _: weights)
    result = CliRunner().invoke(app, ["models", "evaluate-city", str(folder), "--card", "nearest-colour", "--as-given"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert set(found) > KEYS
    assert found["cells"] > 1500
    assert found["raw"]["overall_accuracy"] > 0.98
    assert found["f1"].keys() == {"2", "6", "8", "A", "D", "G"}
    assert found["seasons"] == ["spring", "summer"]
    assert found["reference_shift_m"] == [0, 0]


def test_every_cell_gets_its_own_place(city: CityGround, weights: Path) -> None:
    """Colours are exact to a cell: a shift by half of one would mix them."""
    found = evaluate_card(
        _card(), open_network(_card(), weights), city, Manner(smooth=False, register=False), tell=_silent
    )
    assert found["overall_accuracy"] > 0.98
    assert "raw" not in found


def test_turned_views_agree_and_finer_nodes_answer_for_their_cells(
    city: CityGround, tmp_path: Path, weights: Path
) -> None:
    plain = network_probabilities(_card(), open_network(_card(), weights), city, tell=_silent)
    turned = network_probabilities(_card(), open_network(_card(), weights), city, flips=True, tell=_silent)
    assert abs(plain - turned).max() < 0.01
    geometry = {"window": 32, "step": 5, "tile": TILE, "halo": HALO}
    fine = _card(geometry=geometry)
    session = open_network(fine, _write_network(tmp_path / "fine.onnx", step=5))
    finer = network_probabilities(fine, session, city, tell=_silent)
    rows, columns = city.cells.T
    assert (finer.argmax(0) == plain.argmax(0))[rows, columns].mean() > 0.97


def test_the_reference_is_moved_over_the_ground_it_describes(city: CityGround, weights: Path) -> None:
    apart = replace(city, reflectance=np.roll(city.reflectance, REFERENCE_SHIFT, axis=(2, 3)))
    session = open_network(_card(), weights)
    moved = evaluate_card(_card(), session, apart, Manner(smooth=False), tell=_silent)
    given = evaluate_card(_card(), session, apart, Manner(smooth=False, register=False), tell=_silent)
    assert moved["overall_accuracy"] > 0.98
    assert given["overall_accuracy"] < 0.9
    assert (moved["reference_shift_m"], given["reference_shift_m"]) == ([-50, -50], [0, 0])
    assert moved["cells"] == given["cells"] == city.known.sum()


def test_wide_windows_are_not_smoothed_unless_told() -> None:
    wide = _card(geometry={"window": 90, "step": 1, "tile": TILE, "halo": 45})
    assert not Manner().smooths(wide)
    assert Manner(smooth=True).smooths(wide)
    assert Manner().smooths(_card())
    assert not Manner(smooth=False).smooths(_card())


def test_buildings_are_handed_over(city: CityGround, tmp_path: Path) -> None:
    card = _card(input=_card().input.model_dump() | {"morphology": True})
    network = _write_network(tmp_path / "both.onnx", morphology=True)
    found = evaluate_card(card, open_network(card, network), city, Manner(register=False), tell=_silent)
    assert found["raw"]["overall_accuracy"] > 0.98


def test_a_card_must_fit_the_folder(weights: Path) -> None:
    ten = _card().input.model_dump() | {"bands": ("B02", "B08")}
    with pytest.raises(BadCard, match="B08"):
        open_network(_card(input=ten), weights)
    with pytest.raises(BadCard, match="divide"):
        open_network(_card(geometry={"window": 32, "step": 4, "tile": TILE, "halo": HALO}), weights)
    with pytest.raises(BadCard, match="land-cover"):
        open_network(_card(product="land-cover"), weights)
    with pytest.raises(BadCard, match="morphology"):
        open_network(_card(input=_card().input.model_dump() | {"morphology": True}), weights)


def test_weights_that_cannot_run_are_told(weights: Path, tmp_path: Path) -> None:
    broken = onnx.load(weights)
    broken.graph.node[1].op_type = "NoSuchThing"
    (tmp_path / "broken.onnx").write_bytes(broken.SerializeToString())
    with pytest.raises(WeightsUnavailable, match="cannot be run"):
        open_network(_card(), tmp_path / "broken.onnx")
    with pytest.raises(WeightsUnavailable, match="models fetch"):
        open_network(_card(weights={"file": "nowhere.onnx", "bundled": True}))


def test_without_onnxruntime_the_command_says_so(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def absent(name: str, package: str | None = None) -> Any:
        if name == "onnxruntime":
            raise ModuleNotFoundError(name=name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtra, match="pip install onnxruntime"):
        open_network(_card(), weights)


@pytest.mark.parametrize("card", ["no-such-model", "magnet"])
def test_the_command_refuses_before_any_work(folder: Path, card: str) -> None:
    result = CliRunner().invoke(app, ["models", "evaluate-city", str(folder), "--card", card])
    assert result.exit_code == 1
    assert not result.stdout
    assert ("no-such-model" if card == "no-such-model" else "B05") in result.stderr


def test_a_folder_without_a_city_is_refused(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_evaluate, "card_of", lambda _: _card())
    monkeypatch.setattr("models.evaluation.sessions.weights_path", lambda _: weights)
    result = CliRunner().invoke(app, ["models", "evaluate-city", str(tmp_path), "--card", "nearest-colour"])
    assert result.exit_code == 1
    assert "_lcz.tif" in result.stderr
