"""Examines the model server by a real inference of every model, and the precision it runs with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from jobs.inference import TritonModels
from jobs.probes import models_ready
from jobs.settings import Settings
from models.cards import Card, cards
from models.channels import CHANNELS
from models.errors import CityzonesError
from service.doctor.findings import Finding, Notes

_NOTES: Final = Notes("inference")
_SECONDS: Final = 30.0


def examine_inference(settings: Settings) -> Iterator[Finding]:
    """Yield what came of one tile for each model."""
    ready = models_ready(settings)
    if ready is None:
        yield _NOTES.fault(
            "model server", f"{settings.triton_url} does not answer, or is not ready",
            "start it, and check CITYZONES_TRITON_URL (host:port of its gRPC) and the network",
        )  # fmt: skip
        return
    yield _NOTES.ok("model server", f"{settings.triton_url} is ready")
    models = TritonModels(settings.triton_url, timeout=min(settings.triton_timeout, _SECONDS), shared_memory="off")
    try:
        for card in cards().values():
            if ready[card.serving.model]:
                yield _inference(card, models)
                yield from _precision(card, settings)
            else:
                yield _absent(card, settings)
    finally:
        models.close()


def _absent(card: Card, settings: Settings) -> Finding:
    said = "is not served"
    if card.id == settings.default_model or card.weights.bundled:
        return _NOTES.fault(
            card.id, said, f"load {card.serving.model!r} in the model server; its log says why it could not be loaded"
        )
    return _NOTES.warning(card.id, said, f"where it is wanted: cityzones models fetch {card.id}, then start it again")


def _inference(card: Card, models: TritonModels) -> Finding:
    side = card.geometry.tile + 2 * card.geometry.halo
    spectral = np.full((len(card.input.bands), side, side), 0.1, np.float32)
    morphology = np.zeros((len(CHANNELS), side, side), np.float32) if card.input.morphology else None
    start = time.perf_counter()
    try:
        found = models.predict(card, spectral, morphology)
    except (CityzonesError, ValueError) as error:
        return _NOTES.fault(
            card.id, f"is said to be ready and does not answer: {error}",
            f"load {card.serving.model!r} again: a model that died keeps its ready state",
        )  # fmt: skip
    milliseconds = (time.perf_counter() - start) * 1000
    if not found.any():
        return _NOTES.fault(card.id, "answers nothing but zeros", "put the weights that its card names in place again")
    return _NOTES.ok(card.id, f"a tile of {side} x {side} pixels in {milliseconds:.0f} ms")


def _precision(card: Card, settings: Settings) -> Iterator[Finding]:
    """Yield what differs from the card; f32 is never the coarser."""
    client = triton.InferenceServerClient(settings.triton_url)
    try:
        told = client.get_model_config(card.serving.model, as_json=True, client_timeout=_SECONDS)
    except InferenceServerException as error:
        yield _NOTES.warning(f"{card.id}: precision", f"unknown: {error.message()}", "look into the server's log")
        return
    finally:
        client.close()
    runs = told["config"].get("parameters", {}).get("precision", {}).get("string_value", "unknown")
    if runs not in {card.serving.precision, "f32"}:
        yield _NOTES.fault(
            f"{card.id}: precision", f"runs in {runs}, its card says {card.serving.precision}",
            "build the model repository again with this version",
        )  # fmt: skip
    else:
        yield _NOTES.ok(f"{card.id}: precision", runs)
