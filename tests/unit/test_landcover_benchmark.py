"""The benchmark of land cover: features, votes and folds on tiles small enough to know the answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from benchmarks.landcover.__main__ import calibrated, main
from benchmarks.landcover.contenders import voted
from benchmarks.landcover.features import pixel_features
from models.accuracy.calibration import tempered


def test_features_tell_colour_and_texture():
    image = np.full((3, 64, 64), 120, np.uint8)
    image[:, :, 32:] = np.random.default_rng(0).integers(90, 150, (3, 64, 32))
    found = pixel_features(image)
    assert (found.shape, found.dtype) == ((20, 64, 64), np.float32)
    assert np.isfinite(found).all()
    assert abs(found[19, 32, 10]) < 1e-2  # the spread of an even plain
    assert found[19, 32, 50] > 3


def test_masks_outvote_single_pixels():
    image = np.zeros((3, 60, 60), np.uint8)
    image[:, :, 30:] = 230
    shares = np.zeros((9, 60, 60), np.float32)
    shares[0, :, :30], shares[7, :, 30:] = 1, 1
    wrong = np.random.default_rng(1).random((60, 60)) < 0.2
    shares[:, wrong] = np.eye(9, dtype=np.float32)[3][:, None]
    found = voted(image, shares)
    assert (found[:, :28] == 1).all()
    assert (found[:, 32:] == 8).all()


def test_the_temperature_of_other_folds_mends_a_fold():
    rng = np.random.default_rng(2)
    folds = []
    for _ in range(3):
        honest = rng.dirichlet(np.ones(9), 3000)
        truth = np.array([rng.choice(9, p=p) for p in honest])
        folds.append((tempered(honest, 0.4), truth))
    told = calibrated(folds)
    assert told["temperature"] == pytest.approx(2.5, abs=0.2)
    assert told["ECE_tempered"] < 0.05 < told["ECE"]


def test_the_forest_of_a_fold_is_measured_on_the_tile_it_never_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    rng = np.random.default_rng(3)
    for tile in ("tile1", "tile2"):
        codes = np.kron(rng.choice([1, 8], (4, 4)), np.ones((16, 16))).astype(np.uint8)
        for part, values in (("images", np.repeat(codes[..., None] * 25, 3, axis=-1)), ("masks", codes)):
            (tmp_path / tile / part).mkdir(parents=True)
            Image.fromarray(values).save(tmp_path / tile / part / "a.png")
    asked = ["landcover", str(tmp_path), "--runs", str(tmp_path / "runs"), "--no-network", "--stride", "3"]
    monkeypatch.setattr(sys, "argv", asked)
    main()
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["folds"] == [["tile1"], ["tile2"]]
    assert (told["rows"][0]["method"], told["calibration"]) == ("random forest on pixels", None)
    assert told["rows"][0]["mean_iou"] > 0.9
    assert set(told["rows"][0]["folds"]) == {"tile1", "tile2"}
    monkeypatch.setattr(sys, "argv", [*asked, "--folds", "tile9"])
    with pytest.raises(SystemExit, match="holds no tile tile9"):
        main()
