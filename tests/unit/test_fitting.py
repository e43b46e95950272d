"""Fitting the thresholds of units: the measures it minimises, the search, and the section it writes into a card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from shapely.geometry import box

from jobs.area import Grid
from models.cards import CARDS_DIR, UnitThresholds, read_card
from models.classes import LOCAL_CLIMATE_ZONES
from models.errors import BadCard
from worker.parcels.units.borders import border_pixels, boundary_f1, patch_sizes
from worker.parcels.units.fitting import GRID, fit, report, units_section, with_units, write_units
from worker.parcels.units.validation import FILES, Area, BadValidationArea, read_area, scene_cells, write_area
from worker.parcels.vectors.cleaning import clean_parcels

SIDE, BLOCK = 78, 13  # pixels: blocks that no scene cell fits


def area_of(seed: int = 0, noise: float = 0.35) -> Area:
    """Six by six blocks of four plots, of one class each; every pixel's probabilities are mixed with noise."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, 6, (SIDE // BLOCK, SIDE // BLOCK))
    truth = codes.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1).astype(np.uint8)
    shares = (1 - noise) * np.eye(17)[truth - 1] + noise * rng.dirichlet(np.full(17, 0.1), (SIDE, SIDE))
    values = np.rint(255 * shares).astype(np.uint8).transpose(2, 0, 1)
    grid = Grid("EPSG:32633", 500_000.0, 6_000_000.0, 10.0, SIDE, SIDE)
    left, bottom, right, top = grid.bounds
    xs, ys = (corner.ravel() for corner in np.meshgrid(np.arange(left, right, 65), np.arange(bottom, top, 65)))
    # A street of 6 m on two sides of every block.
    west, south = xs + 6 * ((xs - left) % 130 == 0), ys + 6 * ((ys - bottom) % 130 == 0)
    shapes = shapely.box(west, south, xs + 65, ys + 65)
    frame = gpd.GeoDataFrame({"parcel_id": [str(k) for k in range(len(shapes))]}, geometry=shapes, crs=grid.crs)
    parcels = clean_parcels(frame, box(*grid.bounds)).frame
    return Area(f"area-{seed}", values, truth, parcels, grid, LOCAL_CLIMATE_ZONES)


def test_border_pixels_are_one_pixel_wide_and_only_between_known_classes() -> None:
    codes = np.array([[1, 1, 2], [1, 1, 2], [3, 0, 2]])
    told = border_pixels(codes, codes > 0)
    assert told.tolist() == [[False, True, False], [True, True, False], [False, False, False]]


def test_boundary_f1_forgives_one_pixel_and_no_more() -> None:
    truth = np.where(np.arange(40) < 20, 1, 2)[None].repeat(40, axis=0)
    assert boundary_f1(truth, truth) == 1
    assert boundary_f1(np.roll(truth, 1, axis=1)[:, 2:-2], truth[:, 2:-2]) == 1
    assert boundary_f1(np.roll(truth, 2, axis=1)[:, 2:-2], truth[:, 2:-2]) == 0
    assert boundary_f1(np.ones_like(truth), truth) == 0
    assert boundary_f1(np.ones_like(truth), np.full_like(truth, 3)) == 1
    both = truth.copy()
    both[:, 5] = 3  # three lines, of which one is true: precision a third, recall whole
    assert boundary_f1(both, truth) == pytest.approx(0.5)


def test_patches_connect_through_their_sides() -> None:
    codes = np.array([[1, 0, 2], [0, 1, 2], [3, 3, 2]])
    assert sorted(patch_sizes(codes)) == [1, 1, 2, 3]
    assert not len(patch_sizes(np.zeros((3, 3), np.uint8)))


def test_scene_cells_are_the_nodes_at_their_centres() -> None:
    values = np.arange(25 * 31).reshape(1, 25, 31).astype(np.uint8)
    assert (scene_cells(values, 10) == values[:, [5, 15, 24]][:, :, [5, 15, 25, 30]]).all()
    assert scene_cells(values, 1) is values


def test_the_loss_is_that_of_the_unit_that_decided() -> None:
    area = area_of(noise=0.0)
    sure = area.loss(UnitThresholds(street_reach=20.0, parcel_top=0.0, parcel_entropy=1.0, block_min_area=0.0))
    assert sure.surprise == pytest.approx(0, abs=1e-9)
    assert (sure.borders, sure.crumbs, sure.harm) == (0, 0, 0)
    values = np.zeros_like(area.probabilities)
    values[0], values[1] = 204, 51
    told = Area("x", values, np.full_like(area.truth, 2), area.parcels, area.grid, area.classes)
    for mode_limits in (UnitThresholds(), UnitThresholds(scene_top=1.0)):
        assert told.loss(mode_limits).surprise == pytest.approx(-np.log(0.2))
    none = Area("x", values, np.full_like(area.truth, 3), area.parcels, area.grid, area.classes)
    assert none.loss(UnitThresholds()).surprise == pytest.approx(-np.log(0.5 / 255))


def test_what_parcels_spoil_is_told() -> None:
    area = area_of(noise=0.0)
    left, bottom, right, top = area.grid.bounds
    whole = gpd.GeoDataFrame({"parcel_id": ["all"]}, geometry=[box(left, bottom, right, top)], crs=area.grid.crs)
    parcels = clean_parcels(whole, box(*area.grid.bounds)).frame
    spoilt = Area("x", area.probabilities, area.truth, parcels, area.grid, area.classes)
    right_now = np.bincount(area.truth.ravel()).max() / area.truth.size
    assert spoilt.loss(UnitThresholds(parcel_top=0.0, parcel_entropy=1.0)).harm == pytest.approx(1 - right_now)


def test_a_fit_finds_the_blocks_and_repeats_itself() -> None:
    areas = [area_of(seed, noise=0.6) for seed in (1, 2)]
    start = UnitThresholds(parcel_top=0.9)
    fitted = fit(areas, start, sweeps=1)
    assert fitted.thresholds.block_min_area <= 1e4
    assert fitted.thresholds.parcel_top < 0.9
    assert fitted.after.mean() < fitted.before.mean()
    assert set(fitted.stability) == set(GRID)
    again = fit(areas, start, sweeps=1)
    assert again.thresholds == fitted.thresholds
    told = report(fitted, areas)
    assert told["after"]["borders"] < told["before"]["borders"]
    with pytest.raises(ValueError, match="without a validation area"):
        fit([], start)


def test_the_section_goes_into_a_card_and_is_replaced() -> None:
    text = (CARDS_DIR / "sen2lcz-net-mf.toml").read_text(encoding="utf-8")
    limits = UnitThresholds(parcel_top=0.5, filter_scale=0.25)
    once = with_units(text, units_section(limits, "Fitted on nothing."))
    assert once.index("[units]") < once.index("[[accuracy]]")
    assert with_units(once, units_section(limits, "Fitted on nothing.")) == once
    other = with_units(once, units_section(UnitThresholds(), "Fitted again."))
    assert other.count("[units]") == 1
    assert "Fitted on nothing" not in other
    assert with_units('id = "x"\n', "[units]\n") == 'id = "x"\n\n[units]\n'


def test_writing_keeps_the_card_whole(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_bytes((CARDS_DIR / "magnet.toml").read_bytes())
    before = read_card(path)
    limits = UnitThresholds(scene_top=0.7)
    card = write_units(path, units_section(limits, "Fitted on nothing."))
    assert card.units == read_card(path).units == limits
    assert card.model_copy(update={"units": before.units}) == before
    kept = path.read_bytes()
    with pytest.raises(BadCard):
        write_units(path, "[units]\nscene_top = 7.0\n")
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]


def test_areas_survive_the_disk(tmp_path: Path) -> None:
    area = area_of()
    write_area(area, tmp_path / "there")
    back = read_area(tmp_path / "there", LOCAL_CLIMATE_ZONES, resolution=10.0, scene=10)
    assert (back.probabilities == area.probabilities).all()
    assert (back.truth == area.truth).all()
    assert back.grid == area.grid
    assert back.loss(UnitThresholds()) == area.loss(UnitThresholds())


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    area = area_of()
    told = {"classes": LOCAL_CLIMATE_ZONES, "resolution": 10.0, "scene": 10}
    with pytest.raises(BadValidationArea, match=r"lacks probabilities\.tif"):
        read_area(tmp_path, **told)
    for wrong, message in (({"resolution": 20.0}, "on one grid of 20 m"), ({"classes": LOCAL_CLIMATE_ZONES[:9]}, "9")):
        write_area(area, tmp_path / "a")
        with pytest.raises(BadValidationArea, match=message):
            read_area(tmp_path / "a", **(told | wrong))
    (tmp_path / "a" / FILES[2]).write_bytes(b"no parquet")
    with pytest.raises(BadValidationArea, match="GeoParquet"):
        read_area(tmp_path / "a", **told)
    with rasterio.open(tmp_path / "a" / FILES[1], "r+") as truth:
        truth.write(np.full((SIDE, SIDE), 77, np.uint8), 1)
    with pytest.raises(BadValidationArea, match=r"truth\.tif needs codes"):
        read_area(tmp_path / "a", **told)
    (tmp_path / "a" / FILES[0]).write_bytes(b"no raster")
    with pytest.raises(BadValidationArea, match="cannot be read as a raster"):
        read_area(tmp_path / "a", **told)


def test_the_command_prints_the_section_and_ends_in_json(tmp_path: Path) -> None:
    write_area(area_of(noise=0.5), tmp_path / "one")
    command = [
        sys.executable,
        "-m",
        "worker.parcels.units.fitting",
        str(tmp_path / "one"),
        "--card",
        "magnet",
        "--defaults",
    ]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["areas"] == ["one"]
    assert "[units]" in told.stderr
    assert UnitThresholds.model_validate(found["thresholds"])
    missing = subprocess.run([*command[:3], str(tmp_path), "--card", "magnet"], capture_output=True, text=True,
                             timeout=300, check=False)  # fmt: skip
    assert missing.returncode == 1
    assert "a validation area is a folder" in missing.stderr
