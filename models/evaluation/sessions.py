"""Opens a card's served graph with onnxruntime, after checking it against the card."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from models.cards import Card
from models.errors import MissingExtra, WeightsUnavailable
from models.onnx_signature import read_signature
from models.serving import check_contract
from models.weights import weights_path


def open_session(card: Card, weights: Path | None = None, *, threads: int = 0) -> Any:
    """Return an onnxruntime session of a card's ONNX file.

    `weights` stands in for the card's own file; `threads` 0 is all cores. Raises BadCard where the graph is not the
    card's, WeightsUnavailable, MissingExtra without onnxruntime.
    """
    weights = weights or _weights(card)
    check_contract(card, read_signature(weights))
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise MissingExtra("running a network here needs onnxruntime: pip install onnxruntime") from error
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors: warnings of its optimiser mean nothing to a person
    usable = runtime.get_available_providers()
    wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in usable]
    try:
        return runtime.InferenceSession(str(weights), options, providers=wanted)
    except _errors() as error:
        raise WeightsUnavailable(f"{weights.name} cannot be run: {error}; export it again") from error


def _errors() -> tuple[type[Exception], ...]:
    """Return the errors onnxruntime can raise: they share no root but Exception."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))


def _weights(card: Card) -> Path:
    found = weights_path(card)
    if found is None:
        raise WeightsUnavailable(f"the weights of {card.id} are not here; run: cityzones models fetch {card.id}")
    return found
