"""Training runs: resumed equals uninterrupted, what is written, what is refused, on every kind of data."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from models.cards import card_of, read_card  # noqa: E402
from models.errors import BadCard, WeightsUnavailable  # noqa: E402
from models.networks.weights import load_weights  # noqa: E402
from models.onnx_signature import read_signature  # noqa: E402
from models.serving import check_contract  # noqa: E402
from models.training import loop  # noqa: E402 - after the checks
from models.training.config import BadTraining, RunConfig, check  # noqa: E402
from models.training.curves import draw_curves  # noqa: E402
from models.training.demo import compared, demo_config  # noqa: E402
from models.training.loop import schedule  # noqa: E402
from models.training.runs import run, train_file  # noqa: E402
from service.cli_models import app as cli  # noqa: E402
from tests.unit.training_samples import stopped_after, write_city_folder, write_so2sat  # noqa: E402

SMALL = {"kind": "procedural", "cities": 1, "side": 90, "tests": 1, "test_side": (80, 80)}
QUICK = {
    "steps": 8, "batch": 2, "nodes": 2, "threads": 1, "device": "cpu", "checkpoint_every": 3, "validate_every": 4,
    "warm_up": 2,
}  # fmt: skip


def described(folder: Path, data: dict | None = None, model: dict | None = None, **training: object) -> RunConfig:
    told = {"data": data or SMALL, "model": model or {}, "training": QUICK | training}
    return check(told | {"output": {"folder": folder, "card": "small"}}, "test")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(described(folder), "cityzones models train small.toml")
    return folder


@pytest.mark.parametrize("steps", [2, 5])
def test_resumed_equals_uninterrupted(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        stopped_after(steps, patch)
        with pytest.raises(KeyboardInterrupt):
            run(described(folder), "x")
    assert (folder / "checkpoint.pt").exists() == (steps > 3)
    assert not list(folder.glob(".*"))
    run(described(folder, resume=True), "x")
    assert (folder / "small.safetensors").read_bytes() == (whole / "small.safetensors").read_bytes()
    assert (folder / "history.json").read_text() == (whole / "history.json").read_text()
    assert (folder / "small.onnx").read_bytes() == (whole / "small.onnx").read_bytes()


def test_a_finished_run_resumed_stays_the_same(whole: Path):
    before = (whole / "small.safetensors").read_bytes()
    run(described(whole, resume=True), "x")
    assert (whole / "small.safetensors").read_bytes() == before


def test_what_a_run_writes(whole: Path):
    assert {path.name for path in whole.iterdir()} == {
        "checkpoint.pt", "curves.png", "history.json", "report.json", "small.onnx", "small.safetensors", "small.toml",
    }  # fmt: skip
    card = read_card(whole / "small.toml")
    assert (card.id, card.weights.file, card.input.morphology) == ("small", "small.onnx", True)
    assert "reconstruction" in card.limits_told[0]
    check_contract(card, read_signature(whole / "small.onnx"))
    report = json.loads((whole / "report.json").read_text())
    assert [score.metrics for score in card.accuracy] == [row["metrics"] for row in report["accuracy"]]
    history = json.loads((whole / "history.json").read_text())
    assert [row["step"] for row in history if "validation_OA" in row] == [4, 8]
    assert all(math.isfinite(value) for row in history for value in row.values())
    assert (whole / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_graph_gives_what_the_weights_give(whole: Path):
    network = load_weights(whole / "small.safetensors")
    rng = np.random.default_rng(0)
    pair = {
        "spectral": rng.random((1, 10, 272, 272), dtype=np.float32) * 0.3,
        "morphology": rng.random((1, 6, 272, 272), dtype=np.float32),
    }
    with torch.no_grad():
        expected = network.pixels(*(torch.from_numpy(x) for x in pair.values()))[0].numpy() * 255
    served = onnxruntime.InferenceSession(whole / "small.onnx").run(None, pair)[0]
    assert np.abs(served.astype(float) - expected).max() <= 0.51


def test_nothing_is_overwritten(whole: Path):
    before = {path.name: path.stat().st_mtime_ns for path in whole.iterdir()}
    with pytest.raises(BadTraining, match="holds a run already"):
        run(described(whole), "x")
    with pytest.raises(BadTraining, match="another configuration"):
        run(described(whole, resume=True, rate=1e-3), "x")
    assert {path.name: path.stat().st_mtime_ns for path in whole.iterdir()} == before


def test_folders_that_are_no_run_are_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadTraining, match="which is a file"):
        run(described(tmp_path / "file"), "x")
    (tmp_path / "small.toml").write_text("mine")
    with pytest.raises(BadTraining, match=r"no checkpoint\.pt to resume"):
        run(described(tmp_path, resume=True), "x")
    assert (tmp_path / "small.toml").read_text() == "mine"


def test_a_damaged_checkpoint_is_told(whole: Path, tmp_path: Path):
    (tmp_path / "checkpoint.pt").write_bytes((whole / "checkpoint.pt").read_bytes()[:5000])
    with pytest.raises(BadTraining, match="remove it to begin again"):
        run(described(tmp_path, resume=True), "x")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_that_is_not_there_is_told_before_any_work(tmp_path: Path):
    with pytest.raises(BadTraining, match="no CUDA device"):
        run(described(tmp_path / "run", device="cuda"), "x")
    assert not (tmp_path / "run").exists()


def test_weights_to_start_from(whole: Path, tmp_path: Path):
    began = run(described(tmp_path / "a", model={"start": whole / "small.toml"}, rate=1e-9, steps=1), "x")
    assert began["steps"] == 1
    mine, given = (load_weights(folder / "small.safetensors") for folder in (tmp_path / "a", whole))
    assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), given.parameters(), strict=True))
    with pytest.raises(BadTraining, match="magnet of 10 bands, not spectral-only"):
        run(described(tmp_path / "b", model={"start": whole / "small.toml", "variant": "spectral-only"}), "x")


def test_a_card_that_names_a_missing_file(whole: Path, tmp_path: Path):
    card = tmp_path / "small.toml"
    card.write_text((whole / "small.toml").read_text())
    for start, error, told in (
        (tmp_path / "gone.toml", WeightsUnavailable, "gone.toml, which is no file"),
        (card, WeightsUnavailable, r"small\.safetensors is missing"),
    ):
        with pytest.raises(error, match=told):
            run(described(tmp_path / "run", model={"start": start}), "x")
    card.write_text("id = 3")
    with pytest.raises(BadCard):
        run(described(tmp_path / "run", model={"start": card}), "x")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsUnavailable, match="weights of a network of ours"):
        run(described(tmp_path / "run", model={"start": tmp_path / "junk.safetensors"}), "x")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("variant", ["late-concatenation", "spectral-only"])
def test_a_city_with_three_bands(tmp_path: Path, variant: str):
    write_city_folder(tmp_path / "toy")
    text = (
        f'[data]\nkind = "city"\nfolders = ["toy"]\n[model]\nvariant = "{variant}"\n'
        '[training]\nepochs = 0.5\nbatch = 4\nthreads = 1\nprecision = "bf16"\n'
        '[output]\nfolder = "out"\ncard = "toy-rgb"\n'
    )
    (tmp_path / "toy.toml").write_text(text)
    report, written = train_file(tmp_path / "toy.toml")
    assert written == tmp_path / "out"
    card = read_card(tmp_path / "out" / "toy-rgb.toml")
    assert card.input.bands == ("B04", "B03", "B02")
    assert card.input.morphology == (variant != "spectral-only")
    assert card.training_command == "cityzones models train toy.toml"
    check_contract(card, read_signature(tmp_path / "out" / "toy-rgb.onnx"))
    assert report["steps"] == max(1, round(0.5 * round(report_cells(card) / (4 * 16))))
    assert load_weights(tmp_path / "out" / "toy-rgb.safetensors").bands == 3


def report_cells(card: object) -> int:
    return int(card.training_data.split("(")[-1].split(" cells")[0])


def test_so2sat_without_buildings_is_served_without(tmp_path: Path):
    learnt, held = write_so2sat(tmp_path / "t.h5"), write_so2sat(tmp_path / "v.h5", 20)
    data = {"kind": "so2sat", "training": learnt, "validation": held}
    report = run(described(tmp_path / "run", data, nodes=1, batch=8), "x")
    card = read_card(tmp_path / "run" / "small.toml")
    assert not card.input.morphology
    assert card.input.reflectance == "TOA"
    signature = read_signature(tmp_path / "run" / "small.onnx")
    check_contract(card, signature)
    assert set(signature.inputs) == {"spectral"}
    assert report["accuracy"][0]["data"] == "20 patches of v.h5"


def test_bfloat16_learns_the_same_thing(tmp_path: Path, whole: Path):
    run(described(tmp_path / "run", precision="bf16"), "x")
    plain, coarse = (json.loads((folder / "history.json").read_text()) for folder in (whole, tmp_path / "run"))
    losses = [[row["loss"] for row in history if "loss" in row] for history in (plain, coarse)]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.05)


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "total_loss", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(BadTraining, match=r"lower training\.rate"):
        run(described(tmp_path / "run"), "x")


def test_the_rate_rises_and_falls():
    rates = [schedule(step, 100, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1
    assert rates[99] == pytest.approx(0.01, abs=1e-3)


def test_curves_of_hardly_any_history(tmp_path: Path):
    draw_curves([{"step": 1, "loss": 2.0, "rate": 0.1}], "one step", tmp_path / "curves.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def commanded(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["train", *map(str, arguments)])


def test_the_command_trains_resumes_and_tells(tmp_path: Path):
    told = "\n".join(f"{key} = {json.dumps(value)}" for key, value in QUICK.items())
    small = "\n".join(f"{key} = {json.dumps(value)}" for key, value in SMALL.items())
    path = tmp_path / "small.toml"
    path.write_text(f'[data]\n{small}\n[training]\n{told}\n[output]\nfolder = "run"\n')
    made = commanded(path)
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout.splitlines()[-1])["accuracy"]
    assert (tmp_path / "run" / "magnet-trained.toml").exists()
    again = commanded(path)
    assert again.exit_code == 1
    assert "holds a run already" in " ".join(again.output.split())
    assert commanded(path, "--resume").exit_code == 0


def test_the_command_names_what_is_wrong(tmp_path: Path):
    assert commanded().exit_code == 2
    path = tmp_path / "bad.toml"
    path.write_text('[data]\nkind = "procedural"\ncites = 3\n[output]\nfolder = "run"\n')
    bad = commanded(path)
    assert bad.exit_code == 1
    assert "did you mean 'cities'" in " ".join(bad.output.split())
    assert not (tmp_path / "run").exists()
    assert commanded(tmp_path / "gone.toml").exit_code == 1


def test_the_demonstration_is_held_against_the_card():
    card = card_of("magnet")
    same = {"seconds": 1, "accuracy": [score.model_dump() for score in card.accuracy]}
    assert compared(same, card)["reproduced"]
    worse = json.loads(json.dumps(same))
    for row in worse["accuracy"]:
        row["metrics"]["OA"] = row["metrics"].get("OA", 0) - 0.011
    told = compared(worse, card)
    assert not told["reproduced"]
    assert told["with_buildings"]["difference"] == pytest.approx(-0.011)
    assert demo_config(Path("x")).training.steps is None


@pytest.mark.scale
@pytest.mark.real_data
def test_a_real_city_is_learnt_from(shared_data: Path, tmp_path: Path):
    data = {"kind": "city", "folders": [shared_data / "so2sat_pop_gdansk"]}
    report = run(described(tmp_path / "run", data, steps=30, batch=8, checkpoint_every=30, validate_every=30), "x")
    card = read_card(tmp_path / "run" / "small.toml")
    assert "gdansk" in card.training_data
    assert len(card.domain.median) == 3
    assert 0.1 < report["accuracy"][0]["metrics"]["OA"] < 1
