"""Asks a model server for a real inference of every model: the only sign of life that a dead model cannot give."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from models.cards import cards
from models.promptable import FILES
from models.served import zeros_of

_ABSENT: Final = "is not found"


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """How one model answered: in how many seconds, or why not; a model the server does not have is `absent`."""

    model: str
    seconds: float
    failure: str | None = None
    absent: bool = False

    @property
    def answered(self) -> bool:
        """Whether an inference came back."""
        return self.failure is None

    def demanded(self) -> ModelAnswer:
        """Return the answer of a model that the server must have: to be absent is to fail."""
        return replace(self, absent=False)


def probe(url: str, models: Iterable[str], *, timeout: float) -> list[ModelAnswer]:
    """Infer once with each model named at a server's gRPC `host:port`; no request takes longer than `timeout` seconds.

    The models are asked one after the other. Whatever goes wrong is in the answers; nothing raises.
    """
    client = triton.InferenceServerClient(url)
    try:
        return [_ask(client, model, timeout) for model in models]
    finally:
        client.close()


def known_models() -> list[str]:
    """Return the models that a server may have by the cards: those of every graph, and those that find masks."""
    served = [card.serving.model for card in cards().values()]
    scenes = [card.for_scenes().serving.model for card in cards().values() if card.scene_graph is not None]
    return sorted({*served, *scenes, *FILES})


def _ask(client: triton.InferenceServerClient, model: str, timeout: float) -> ModelAnswer:
    started = time.monotonic()
    try:
        config = client.get_model_config(model, as_json=True, client_timeout=timeout)["config"]
        inputs = []
        for zeros in zeros_of(config):
            inputs.append(triton.InferInput(zeros.name, list(zeros.shape), zeros.datatype))
            inputs[-1].set_data_from_numpy(np.zeros(zeros.shape, triton_to_np_dtype(zeros.datatype)))
        client.infer(model, inputs, client_timeout=timeout)
    except InferenceServerException as error:
        told = error.message() or str(error)
        return ModelAnswer(model, time.monotonic() - started, failure=told, absent=_ABSENT in told)
    return ModelAnswer(model, time.monotonic() - started)
