"""What training draws: windows on the cells they are labelled by, seasons, balance, and ground held back."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
h5py = pytest.importorskip("h5py")

from models.data.cities.arrays import patches  # noqa: E402
from models.data.cities.ground import read_city  # noqa: E402 - after the checks
from models.data.so2sat.dataset import BadDataset  # noqa: E402
from models.training.config import BadTraining, check  # noqa: E402
from models.training.runs import open_source  # noqa: E402
from models.training.tiles import city_ground  # noqa: E402
from tests.unit.training_samples import LATTICE, write_city_folder, write_forms, write_so2sat  # noqa: E402

PLAIN = {"flips": False, "gain": 0, "band_gain": 0, "offset": 0, "morphology_dropout": 0}


def configured(data: dict, folder: Path, bands: int | None = None, **training: object) -> object:
    model = {} if bands is None else {"bands": bands}
    return check({"data": data, "model": model, "training": training, "output": {"folder": folder}}, "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_city_folder(tmp_path_factory.mktemp("city") / "toy")


@pytest.fixture
def so2sat(tmp_path: Path) -> dict:
    write_so2sat(tmp_path / "training.h5")
    write_so2sat(tmp_path / "validation.h5", 20, seed=2)
    return {"kind": "so2sat", "training": tmp_path / "training.h5", "validation": tmp_path / "validation.h5"}


def test_city_windows_are_those_of_the_cells(folder: Path):
    city = read_city(folder)
    assert city.lattice == LATTICE
    ground = city_ground(city, city.known, configured({"kind": "city", "folders": [folder]}, folder))
    cell = city.cells[len(city.cells) // 2]
    expected = patches(city, cell[None])
    top, left = (at + 16 - 11 for at in np.array(LATTICE) + 10 * cell)
    window = (slice(top, top + 32), slice(left, left + 32))
    np.testing.assert_array_equal(ground.reflectance[:, :, *window], expected.reflectance[0])
    np.testing.assert_array_equal(ground.morphology[:, *window], expected.morphology[0])
    assert ground.truth[top + 16, left + 16] == ground.truth[top + 15, left + 15] == city.truth[tuple(cell)]
    assert (top - ground.phase[0]) % 10 == (left - ground.phase[1]) % 10 == 0
    assert ground.known == len(city.cells)


@pytest.mark.parametrize("flips", [False, True])
def test_every_tile_holds_labels_of_its_own_windows(folder: Path, flips: bool):
    config = configured(
        {"kind": "city", "folders": [folder]}, folder, batch=64, nodes=2, augmentation=PLAIN | {"flips": flips}
    )
    source = open_source(config)
    batch = next(source.batches(np.random.default_rng(1), 0))
    assert batch.reflectance.shape == (64, 3, 42, 42)
    assert bool((batch.labels >= 0).any(dim=(1, 2)).all())
    seen = {}
    for season in source.grounds[0].reflectance:
        for top in range(source.grounds[0].phase[0], season.shape[1] - 31, 10):
            for left in range(source.grounds[0].phase[1], season.shape[2] - 31, 10):
                middle = season[:, top + 11 : top + 21, left + 11 : left + 21]
                seen[np.sort(middle, axis=None).tobytes()] = int(source.grounds[0].truth[top + 16, left + 16]) - 1
    for k in range(64):
        for i in (0, 1):
            for j in (0, 1):
                middle = batch.reflectance[k, :, 10 * i + 11 : 10 * i + 21, 10 * j + 11 : 10 * j + 21].numpy()
                assert seen[np.sort(middle, axis=None).tobytes()] == int(batch.labels[k, i, j])


def test_kilometres_are_held_back_whole_and_seasons_are_looks(folder: Path):
    source = open_source(configured({"kind": "city", "folders": [folder], "holdout": 0.3}, folder, seed=4))
    city = read_city(folder)
    learnt, held = source.grounds[0], source.held[0]
    assert learnt.known + held.known == len(city.cells)
    assert not ((learnt.truth > 0) & (held.truth > 0)).any()
    looks = list(source.validation())
    assert all(len(look) == 2 for look in looks)
    assert sum(int((look[0].labels >= 0).sum()) for look in looks) == held.known
    assert source.bands == ("B04", "B03", "B02")
    assert f"{held.known} cells" in source.held_back


def test_seasons_can_be_stacked(folder: Path):
    source = open_source(configured({"kind": "city", "folders": [folder]}, folder, bands=6))
    assert source.bands[3] == "B04 summer"
    assert len(source.statistics.mean) == 6
    assert next(source.batches(np.random.default_rng(0), 0)).reflectance.shape[1] == 6
    assert all(len(look) == 1 for look in source.validation())


@pytest.mark.parametrize(
    ("data", "extra", "told"),
    [
        ({}, {"bands": 9}, "2 seasons: 3 .any. or 6"),
        ({"holdout": 0.01}, {}, "leaves none on one side"),
        ({"folders": ["nowhere"]}, {}, "not a folder"),
        ({}, {"nodes": 40}, "smaller than a sample"),
    ],
)
def test_cities_that_do_not_fit_are_refused(folder: Path, data: dict, extra: dict, told: str):
    with pytest.raises(BadTraining, match=told):
        open_source(configured({"kind": "city", "folders": [folder]} | data, folder, **extra))


def test_class_balance_draws_rare_classes(folder: Path):
    shares = {}
    for balance in (0.0, 1.0):
        config = configured(
            {"kind": "city", "folders": [folder]}, folder, batch=300, nodes=1, augmentation={"class_balance": balance}
        )
        labels = next(open_source(config).batches(np.random.default_rng(3), 0)).labels.flatten()
        shares[balance] = np.bincount(labels.numpy(), minlength=17) / 300
    present = shares[1.0] > 0
    assert shares[1.0][present].min() > shares[0.0][present].min()
    assert shares[1.0][present].max() < shares[0.0].max()


def test_augmentation_can_be_switched_off_one_by_one(so2sat: dict, tmp_path: Path):
    def drawn(**augmentation: object) -> object:
        config = configured(so2sat, tmp_path, batch=20, augmentation=PLAIN | augmentation)
        return next(open_source(config).batches(np.random.default_rng(5), 0))

    plain = drawn()
    with h5py.File(so2sat["training"]) as file:
        stored = {
            x.astype(np.float32).transpose(2, 0, 1).tobytes(): y.argmax()
            for x, y in zip(file["sen2"], file["label"], strict=True)
        }
    assert all(stored[x.numpy().tobytes()] == int(y) for x, y in zip(plain.reflectance, plain.labels, strict=True))
    flipped = drawn(flips=True).reflectance
    assert not torch.equal(flipped, plain.reflectance)
    assert torch.equal(flipped.flatten(2).sort().values, plain.reflectance.flatten(2).sort().values)
    ratio = drawn(gain=0.5).reflectance / plain.reflectance
    assert float(ratio.flatten(1).std(dim=1).max()) < 1e-5
    assert 1 / 1.5 <= float(ratio.min()) < float(ratio.max()) <= 1.5
    by_band = (drawn(band_gain=0.1).reflectance / plain.reflectance).flatten(2)
    assert float(by_band.std(dim=2).max()) < 1e-5 < float(by_band.mean(dim=2).std())
    moved = (drawn(offset=0.01).reflectance - plain.reflectance).flatten(2)
    assert float(moved.std(dim=2).max()) < 1e-5 < float(moved.mean(dim=2).std())


def test_so2sat_goes_on_in_the_middle_of_an_epoch(so2sat: dict, tmp_path: Path):
    source = open_source(configured(so2sat, tmp_path, batch=16, augmentation=PLAIN))
    assert source.steps_per_epoch == 3
    whole = [b.labels for b in islice(source.batches(np.random.default_rng(0), 0), 7)]
    later = [b.labels for b in islice(source.batches(np.random.default_rng(0), 4), 3)]
    assert [len(labels) for labels in whole] == [16, 16, 8, 16, 16, 8, 16]
    assert all(torch.equal(a, b) for a, b in zip(whole[4:], later, strict=True))
    assert not torch.equal(whole[0], whole[3])
    assert sorted(torch.cat(whole[:3]).flatten().tolist()) == sorted(torch.cat(whole[3:6]).flatten().tolist())


def test_so2sat_validation_is_spread_over_the_file(so2sat: dict, tmp_path: Path):
    source = open_source(configured(so2sat | {"validation_patches": 7}, tmp_path))
    looks = list(source.validation())
    assert sum(len(look[0].labels) for look in looks) == 7
    assert float(looks[0][0].morphology.abs().max()) == 0


def test_morphology_beside_so2sat(so2sat: dict, tmp_path: Path):
    path = write_forms(tmp_path / "forms.h5")
    config = configured(so2sat | {"morphology": path}, tmp_path, batch=40, augmentation=PLAIN)
    batch = next(open_source(config).batches(np.random.default_rng(0), 0))
    with h5py.File(path) as file, h5py.File(so2sat["training"]) as data:
        stored = {
            x.astype(np.float32).transpose(2, 0, 1).tobytes(): m.astype(np.float32).transpose(2, 0, 1)
            for x, m in zip(data["sen2"], file["morphology"], strict=True)
        }
    for x, m in zip(batch.reflectance, batch.morphology, strict=True):
        np.testing.assert_array_equal(stored[x.numpy().tobytes()], m.numpy())
    write_forms(path, 39)
    with pytest.raises(BadDataset, match="a raster for every patch"):
        open_source(config)


def test_damaged_so2sat_is_refused(so2sat: dict, tmp_path: Path):
    with h5py.File(so2sat["validation"], "a") as file:
        del file["label"]
    with pytest.raises(BadDataset, match="label"):
        open_source(configured(so2sat, tmp_path))
    with pytest.raises(BadDataset, match="gone"):
        open_source(configured(so2sat | {"validation": tmp_path / "gone.h5"}, tmp_path))


def test_so2sat_balance_inside_batches(tmp_path: Path):
    codes = np.r_[np.zeros(90, int), np.full(10, 5)]
    with h5py.File(write_so2sat(tmp_path / "t.h5", 100), "a") as file:
        file["label"][...] = np.eye(17)[codes]
    data = {"kind": "so2sat", "training": tmp_path / "t.h5", "validation": tmp_path / "t.h5"}
    config = configured(data, tmp_path, batch=100, augmentation=PLAIN | {"class_balance": 1.0})
    labels = next(open_source(config).batches(np.random.default_rng(0), 0)).labels
    assert 0.35 < float((labels == 5).float().mean()) < 0.65


def test_a_patch_that_is_not_finite_is_named_before_any_work(so2sat: dict, tmp_path: Path):
    forms = write_forms(tmp_path / "forms.h5")
    with h5py.File(forms, "a") as file:
        file["morphology"][31, 4, 5, 2] = np.nan
    with pytest.raises(BadDataset, match=r"morphology in forms\.h5"):
        open_source(configured(so2sat | {"morphology": forms}, tmp_path))
    for told, run in (({"verify": False}, {}), ({}, {"resume": True})):
        source = open_source(configured(so2sat | {"morphology": forms} | told, tmp_path, batch=40, **run))
        with pytest.raises(BadDataset, match="morphology in forms"):
            next(source.batches(np.random.default_rng(0), 0))
    with h5py.File(so2sat["training"], "a") as file:
        file["sen2"][23, 0, 0, 7] = np.inf
    with pytest.raises(BadDataset, match=r"patch 23 of sen2 in training\.h5"):
        open_source(configured(so2sat, tmp_path))
