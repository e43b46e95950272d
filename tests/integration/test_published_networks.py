"""The published networks under Triton, for real: what the card promises is what a request gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton_grpc

from models.cards import card_of
from models.networks.sen2lcz import load_sen2lcz
from models.serving import build_repository
from models.weights import fetch
from service.stack.triton import EmbeddedTriton
from tests.unit.test_so2sat_resnet import patches_of


@pytest.mark.real_data
def test_sen2lcz_answers_as_its_published_weights(shared_data: Path, tmp_path: Path) -> None:
    card = card_of("sen2lcz-net-mf")
    fetch(card, cache=tmp_path / "cache", mirror=shared_data / "weights_so2sat")
    assert build_repository(tmp_path / "models", [card], cache=tmp_path / "cache") == [card.serving.model]
    side = card.geometry.tile + 2 * card.geometry.halo
    tile = np.random.default_rng(1).normal(0.15, 0.05, (1, 10, side, side)).clip(0.001).astype(np.float32)
    told = triton_grpc.InferInput("spectral", tile.shape, "FP32")
    told.set_data_from_numpy(tile)
    with EmbeddedTriton(tmp_path / "models", supervise_every=0) as server:
        client = triton_grpc.InferenceServerClient(server.grpc_url)
        answer = client.infer(card.serving.model, [told], client_timeout=60).as_numpy("probabilities")
        client.close()
    patches = patches_of(tile[0], card.geometry).transpose(0, 3, 1, 2)
    network = load_sen2lcz(tmp_path / "cache" / str(card.weights.source_file))
    with torch.inference_mode():
        expected = network.probabilities(torch.from_numpy(patches.copy())).numpy()
    assert answer is not None
    assert answer.shape == (1, 17, 8, 8)
    assert np.abs(answer[0].reshape(17, 64).T - np.round(255 * expected)).max() <= 1
