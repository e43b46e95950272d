"""Masks by a network on a real Triton: the contract of the SAM family, kept by a small stand-in of its shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.annotation.project import ProjectFiles
from jobs.annotation.request import PROJECT, parse_annotation
from jobs.errors import InferenceUnavailable
from jobs.inspection import inspect_file
from jobs.queue import make_app
from models.errors import BadCard, WeightsUnavailable
from models.promptable import DECODER, ENCODER, add_promptable
from service.stack.triton import EmbeddedTriton
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import settings_in
from tests.servers.promptable import write_promptable
from worker.annotation.assembling import assemble_project
from worker.annotation.masks import find_masks
from worker.annotation.planning import make_plan
from worker.annotation.preparing import prepare_tile
from worker.annotation.promptable import NAME, Candidate, Promptable, distinct
from worker.context import Context

SIDE = 256
_COLOURS = np.array([(30, 160, 60), (200, 180, 140), (20, 60, 180), (220, 70, 60)])


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    folder = tmp_path_factory.mktemp("promptable")
    served = add_promptable(folder / "repository", write_promptable(folder / "models"))
    assert served == [ENCODER, DECODER]
    with EmbeddedTriton(folder / "repository", models=served, supervise_every=0) as server:
        yield server


def quarters() -> tuple[np.ndarray, np.ndarray]:
    """Return an image (3, y, x) of four quarters of one colour each, and which quarter each pixel is of (y, x)."""
    where = np.kron(np.array([[0, 1], [2, 3]]), np.ones((SIDE // 2, SIDE // 2), int))
    return np.moveaxis(_COLOURS[where], -1, 0).astype(np.uint8), where


def test_points_bring_up_the_masks_of_an_image(triton: EmbeddedTriton) -> None:
    image, where = quarters()
    valid = np.ones((SIDE, SIDE), bool)
    valid[:40] = False
    found = find_masks(image, valid, Promptable(triton.grpc_url, 30.0).segments)
    assert found.count == 4
    assert not found.labels[:40].any()
    inside = np.s_[60:, :]
    pairs = set(zip(found.labels[inside].ravel().tolist(), where[inside].ravel().tolist(), strict=True))
    assert len({label for label, _ in pairs}) == 4
    for quarter in range(4):
        own = found.labels[(where == quarter) & valid]
        assert np.bincount(own).max() >= 0.97 * own.size  # the stand-in sees 16 pixels at once


def test_a_project_says_that_a_network_found_its_masks(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with EmbeddedValkey() as valkey:
        told = {"live_url": valkey.url(0), "broker_url": valkey.broker_url(1), "triton_url": triton.grpc_url}
        settings = settings_in(tmp_path, **told)
        context = Context(settings, make_app(settings))
        job = project_of(context, tmp_path)
        plan = make_plan(context, job)
        assert plan.promptable
        prepare_tile(context, plan, plan.blocks[0], lambda: None)
        assemble_project(context, plan, lambda: None)
        project = ProjectFiles(context.storage, job).project()
    assert project.segmenter.startswith(NAME)
    assert project.masks == 4


def project_of(context: Context, folder: Path) -> str:
    """Upload a picture and ask for a project of it."""
    image, _ = quarters()
    Image.fromarray(np.moveaxis(image, 0, -1)).save(folder / "quarters.png")
    found = inspect_file(folder / "quarters.png", "quarters.png", context.settings)
    upload = context.uploads.add(
        folder / "quarters.png", filename="quarters.png", kind=found.kind, suffix=found.suffix, facts=found.facts
    )
    body = {"inputs": {"tiles": [upload.upload], "clusters": 2}}
    return context.store.create(PROJECT, parse_annotation(PROJECT, body)).job


def test_where_the_network_finds_nothing_the_usual_masks_stand() -> None:
    image, where = quarters()
    valid = np.ones((SIDE, SIDE), bool)
    found = find_masks(image, valid, lambda _, valid: np.zeros(valid.shape, np.int32))
    assert (found.labels > 0).all()
    for quarter in range(4):
        assert np.bincount(found.labels[where == quarter]).max() >= 0.9 * (SIDE // 2) ** 2


def test_a_server_without_the_models_is_told() -> None:
    image, _ = quarters()
    with pytest.raises(InferenceUnavailable, match=ENCODER):
        Promptable("127.0.0.1:9", 1.0).segments(image, np.ones((SIDE, SIDE), bool))


def test_graphs_of_other_shapes_are_refused(tmp_path: Path) -> None:
    folder = write_promptable(tmp_path / "models")
    (folder / "decoder.onnx").write_bytes((folder / "encoder.onnx").read_bytes())
    with pytest.raises(BadCard, match=r"decoder\.onnx takes"):
        add_promptable(tmp_path / "repository", folder)
    (folder / "decoder.onnx").unlink()
    with pytest.raises(WeightsUnavailable, match=r"no decoder\.onnx"):
        add_promptable(tmp_path / "repository", folder)


def blob(rows: slice, *, score: float, sharp: float = 10.0) -> Candidate:
    logits = np.full((256, 256), -sharp, np.float32)
    logits[rows, 50:100] = sharp
    return Candidate(logits, score)


def test_of_answers_for_one_thing_the_surest_stays() -> None:
    kept = distinct([blob(slice(0, 100), score=0.9), blob(slice(2, 102), score=0.95), blob(slice(150, 200), score=0.9)])
    assert [(c.score, c.box) for c in kept] == [(0.95, (2, 50, 102, 100)), (0.9, (150, 50, 200, 100))]


def test_unsure_and_blurred_answers_go() -> None:
    ramp = np.tile(np.linspace(-3, 3, 256, dtype=np.float32), (256, 1))
    assert distinct([blob(slice(0, 9), score=0.87), Candidate(ramp, 0.99), blob(slice(0, 0), score=0.99)]) == []
