"""The model repository: contract checked, written once and atomically, both overlays valid for Triton."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from models.cards import Card, card_of
from models.errors import BadCard, WeightsUnavailable
from models.onnx_signature import FLOAT, UINT8, GraphSignature, read_signature
from models.serving import build_repository, tensors_of
from tests.servers.tiny_model import tiny_card, write_tiny_model


def parsed(path: Path) -> model_config_pb2.ModelConfig:
    return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def card(tmp_path: Path) -> Card:
    card = tiny_card(morphology=True, precision="bf16")
    write_tiny_model(tmp_path / "cache" / card.weights.file, morphology=True)
    return card


def test_it_is_written_once(card: Card, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    assert build_repository(folder, [card], cache=tmp_path / "cache") == ["tiny"]
    first = contents(folder)
    assert build_repository(folder, [card], cache=tmp_path / "cache") == ["tiny"]
    assert contents(folder) == first
    assert sorted(first) == [
        "tiny/1/model.onnx",
        "tiny/1/model.py",
        "tiny/config.pbtxt",
        "tiny/configs/cpu.pbtxt",
        "tiny/configs/gpu.pbtxt",
    ]
    weights = tmp_path / "cache" / card.weights.file
    assert (folder / "tiny/1/model.onnx").samefile(weights)


def test_new_weights_replace_the_old(card: Card, tmp_path: Path) -> None:
    folder, weights = tmp_path / "repository", tmp_path / "cache" / card.weights.file
    build_repository(folder, [card], cache=tmp_path / "cache")
    before = (folder / "tiny/1/model.onnx").read_bytes()
    weights.unlink()
    write_tiny_model(weights, morphology=True, batch=1)
    build_repository(folder, [card], cache=tmp_path / "cache")
    assert (folder / "tiny/1/model.onnx").read_bytes() == weights.read_bytes() != before


def test_cards_without_weights_are_left_out(card: Card, tmp_path: Path) -> None:
    names = build_repository(tmp_path / "repository", [tiny_card("absent"), card], cache=tmp_path / "cache")
    assert names == ["tiny"]
    assert not (tmp_path / "repository" / "absent").exists()


def test_the_cpu_overlay_runs_openvino_one_request_at_a_time(card: Card, tmp_path: Path) -> None:
    build_repository(tmp_path / "repository", [card], cache=tmp_path / "cache", instances=2)
    config = parsed(tmp_path / "repository/tiny/config.pbtxt")
    assert (config.backend, config.max_batch_size, config.instance_group[0].count) == ("python", 0, 2)
    assert [(told.name, list(told.dims)) for told in config.input] == [
        ("spectral", [1, 2, 50, 50]),
        ("morphology", [1, 6, 50, 50]),
    ]
    assert (config.output[0].name, list(config.output[0].dims)) == ("probabilities", [1, 9, 4, 4])
    assert config.output[0].data_type == model_config_pb2.TYPE_UINT8
    assert config.parameters["precision"].string_value == "bf16"
    assert not config.HasField("dynamic_batching")


def test_the_gpu_overlay_batches_graphs_with_a_symbolic_batch(card: Card, tmp_path: Path) -> None:
    build_repository(tmp_path / "repository", [card], cache=tmp_path / "cache", accelerator="gpu")
    folder = tmp_path / "repository/tiny"
    assert (folder / "config.pbtxt").read_bytes() == (folder / "configs/gpu.pbtxt").read_bytes()
    config = parsed(folder / "config.pbtxt")
    assert (config.platform, config.max_batch_size) == ("onnxruntime_onnx", 16)
    assert config.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    assert list(config.input[0].dims) == [2, 50, 50]
    assert config.HasField("dynamic_batching")
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator[0]
    assert (accelerator.name, accelerator.parameters["precision_mode"]) == ("tensorrt", "FP32")
    assert config.parameters["precision"].string_value == "f32"
    assert [warmup.batch_size for warmup in config.model_warmup] == [1, 16]


def test_a_graph_of_fixed_batch_is_served_unbatched(card: Card, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "cache" / card.weights.file, morphology=True, batch=1)
    build_repository(tmp_path / "repository", [card], cache=tmp_path / "cache")
    config = parsed(tmp_path / "repository/tiny/configs/gpu.pbtxt")
    assert (config.max_batch_size, list(config.input[0].dims)) == (0, [1, 2, 50, 50])
    assert not config.HasField("dynamic_batching")


def test_a_graph_that_breaks_the_contract_is_refused(tmp_path: Path) -> None:
    card = tiny_card(morphology=True)
    write_tiny_model(tmp_path / card.weights.file, morphology=False)
    with pytest.raises(BadCard, match="takes \\['spectral'\\]"):
        build_repository(tmp_path / "repository", [card], cache=tmp_path)
    wide = tiny_card().model_copy(update={"geometry": card.geometry.model_copy(update={"halo": 6})})
    with pytest.raises(BadCard, match="tensor 'spectral'"):
        build_repository(tmp_path / "repository", [wide], cache=tmp_path)
    assert not (tmp_path / "repository").exists()


def test_the_contract_follows_the_card() -> None:
    inputs, output = tensors_of(tiny_card())
    assert [(told.name, told.element, told.shape) for told in inputs] == [("spectral", FLOAT, (1, 2, 50, 50))]
    assert (output.element, output.shape) == (UINT8, (1, 9, 4, 4))


def test_extras_of_a_card_are_served_and_demanded(tmp_path: Path) -> None:
    told = card_of("magnet")
    build_repository(tmp_path / "repository", [told])
    for overlay in ("cpu", "gpu"):
        config = parsed(tmp_path / f"repository/magnet/configs/{overlay}.pbtxt")
        assert [(output.name, list(output.dims)) for output in config.output] == [
            ("probabilities", [1, 17, 240, 240]),
            ("morphology_weight", [1, 240, 240]),
        ]
        assert config.output[1].data_type == model_config_pb2.TYPE_UINT8
    tiny = tiny_card()
    write_tiny_model(tmp_path / tiny.weights.file)
    greedy = tiny.model_copy(update={"serving": tiny.serving.model_copy(update={"extras": ("morphology_weight",)})})
    with pytest.raises(BadCard, match="tensor 'morphology_weight' is None"):
        build_repository(tmp_path / "other", [greedy], cache=tmp_path)


def test_a_signature_is_read_without_the_onnx_package(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.onnx", morphology=True)
    graph = read_signature(path)
    assert graph.inputs["spectral"].shape == (None, 2, 50, 50)
    assert graph.inputs["morphology"].element == FLOAT
    assert graph.outputs["probabilities"].element == UINT8
    code = "import sys, models.serving; assert not {'onnx', 'torch', 'h5py'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(cut=st.integers(0, 700), noise=st.binary(max_size=40))
def test_damaged_files_raise_one_error(tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    data = write_tiny_model(folder / "tiny.onnx").read_bytes()
    (folder / "bad.onnx").write_bytes(data[:cut] + noise + data[cut + 7 :])
    found = signature_or_refusal(folder / "bad.onnx")
    if isinstance(found, WeightsUnavailable):
        assert found.detail.startswith("bad.onnx cannot be read")
        assert "fetch or export the weights again" in found.detail
    else:
        tensors = {**found.inputs, **found.outputs}
        assert all(tensor.name == name for name, tensor in tensors.items())
        assert all(isinstance(side, int | None) for tensor in tensors.values() for side in tensor.shape)


def signature_or_refusal(path: Path) -> GraphSignature | WeightsUnavailable:
    try:
        return read_signature(path)
    except WeightsUnavailable as refusal:
        return refusal


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 30, b"plain text, no graph"])
def test_files_that_are_no_model_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(data)
    with pytest.raises(WeightsUnavailable):
        read_signature(tmp_path / "bad.onnx")
