"""Training configurations: every fault is named before any work, with the nearest name where one is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.training.config import STEPS, Augmentation, BadTraining, check, read_config

GOOD = """
[data]
kind = "procedural"
[output]
folder = "out"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text)
    return path


def test_a_short_file_is_a_whole_run(tmp_path: Path):
    config = read_config(written(tmp_path, GOOD))
    assert (config.bands, config.nodes, config.class_balance, config.feedback) == (10, 4, 0.5, 0.5)
    assert config.output.folder == tmp_path / "out"
    assert config.training.augmentation.flips


def test_the_manual_tells_the_defaults(tmp_path: Path):
    manual = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()
    told = read_config(written(tmp_path, manual.split("```toml")[1].split("```")[0]))
    usual = check({"data": {"kind": "procedural"}, "output": {"folder": tmp_path / "run"}}, "usual")
    assert (told.bands, told.nodes, told.class_balance) == (usual.bands, usual.nodes, usual.class_balance)
    spoken = {"steps": STEPS, "nodes": 4, "augmentation": Augmentation(class_balance=0.5)}
    assert told.training == usual.training.model_copy(update=spoken)
    assert told.data == usual.data
    assert told.output == usual.output


def test_paths_are_relative_to_the_file(tmp_path: Path):
    text = '[data]\nkind = "city"\nfolders = ["a", "/b"]\n[model]\nstart = "w.safetensors"\n[output]\nfolder = "/out"\n'
    config = read_config(written(tmp_path, text))
    assert config.data.folders == (tmp_path / "a", Path("/b"))
    assert config.model.start == tmp_path / "w.safetensors"
    assert config.output.folder == Path("/out")
    assert config.bands == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD + "[training]\nstpes = 10\n", "training.stpes: there is no such key; did you mean 'steps'"),
        (
            GOOD + "[training.augmentation]\ngian = 0.1\n",
            "augmentation.gian: there is no such key; did you mean 'gain'",
        ),
        (GOOD + "[trainings]\n", "did you mean 'training'"),
        (
            GOOD.replace("procedural", "procedurl"),
            "'procedurl' is no kind of data; give one of 'procedural', 'city', 'so2sat', 'tiles'",
        ),
        (
            GOOD.replace('"procedural"', '"procedural"\ncitis = 3'),
            "data.citis: there is no such key; did you mean 'cities'",
        ),
        (GOOD + "[training]\nsteps = 0\n", "training.steps: Input should be greater than or equal to 1"),
        (GOOD + "[training]\nsteps = 5\nepochs = 2\n", "steps or epochs, not both"),
        (GOOD + "[training]\nrate = nan\n", "training.rate"),
        (GOOD + "[training]\nrate = -1\n", "training.rate: Input should be greater than 0"),
        (GOOD + '[training]\nprecision = "fp16"\n', "'f32' or 'bf16'"),
        (GOOD + '[training]\ndevice = "gpu"\n', "'auto', 'cpu' or 'cuda'"),
        (GOOD + "[training.augmentation]\nmorphology_dropout = 2\n", "less than or equal to 1"),
        (GOOD + "[model]\nbands = 3\n", "model.bands is 3; procedural data have 10"),
        (GOOD + '[model]\nvariant = "late"\n', "'late-concatenation'"),
        (GOOD.replace('"procedural"', '"procedural"\nside = 40'), "data.side is 40; 4 nodes need at least 62"),
        (GOOD.replace('"out"', '"out"\ncard = "My Card"'), "small letters"),
        ('[data]\nkind = "city"\n[output]\nfolder = "o"\n', "data.folders: is missing"),
        ('[data]\nkind = "city"\nfolders = ["a"]\n[model]\nbands = 4\n[output]\nfolder = "o"\n', "3 a season"),
        (
            '[data]\nkind = "so2sat"\ntraining = "a"\nvalidation = "b"\n[training]\nnodes = 4\n[output]\nfolder="o"\n',
            "hold 1",
        ),
        ("[output]\nfolder = 'o'\n", "data: is missing"),
        ("= broken", "is not TOML"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, told: str):
    with pytest.raises(BadTraining) as caught:
        read_config(written(tmp_path, text))
    assert told in caught.value.detail
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


def test_all_faults_at_once_each_with_its_place():
    with pytest.raises(BadTraining) as caught:
        check({"data": {"kind": "procedural", "side": -1}, "training": {"seed": -5, "bach": 1}, "output": {}}, "x")
    places = {fault.pointer for fault in caught.value.faults}
    assert places == {"data.side", "training.seed", "training.bach", "output.folder"}


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str):
    with pytest.raises(BadTraining, match="cannot be read"):
        read_config(tmp_path / name)
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadTraining, match="cannot be read"):
        read_config(path)
