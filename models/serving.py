"""Builds Triton's model repository from the cards whose weights are at hand: one repository, two overlays.

Every served network keeps one contract, with S = tile + 2 * halo and N = tile / step:

- input `spectral`, FP32 (1, band, S, S), reflectance 0-1;
- input `morphology`, FP32 (1, 6, S, S), where the card says so;
- output `probabilities`, UINT8 (1, class, N, N), round(255 p), made inside the graph: the wire carries a quarter;
- the outputs the card names as `serving.extras`, UINT8 (1, N, N), computed with the rest and sent to who asks for them.

`cpu` runs the graph with OpenVINO in the python backend, one request at a time (batching slows CPUs down: 0.94x at 4,
0.63x at 8). `gpu` runs it with ONNX Runtime and TensorRT in the official server image and batches requests, which
needs a symbolic batch dimension in the graph; a client sends the same (1, ...) tensors to either. Both lie in the
repository: the default in config.pbtxt, each by name in configs/, for `tritonserver --model-config-name=gpu`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

from models.cards import Card
from models.errors import BadCard
from models.onnx_signature import FLOAT, UINT8, GraphSignature, TensorSignature, read_signature
from models.weights import weights_path

Accelerator = Literal["cpu", "gpu"]

MORPHOLOGY_CHANNELS = 6
GPU_BATCH = 16
ANY = -1  # a dimension that is not told
GPU_QUEUE_MICROSECONDS = 2000
MODEL_FILE = Path(__file__).parent / "repository" / "model.py"
_TYPES = {FLOAT: "TYPE_FP32", UINT8: "TYPE_UINT8"}


def build_repository(
    destination: Path,
    cards: Iterable[Card],
    *,
    accelerator: Accelerator = "cpu",
    cache: Path | None = None,
    instances: int = 1,
) -> list[str]:
    """Write a model repository for every graph whose weights are bundled or cached, and return the models' names.

    `cache` is where fetched weights lie (default: see models.weights). Files are replaced atomically and only where
    they differ, so it may run beside a server, and twice. Cards without weights at hand are left out; raises
    BadCard where a graph breaks the contract above, WeightsUnavailable where it cannot be read.
    """
    served = []
    for card in chain.from_iterable(_graphs(card) for card in cards):
        weights = weights_path(card, cache=cache)
        if weights is None:
            continue
        folder = destination / card.serving.model
        graph = check_contract(card, read_signature(weights))
        overlays = {"cpu": cpu_config(card, instances=instances), "gpu": gpu_config(card, graph)}
        for name, text in overlays.items():
            _write(folder / "configs" / f"{name}.pbtxt", text.encode())
        place_model(folder, weights, config=overlays[accelerator])
        served.append(card.serving.model)
    return served


def place_model(folder: Path, weights: Path, *, config: str) -> None:
    """Place a graph, what runs it, and its configuration into a model's folder of a repository; the last comes last."""
    _link(weights, folder / "1" / "model.onnx")
    _write(folder / "1" / "model.py", MODEL_FILE.read_bytes())
    _write(folder / "config.pbtxt", config.encode())


def _graphs(card: Card) -> list[Card]:
    """Return a card for each graph its network is served as."""
    return [card] if card.scene_graph is None else [card, card.for_scenes()]


def tensors_of(card: Card) -> tuple[list[TensorSignature], TensorSignature]:
    """Return the inputs and the output that the contract asks of a card's graph, for a batch of one."""
    geometry = card.geometry
    side, nodes = geometry.tile + 2 * geometry.halo, geometry.tile // geometry.step
    inputs = [TensorSignature("spectral", FLOAT, (1, len(card.input.bands), side, side))]
    if card.input.morphology:
        inputs.append(TensorSignature("morphology", FLOAT, (1, MORPHOLOGY_CHANNELS, side, side)))
    return inputs, TensorSignature("probabilities", UINT8, (1, len(card.classes), nodes, nodes))


def extras_of(card: Card) -> list[TensorSignature]:
    """Return the further outputs that the contract asks of a card's graph, for a batch of one."""
    nodes = card.geometry.tile // card.geometry.step
    return [TensorSignature(name, UINT8, (1, nodes, nodes)) for name in card.serving.extras]


def check_contract(card: Card, graph: GraphSignature) -> GraphSignature:
    """Return the graph if it keeps the contract of its card; raises BadCard naming the tensor that does not."""
    inputs, output = tensors_of(card)
    check_tensors(card.weights.file, graph, inputs, (output, *extras_of(card)))
    return graph


def check_tensors(
    name: str, graph: GraphSignature, inputs: Sequence[TensorSignature], outputs: Iterable[TensorSignature]
) -> None:
    """Raise BadCard, naming the tensor, where a graph does not take and give what is asked of it."""
    if set(graph.inputs) != {told.name for told in inputs}:
        msg = f"{name} takes {sorted(graph.inputs)}, not {[told.name for told in inputs]} as its card says"
        raise BadCard(msg)
    for told, found in [
        *((told, graph.inputs[told.name]) for told in inputs),
        *((told, graph.outputs.get(told.name)) for told in outputs),
    ]:
        if found is None or found.element != told.element or not _fits(found.shape, told.shape):
            msg = f"{name}: tensor {told.name!r} is {found}, its card asks for {told}; export it again"
            raise BadCard(msg)


def _fits(found: tuple[int | None, ...], told: tuple[int | None, ...]) -> bool:
    """Say whether a graph's shape allows the one told; exporters leave computed output sizes symbolic."""
    return len(found) == len(told) and all(f in {None, t} or t == ANY for f, t in zip(found, told, strict=True))


def cpu_config(card: Card, *, instances: int = 1) -> str:
    """Return config.pbtxt for the python backend (OpenVINO); the batch of one is part of the dimensions."""
    return _config(
        card,
        'backend: "python"\nmax_batch_size: 0\n',
        batched=False,
        tail=f"instance_group [ {{ count: {instances} kind: KIND_CPU }} ]\n"
        + _parameter("precision", card.serving.precision)
        # Empty: CITYZONES_TRITON_THREADS, or the cores shared between the instances.
        + _parameter("threads", ""),
    )


def gpu_config(card: Card, graph: GraphSignature) -> str:
    """Return config.pbtxt for the official server image: ONNX Runtime with TensorRT, requests batched.

    A graph with a fixed batch of one is served unbatched. TensorRT here knows f32 and f16 only: a card of bf16 runs
    in f32, which is never the coarser of the two, and the `precision` parameter says what runs.
    """
    batched = all(tensor.shape[0] is None for tensor in graph.inputs.values())
    precision = "f16" if card.serving.precision == "f16" else "f32"
    batching = f"dynamic_batching {{ max_queue_delay_microseconds: {GPU_QUEUE_MICROSECONDS} }}\n" if batched else ""
    return _config(
        card,
        f'platform: "onnxruntime_onnx"\nmax_batch_size: {GPU_BATCH if batched else 0}\n',
        batched=batched,
        tail="instance_group [ { count: 1 kind: KIND_GPU } ]\n"
        + batching
        + _tensorrt("FP16" if precision == "f16" else "FP32")
        + _warmup(card, batched=batched)
        + _parameter("precision", precision),
    )


def _config(card: Card, head: str, *, batched: bool, tail: str) -> str:
    inputs, output = tensors_of(card)
    told = "".join(f"input [ {tensor_text(tensor, batched=batched)} ]\n" for tensor in inputs)
    answers = "".join(f"output [ {tensor_text(tensor, batched=batched)} ]\n" for tensor in (output, *extras_of(card)))
    file = "model.onnx" if "onnx" in head else "model.py"
    return (
        "# Generated from the model's card; changes here are lost.\n"
        f'name: "{card.serving.model}"\n{head}default_model_filename: "{file}"\n'
        f"{told}{answers}{tail}"
    )


def tensor_text(tensor: TensorSignature, *, batched: bool = False) -> str:
    """Return a tensor as config.pbtxt tells it."""
    dims = tensor.shape[1:] if batched else tensor.shape
    return f'{{ name: "{tensor.name}" data_type: {_TYPES[tensor.element]} dims: {list(dims)} }}'


def _parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n'


def _tensorrt(precision: str) -> str:
    # Engines take minutes to build: they are kept beside the server, and rebuilt only for another GPU or graph.
    options = {
        "precision_mode": precision,
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": "/var/cache/cityzones/tensorrt",
    }
    told = " ".join(f'parameters {{ key: "{key}" value: "{value}" }}' for key, value in options.items())
    return (
        f'optimization {{ execution_accelerators {{ gpu_execution_accelerator [ {{ name: "tensorrt" {told} }} ] }} }}\n'
    )


def _warmup(card: Card, *, batched: bool) -> str:
    inputs, _ = tensors_of(card)
    told = " ".join(
        f'inputs {{ key: "{tensor.name}" value: {{ data_type: {_TYPES[tensor.element]}'
        f" dims: {list(tensor.shape[1:] if batched else tensor.shape)} zero_data: true }} }}"
        for tensor in inputs
    )
    sizes = (1, GPU_BATCH) if batched else (1,)
    return "".join(f'model_warmup [ {{ name: "zeros-{size}" batch_size: {size} {told} }} ]\n' for size in sizes)


def _write(path: Path, data: bytes) -> None:
    if path.is_file() and path.read_bytes() == data:
        return
    scratch = _scratch(path)
    scratch.write_bytes(data)
    scratch.replace(path)


def _link(source: Path, path: Path) -> None:
    """Place the weights without a second copy where the file system allows it."""
    if path.is_file() and path.samefile(source):
        return
    scratch = _scratch(path)
    try:
        os.link(source, scratch)
    except OSError:
        _write(path, source.read_bytes())
    else:
        scratch.replace(path)


def _scratch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")
