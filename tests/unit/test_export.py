"""The ONNX file gives what the network gives, and the bundled weights are small, equal and good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from models.accuracy.calibration import tempered  # noqa: E402 - after the check for torch
from models.cards import card_of  # noqa: E402
from models.data.procedural import generate  # noqa: E402
from models.errors import WeightsUnavailable  # noqa: E402
from models.evaluation.procedural import inner, map_city  # noqa: E402
from models.export.graph import export_magnet, export_network, load_magnet  # noqa: E402
from models.networks.variants import build  # noqa: E402
from models.training.runs import TrainingConfig, train  # noqa: E402
from models.training.tiles import TEST_SEEDS, TRAIN_SEEDS, VALIDATION_SEEDS  # noqa: E402
from models.training.weights import save_weights  # noqa: E402
from models.weights import BUNDLED_DIR  # noqa: E402

BUNDLED = BUNDLED_DIR / "magnet.safetensors"


def test_onnx_equals_torch(tmp_path: Path):
    city = generate(4, (100, 100))
    target = export_magnet(BUNDLED, tmp_path, tile=40)
    pair = [x[None, :, 10:82, 10:82].copy() for x in (city.reflectance, city.morphology())]
    session = ort.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    found, weight = session.run(None, dict(zip(("spectral", "morphology"), pair, strict=True)))
    with torch.no_grad():
        expected, trust = (x.numpy() for x in load_magnet(BUNDLED).pixels(*map(torch.from_numpy, pair)))
    assert (weight.dtype, weight.shape) == (np.uint8, (1, 40, 40))
    assert np.abs(weight - 255 * trust[:, 0]).max() <= 0.51
    assert weight.max() > 60
    assert found.dtype == np.uint8
    assert found.shape == (1, 17, 40, 40)
    assert np.abs(found - 255 * expected).max() <= 0.51
    assert (tmp_path / "magnet.safetensors").read_bytes() == BUNDLED.read_bytes()


def test_a_temperature_divides_the_logits_and_leaves_the_network_alone(tmp_path: Path):
    city = generate(4, (100, 100))
    network = load_magnet(BUNDLED)
    pair = [x[None, :, 10:50, 10:50].copy() for x in (city.reflectance, city.morphology())]
    target = export_network(network, tmp_path / "warm.onnx", tile=8, temperature=2.0)
    found = ort.InferenceSession(str(target)).run(
        ["probabilities"], dict(zip(("spectral", "morphology"), pair, strict=True))
    )[0]
    with torch.no_grad():
        cool = network.pixels(*map(torch.from_numpy, pair))[0].numpy()
    warm = np.moveaxis(tempered(np.moveaxis(cool, 1, -1), 2.0), -1, 1)
    assert np.abs(found - 255 * warm).max() <= 0.6
    assert np.abs(warm - cool).max() > 0.02


def test_without_buildings_there_is_no_weight(tmp_path: Path):
    target = export_network(load_magnet(BUNDLED), tmp_path / "plain.onnx", tile=8, morphology=False)
    session = ort.InferenceSession(str(target))
    assert [o.name for o in session.get_outputs()] == ["probabilities"]
    assert [i.name for i in session.get_inputs()] == ["spectral"]


def test_the_bundled_graph_is_the_checkpoint():
    onnx = pytest.importorskip("onnx")
    model = onnx.load(BUNDLED_DIR / "magnet.onnx")
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}
    state = load_magnet(BUNDLED).state_dict()
    for part in ("spectral.late.0.weight", "form.early.2.weight", "classify.weight"):
        np.testing.assert_array_equal(weights[f"network.{part}"], state[part].numpy())
    assert [i.name for i in model.graph.input] == ["spectral", "morphology"]
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 10, 272, 272]
    assert [o.name for o in model.graph.output] == ["probabilities", "morphology_weight"]
    assert [d.dim_value for d in model.graph.output[1].type.tensor_type.shape.dim] == [1, 240, 240]
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [1, 17, 240, 240]
    assert sum(p.stat().st_size for p in BUNDLED_DIR.glob("magnet.*")) < 3_000_000


def test_the_bundled_graph_is_as_warm_as_its_card_says():
    city = generate(4, (300, 300))
    pair = [x[None, :, 10:282, 10:282].copy() for x in (city.reflectance, city.morphology())]
    session = ort.InferenceSession(str(BUNDLED_DIR / "magnet.onnx"))
    found, weight = session.run(None, dict(zip(("spectral", "morphology"), pair, strict=True)))
    with torch.no_grad():
        cool, trust = (x.numpy() for x in load_magnet(BUNDLED).pixels(*map(torch.from_numpy, pair)))
    serving = card_of("magnet").serving
    warm = np.moveaxis(tempered(np.moveaxis(cool, 1, -1), serving.temperature), -1, 1)
    assert np.abs(found - 255 * warm).max() <= 0.6
    assert np.abs(weight - 255 * trust[:, 0]).max() <= 0.6
    assert serving.extras == ("morphology_weight",)


def test_an_export_leaves_links_to_the_old_file_alone(tmp_path: Path):
    target = export_network(load_magnet(BUNDLED), tmp_path / "magnet.onnx", tile=8)
    before = target.read_bytes()
    (tmp_path / "link.onnx").hardlink_to(target)
    export_network(load_magnet(BUNDLED), target, tile=8, temperature=2.0)
    assert (tmp_path / "link.onnx").read_bytes() == before != target.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.onnx", "magnet.onnx"]


def test_the_card_tells_what_is_bundled():
    card = card_of("magnet")
    assert (BUNDLED_DIR / card.weights.file).exists()
    assert card.geometry.tile + 2 * card.geometry.halo == 272
    assert "Do not trust it on a real place" in " ".join(card.limits_told)
    assert {score.method for score in card.accuracy} >= {"MAGNET (reconstruction)", "nearest centroid of window means"}


def test_the_bundled_weights_map_a_city_they_never_saw():
    city = generate(301, (300, 300))
    network = load_magnet(BUNDLED)
    codes = map_city(network, city.reflectance, city.morphology()).argmax(axis=0) + 1
    assert (codes == inner(city.truth)).mean() > 0.8


def test_no_seed_is_in_two_sets():
    sets = [set(seeds) for seeds in (TRAIN_SEEDS, VALIDATION_SEEDS, TEST_SEEDS)]
    assert sum(map(len, sets)) == len(set.union(*sets))
    assert 7 in sets[2]


def test_a_damaged_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "magnet.safetensors"
    path.write_bytes(BUNDLED.read_bytes()[:1000])
    with pytest.raises(WeightsUnavailable):
        load_magnet(path)
    with pytest.raises(WeightsUnavailable):
        load_magnet(tmp_path / "missing.safetensors")
    save_weights(build("spectral-only"), path, "none")
    with pytest.raises(WeightsUnavailable, match="variant magnet"):
        load_magnet(path)


def test_training_twice_gives_the_same_weights(tmp_path: Path):
    reports = []
    for name in ("one", "two"):
        config = TrainingConfig(
            tmp_path / name, steps=4, tiles=4, nodes=2, cities=2, side=100, threads=1, test_side=(80, 80), tests=1
        )
        reports.append(train(config))
    one, two = ((tmp_path / name / "magnet.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    assert reports[0]["accuracy"] == reports[1]["accuracy"]
    assert len(reports[0]["domain"]["median"]) == 10
