"""Asks Triton for probabilities of one tile, with timeouts and a bounded retry, from service and worker alike."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from jobs.errors import InferenceUnavailable
from models.cards import Card
from models.errors import WeightsUnavailable

Reflectance = np.ndarray[Any, np.dtype[np.float32]]
Probabilities = np.ndarray[Any, np.dtype[np.uint8]]

_ATTEMPTS: Final = 6
# What goes away: the server restarts or is not up yet, a model is being loaded again, a call took too long.
_PASSING: Final = (
    "UNAVAILABLE",
    "not healthy",
    "not ready",
    "no available versions",
    "DEADLINE_EXCEEDED",
    "Connection",
)
_ABSENT: Final = "is not found"


class TritonModels:
    """A client of one Triton server. Safe to share between threads: every thread gets a channel of its own.

    Make it after a fork, never before.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._channels = threading.local()

    def predict(self, card: Card, spectral: Reflectance, morphology: Reflectance | None = None) -> Probabilities:
        """Return the class probabilities of one tile, (class, node, node) as 255 p.

        `spectral` is reflectance (band, y, x) and `morphology` (channel, y, x), both `tile + 2 * halo` pixels a side.
        Raises InferenceUnavailable once the retries are used up, WeightsUnavailable for a model the server does not
        have, ValueError for arrays of another shape.
        """
        inputs = [_tensor("spectral", spectral, len(card.input.bands), card)]
        if card.input.morphology:
            if morphology is None:
                msg = f"{card.id} needs the morphology input; give zeros where nothing is known"
                raise ValueError(msg)
            inputs.append(_tensor("morphology", morphology, None, card))
        nodes = card.geometry.tile // card.geometry.step
        answer = self._infer(card, inputs).as_numpy("probabilities")
        return np.asarray(answer, np.uint8).reshape(len(card.classes), nodes, nodes)

    def check_served(self, card: Card) -> None:
        """Raise WeightsUnavailable where the server answers and does not have the card's model at all."""
        try:
            self._channel().get_model_metadata(card.serving.model, client_timeout=2.0)
        except InferenceServerException as error:
            if _ABSENT in str(error):
                raise _absent(card) from error

    def ready(self, model: str) -> bool:
        """Return whether the server answers and says the model is ready."""
        try:
            return bool(self._channel().is_model_ready(model, client_timeout=2.0))
        except InferenceServerException:
            return False

    def _infer(self, card: Card, inputs: list[Any]) -> Any:
        for attempt in range(_ATTEMPTS):
            try:
                return self._channel().infer(card.serving.model, inputs, client_timeout=self._timeout)
            except InferenceServerException as error:
                if _ABSENT in str(error):
                    raise _absent(card) from error
                if not _passes(error) or attempt == _ATTEMPTS - 1:
                    msg = f"the model server did not map a tile with {card.id!r}; ask the operator to look at it"
                    raise InferenceUnavailable(msg) from error
                time.sleep(min(0.25 * 2**attempt, 4.0))
        raise AssertionError

    def _channel(self) -> triton.InferenceServerClient:
        if not hasattr(self._channels, "client"):
            self._channels.client = triton.InferenceServerClient(self._url)
        return self._channels.client


def _tensor(name: str, values: Reflectance, channels: int | None, card: Card) -> Any:
    side = card.geometry.tile + 2 * card.geometry.halo
    expected = (channels or values.shape[0], side, side)
    if values.shape != expected:
        msg = f"{name} of {card.id} is {expected}, not {values.shape}"
        raise ValueError(msg)
    tensor = triton.InferInput(name, [1, *values.shape], "FP32")
    tensor.set_data_from_numpy(np.ascontiguousarray(values[None], np.float32))
    return tensor


def _passes(error: InferenceServerException) -> bool:
    return any(word in str(error) for word in _PASSING)


def _absent(card: Card) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"the model {card.id!r} is not served here; its operator can fetch it (cityzones models fetch {card.id}) "
        "and start the model server again"
    )
