"""A run on tiles: what it writes, that it resumes unchanged, what is refused, and the command that measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from models.cards import read_card  # noqa: E402 - after the check for torch
from models.data.tiles.folder import open_tiles  # noqa: E402
from models.data.tiles.legend import BadTiles  # noqa: E402
from models.evaluation import sessions  # noqa: E402
from models.onnx_signature import read_signature  # noqa: E402
from models.serving import check_contract  # noqa: E402
from models.training.config import BadTraining  # noqa: E402
from models.training.runs import train_file  # noqa: E402
from service.cli_models import app as cli  # noqa: E402
from tests.unit.training_samples import stopped_after  # noqa: E402

CONFIG = """
[data]
kind = "tiles"
folder = "tiles"
holdout = {holdout}

[model]
start = "imagenet"

[training]
steps = {steps}
encoder_rate = 0.3
batch = 2
crop = 64
warm_up = 1
threads = 1
device = "cpu"
checkpoint_every = 2

[output]
folder = "{out}"
card = "small-cover"
limits = ["Its town is drawn."]
"""


def write_config(folder: Path, out: str = "run", steps: int = 4, holdout: str = '["tile2"]') -> Path:
    path = folder / f"{out}.toml"
    path.write_text(CONFIG.format(out=out, steps=steps, holdout=holdout))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two tiles: dark is bareland, bright is building."""
    made = tmp_path_factory.mktemp("cover")
    for tile in ("tile1", "tile2"):
        codes = np.kron(np.random.default_rng(len(tile)).choice([1, 8], (4, 5)), np.ones((20, 20))).astype(np.uint8)
        for part, values in (("images", np.repeat(codes[..., None] * 28, 3, axis=-1)), ("masks", codes)):
            (made / "tiles" / tile / part).mkdir(parents=True)
            Image.fromarray(values).save(made / "tiles" / tile / part / "a.png")
    return made


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    return train_file(write_config(folder))[1]


def test_what_a_run_writes(whole: Path):
    assert {path.name for path in whole.iterdir()} == {
        "checkpoint.pt", "curves.png", "history.json", "report.json", "small-cover.onnx", "small-cover.safetensors",
        "small-cover.toml",
    }  # fmt: skip
    card = read_card(whole / "small-cover.toml")
    check_contract(card, read_signature(whole / "small-cover.onnx"))
    assert (card.product, card.input.reflectance, card.geometry.scene) == ("land-cover", "digital", 1)
    assert "bareland, building" in card.limits_told[0]
    assert "never maps rangeland, developed, road" in card.limits_told[0]
    assert "Its town is drawn." in card.limits_told
    assert "weights trained on ImageNet" in card.training_data
    report = json.loads((whole / "report.json").read_text())
    assert report["accuracy"][0]["data"] == "tiles: tile2"
    assert [score.metrics for score in card.accuracy] == [report["accuracy"][0]["metrics"]]
    assert card.domain.median == tuple(report["domain"]["median"])


def test_resumed_equals_uninterrupted(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch):
    path, again = write_config(folder, "again"), folder / "again"
    with monkeypatch.context() as patch:
        stopped_after(3, patch)
        with pytest.raises(KeyboardInterrupt):
            train_file(path)
    assert torch.load(again / "checkpoint.pt", weights_only=True)["step"] == 2
    train_file(path, resume=True)
    assert (again / "small-cover.safetensors").read_bytes() == (whole / "small-cover.safetensors").read_bytes()


def test_what_cannot_be_made_is_refused(folder: Path, whole: Path):
    with pytest.raises(BadTraining, match="holds a run already"):
        train_file(folder / "run.toml")
    with pytest.raises(BadTiles, match="holds no tile tile9; it holds tile1, tile2"):
        train_file(write_config(folder, "b", holdout='["tile9"]'))
    with pytest.raises(BadTraining, match="holds out every tile"):
        train_file(write_config(folder, "c", holdout='["tile1", "tile2"]'))
    path = write_config(folder, "d")
    path.write_text(path.read_text().replace("crop = 64", "crop = 65"))
    with pytest.raises(BadTraining, match=r"training\.crop"):
        train_file(path)
    assert not any((folder / name).exists() for name in "bcd")


def test_the_command_measures_a_card(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch):
    card = read_card(whole / "small-cover.toml")
    monkeypatch.setattr("service.cli_evaluate.card_of", lambda name: card)
    monkeypatch.setattr(sessions, "weights_path", lambda told: whole / told.weights.file)
    asked = ["evaluate-tiles", str(folder / "tiles"), "--card", "small-cover", "--threads", "1"]
    told = json.loads(CliRunner().invoke(cli, [*asked, "--tiles", "tile2"]).stdout.splitlines()[-1])
    assert told["overall_accuracy"] == pytest.approx(card.accuracy[0].metrics["OA"], abs=0.02)
    assert set(told["tiles"]) == {"tile2"}
    assert set(told["iou"]) == {"bareland", "building"}
    refused = CliRunner().invoke(cli, [*asked, "--tiles", "tile7"])
    assert refused.exit_code == 1
    assert "holds no tile tile7" in refused.output


def test_some_tiles_of_a_folder(folder: Path):
    found = open_tiles(folder / "tiles")
    assert list(found.only(()).tiles) == ["tile1", "tile2"]
    assert list(found.only(("tile2",)).tiles) == ["tile2"]
