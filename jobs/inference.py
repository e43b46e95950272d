"""Asks Triton for probabilities of one tile, with timeouts and a bounded retry, from service and worker alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from opentelemetry.trace import SpanKind
from tritonclient.utils import InferenceServerException

from jobs.errors import InferenceUnavailable
from jobs.inference_connections import Connections, SharedMemory, passes
from jobs.metrics import INFERENCE_SECONDS, timed
from jobs.remembered import Remembered
from jobs.tracing import TRACER
from models.cards import Card
from models.errors import WeightsUnavailable

Reflectance = np.ndarray[Any, np.dtype[np.float32]]
Probabilities = np.ndarray[Any, np.dtype[np.uint8]]

_ATTEMPTS: Final = 6
_ABSENT: Final = "is not found"
_SERVED_SECONDS: Final = 3.0
_CARDS: Final = 100
_LOOKS: Final = 5
_BETWEEN_LOOKS: Final = 1.5


class TritonModels:
    """A client of one Triton server. Safe to share between threads: a request has a channel of its own while it runs.

    Make it after a fork, never before. `shared_memory` says how tiles travel: through memory shared with the server
    ("on"), over gRPC ("off"), or through memory where the address is this host's own ("auto").
    """

    def __init__(self, url: str, *, timeout: float, shared_memory: SharedMemory = "auto") -> None:
        self._timeout = timeout
        self._connections = Connections(url, shared_memory)
        self._served: Remembered[str, bool] = Remembered(seconds=_SERVED_SECONDS, most=_CARDS)

    def predict(self, card: Card, spectral: Reflectance, morphology: Reflectance | None = None) -> Probabilities:
        """Return the class probabilities of one tile, (class, node, node) as 255 p.

        `spectral` is reflectance (band, y, x) and `morphology` (channel, y, x), both `tile + 2 * halo` pixels a side.
        Raises InferenceUnavailable once the retries are used up, WeightsUnavailable for a model the server does not
        have, ValueError for arrays of another shape.
        """
        return self.predict_with_extras(card, spectral, morphology, ())[0]

    def predict_with_extras(
        self, card: Card, spectral: Reflectance, morphology: Reflectance | None, extras: tuple[str, ...]
    ) -> tuple[Probabilities, dict[str, Probabilities]]:
        """Return what `predict` does, and by name those of the card's `serving.extras` asked for, (node, node)."""
        inputs = {"spectral": _batch("spectral", spectral, len(card.input.bands), card)}
        if card.input.morphology:
            if morphology is None:
                msg = f"{card.id} needs the morphology input; give zeros where nothing is known"
                raise ValueError(msg)
            inputs["morphology"] = _batch("morphology", morphology, None, card)
        nodes = card.geometry.tile // card.geometry.step
        outputs: dict[str, tuple[int, ...]] = {"probabilities": (len(card.classes), nodes, nodes)}
        outputs |= dict.fromkeys(extras, (nodes, nodes))
        answers = self._infer(card, inputs, outputs)
        return answers.pop("probabilities"), answers

    def check_served(self, card: Card) -> None:
        """Raise WeightsUnavailable where the server answers and does not have the card's model at all.

        A server that has just started loads its models one by one: a model that is missing is asked for again for
        some seconds. One that was there a moment ago is not asked for.
        """
        if self._served.get(card.serving.model):
            return
        for left in reversed(range(_LOOKS)):
            if not self._lacks(card.serving.model):
                self._served.put(card.serving.model, True)  # noqa: FBT003 - that is what is remembered
                return
            time.sleep(_BETWEEN_LOOKS if left else 0)
        raise _absent(card)

    def _lacks(self, model: str) -> bool:
        """Whether the server answers that it has no such model; no answer at all says nothing of it."""
        try:
            with self._connections.borrow() as connection:
                connection.client.get_model_metadata(model, client_timeout=2.0)
        except InferenceServerException as error:
            return _ABSENT in str(error)
        return False

    def ready(self, model: str) -> bool:
        """Return whether the server answers and says the model is ready."""
        try:
            with self._connections.borrow() as connection:
                return bool(connection.client.is_model_ready(model, client_timeout=2.0))
        except InferenceServerException:
            return False

    def close(self) -> None:
        """Give channels and shared memory back; the end of the process does the same."""
        self._connections.close()

    def _infer(
        self, card: Card, inputs: dict[str, Reflectance], outputs: dict[str, tuple[int, ...]]
    ) -> dict[str, Probabilities]:
        for attempt in range(_ATTEMPTS):
            try:
                with asking(card.serving.model, attempt), self._connections.borrow() as connection:
                    return connection.infer(card.serving.model, inputs, outputs, self._timeout)
            except InferenceServerException as error:
                absent = _ABSENT in str(error)
                if absent and attempt == _ATTEMPTS - 1:
                    raise _absent(card) from error
                if not (absent or passes(error)) or attempt == _ATTEMPTS - 1:
                    msg = f"the model server did not map a tile with {card.id!r}; ask the operator to look at it"
                    raise InferenceUnavailable(msg) from error
                time.sleep(min(0.25 * 2**attempt, 4.0))
        raise AssertionError


@contextmanager
def asking(model: str, attempt: int) -> Iterator[None]:
    """Measure one request, and trace it."""
    told: dict[str, str | int] = {"cityzones.model": model, "cityzones.attempt": attempt + 1}
    with (
        TRACER.start_as_current_span("infer", kind=SpanKind.CLIENT, attributes=told),
        timed(INFERENCE_SECONDS, model),
    ):
        yield


def _batch(name: str, values: Reflectance, channels: int | None, card: Card) -> Reflectance:
    side = card.geometry.tile + 2 * card.geometry.halo
    expected = (channels or values.shape[0], side, side)
    if values.shape != expected:
        msg = f"{name} of {card.id} is {expected}, not {values.shape}"
        raise ValueError(msg)
    return np.asarray(values[None], np.float32)


def _absent(card: Card) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"the model {card.id!r} is not served here; its operator can fetch it (cityzones models fetch {card.id}) "
        "and start the model server again"
    )
