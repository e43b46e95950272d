"""So2Sat patches on earth: both schemas of geolocation, GeoTIFFs with names, pictures, and the commands for them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from typer.testing import CliRunner

from models.data.so2sat.dataset import BANDS, BadDataset
from models.data.so2sat.export import export_patch
from models.data.so2sat.geo import GeoFile
from models.data.so2sat.picture import draw_samples
from service.cli import app
from tests.servers.so2sat_file import CITIES, EPSG, patches, write_geo, write_so2sat


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write_so2sat(tmp_path / "validation.h5")


def test_both_schemas_place_a_patch_alike(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), GeoFile(write_geo(tmp_path / "new_geo.h5"), 40) as new:
        found = new.place(4)
    assert not caplog.records
    with caplog.at_level(logging.WARNING), GeoFile(write_geo(tmp_path / "old_geo.h5", old=True), 40) as old:
        assert old.outdated
        assert old.place(4).transform == found.transform
        assert old.place(4).city is None
        with pytest.raises(BadDataset, match="places the patches 0 to 39"):
            old.place(40)
        assert [place.epsg for place in old.places()] == [EPSG[CITIES[k % 3]] for k in range(40)]
    assert "wrong for some cities" in caplog.text
    assert (found.epsg, found.city) == (32734, "capetown")
    assert (found.transform.c, found.transform.f) == (300_400.0, 5_799_600.0)
    assert (found.transform.a, found.transform.e) == (10.0, -10.0)


def _tfw(**replaced: float) -> np.ndarray:
    row = {"a": 10.0, "d": 0.0, "b": 0.0, "e": -10.0, "c": 3e5, "f": 5.8e6} | replaced
    return np.tile(list(row.values()), (40, 1))


@pytest.mark.parametrize(
    ("replaced", "told"),
    [
        ({"tfw": None}, "no data set 'tfw', only city, epsg"),
        ({"epsg": None}, "no data set 'epsg'"),
        ({"city": None}, "neither 'city' .* nor 'coord'"),
        ({"city": np.array([[b"berlin"]] * 39)}, "city in .* has 39 rows"),
        ({"city": np.zeros((40, 1))}, r"city .* is float64 \(40, 1\); names"),
        ({"tfw": np.zeros((40, 4))}, r"\(40, 4\); numbers \(N, 6\)"),
        ({"tfw": _tfw(a=9.4)}, "9.4 x -10 m"),
        ({"tfw": _tfw(e=-60.0)}, "10 x -60 m"),
        ({"tfw": _tfw(b=0.1)}, "rotated"),
        ({"tfw": _tfw(c=np.nan)}, "NaN or infinity"),
        ({"tfw": _tfw(c=5e6)}, "outside every UTM zone"),
        ({"epsg": np.full((40, 1), 4326)}, "EPSG code 4326 is no UTM zone"),
        ({"epsg": np.full((40, 1), np.nan)}, "EPSG code nan is no UTM zone"),
    ],
)
def test_a_place_that_cannot_be_is_refused(tmp_path: Path, whole: Path, replaced: dict[str, Any], told: str) -> None:
    geo = write_geo(tmp_path / "validation_geo.h5", **replaced)
    target = tmp_path / "patch.tif"
    target.write_bytes(b"kept")
    with pytest.raises(BadDataset, match=told):
        export_patch(whole, 3, target, geo=geo)
    assert target.read_bytes() == b"kept"
    assert not list(tmp_path.glob(".*"))


def test_five_per_cent_of_ten_metres_pass(tmp_path: Path) -> None:
    with GeoFile(write_geo(tmp_path / "g.h5", tfw=_tfw(a=9.6, e=10.4), epsg=np.full(40, 32633)), 40) as file:
        place = file.place(0)
    assert (place.transform.a, place.transform.e, place.epsg) == (9.6, -10.4, 32633)


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_a_patch_becomes_a_geotiff(tmp_path: Path, whole: Path, sensor: Any) -> None:
    target = tmp_path / "patch.tif"
    told = export_patch(whole, 5, target, sensor=sensor, geo=write_geo(tmp_path / "g.h5"))
    assert (told["lcz"], told["epsg"], told["city"]) == ("6", 32632, "munich")
    with rasterio.open(target) as file:
        assert file.descriptions == BANDS[sensor]
        assert file.crs.to_epsg() == 32632
        assert tuple(file.bounds) == (300_500.0, 5_799_180.0, 300_820.0, 5_799_500.0)
        assert file.tags()["lcz"] == "6 Open low-rise"
        np.testing.assert_array_equal(
            file.read(), patches(40)[{"s1": "sen1", "s2": "sen2"}[sensor]][5].transpose(2, 0, 1).astype(np.float32)
        )


def test_bad_input_overwrites_nothing(tmp_path: Path, whole: Path) -> None:
    target = tmp_path / "patch.tif"
    target.write_bytes(b"kept")

    def spoil(arrays: dict[str, Any]) -> None:
        arrays["sen2"][1] = np.nan

    spoilt = write_so2sat(tmp_path / "bad.h5", change=spoil)
    with pytest.raises(BadDataset, match=r"epsg in .* has 39 rows, but there are 40 patches"):
        export_patch(whole, 0, target, geo=write_geo(tmp_path / "g.h5", 39))
    with pytest.raises(BadDataset, match="patch 1 of sen2"):
        export_patch(spoilt, 1, target)
    with pytest.raises(BadDataset, match="patch 1 of sen2"):
        draw_samples(spoilt, target)
    with pytest.raises(BadDataset, match="there is no 40"):
        export_patch(whole, 40, target)
    assert target.read_bytes() == b"kept"
    with pytest.raises(BadDataset, match="there is no folder"):
        export_patch(whole, 0, tmp_path / "none" / "patch.tif")
    assert not list(tmp_path.glob(".*"))


def test_a_sheet_shows_every_class(tmp_path: Path) -> None:
    def spoil(arrays: dict[str, Any]) -> None:
        arrays["label"][:] = np.eye(17)[np.arange(40) % 16]

    counts = draw_samples(write_so2sat(tmp_path / "a.h5", change=spoil), tmp_path / "sheet.png", columns=3)
    assert counts["1"] == 3
    assert counts["G"] == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert min(sheet.size) > 500
    with pytest.raises(BadDataset, match="1 to 24 columns"):
        draw_samples(tmp_path / "a.h5", tmp_path / "sheet.png", columns=0)


def _run(*words: str | Path) -> Any:
    return CliRunner().invoke(app, ["models", *map(str, words)])


def test_the_commands_end_in_json(tmp_path: Path, whole: Path) -> None:
    geo = write_geo(tmp_path / "g.h5")
    told = _run("so2sat-info", whole, "--geo", geo, "--scan")
    assert told.exit_code == 0
    assert json.loads(told.stdout.splitlines()[-1])["classes"]["A"] == 2
    told = _run("so2sat-export", whole, "--index", 2, "--out", tmp_path / "p.tif", "--geo", geo, "--sensor", "s1")
    assert json.loads(told.stdout.splitlines()[-1])["epsg"] == 32632
    assert (tmp_path / "p.tif").is_file()
    told = _run("so2sat-picture", whole, "--out", tmp_path / "p.png", "--columns", 2)
    assert json.loads(told.stdout.splitlines()[-1])["classes"]["G"] == 2
    assert (tmp_path / "p.png").is_file()


def test_the_commands_say_what_is_wrong(tmp_path: Path, whole: Path) -> None:
    told = _run("so2sat-export", whole, "--index", 2, "--out", tmp_path / "p.tif", "--geo", whole)
    assert told.exit_code == 1
    assert "neither 'city'" in told.stderr
    assert not (tmp_path / "p.tif").exists()
    assert _run("so2sat-info", tmp_path / "none.h5").exit_code == 1
    assert _run("so2sat-export", whole, "--index", -1, "--out", tmp_path / "p.tif").exit_code == 2
