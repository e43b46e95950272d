"""Reading a city's folder: lattices, layers, masks, windows, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from models.data.cities.arrays import load_arrays, patches, save_arrays
from models.data.cities.ground import CityGround, cell_means, lattice_offset, read_city, registered
from models.data.cities.vectors import LANDUSE, STREETS, BadCity, building_heights
from tests.city_folder import ABSENT, LATTICE, UNMAPPED, truth_cells, write_city


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_city(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def city(folder: Path) -> CityGround:
    return read_city(folder)


def test_a_folder_becomes_a_ground(city: CityGround) -> None:
    assert (city.name, city.seasons, city.lattice) == ("probe", ("spring", "summer"), LATTICE)
    assert city.reflectance.shape == (2, 3, 400, 500)
    assert city.reflectance.dtype == np.float32
    assert 0 < city.reflectance.max() < 0.4
    assert city.morphology.shape == (6, 400, 500)
    rows, columns = np.nonzero(city.known)
    assert (truth_cells()[rows, columns] == city.truth[city.known]).all()


def test_cells_without_osm_or_imagery_are_not_known(city: CityGround) -> None:
    rows, columns = city.cells.T
    kilometres = (LATTICE[0] + 10 * rows + 5) // 100 * 5 + (LATTICE[1] + 10 * columns + 5) // 100
    assert UNMAPPED not in kilometres
    assert ABSENT not in kilometres
    assert len(np.unique(kilometres)) == 18
    assert len(np.unique(city.blocks(city.cells))) == 18
    assert not city.morphology[:, :90, :90].any()


def test_gaps_take_the_nearest_pixel(city: CityGround) -> None:
    assert not city.valid[150, 250]
    assert (city.reflectance[:, :, 150, 250] > 0).all()


def test_layers_lie_where_they_are(city: CityGround) -> None:
    assert city.streets is not None
    assert city.landuse is not None
    assert city.zoning is not None
    road, rail = city.streets[STREETS.index("major")], city.streets[STREETS.index("rail")]
    assert road[155, 100:200] == pytest.approx(1.0, abs=0.01)
    assert road.sum() == pytest.approx(100, rel=0.01)
    assert rail[100:200, 200] == pytest.approx(1.0, abs=0.01)
    shape = city.truth.shape
    farmland = cell_means(city.landuse[LANDUSE.index("farmland")], city.lattice, shape)
    whole = truth_cells()
    assert (farmland[: whole.shape[0], : whole.shape[1]][whole == 14] == 1).all()
    assert city.zoning[0].sum() == pytest.approx(100 * (city.truth == 8).sum(), rel=0.02)


def test_buildings_have_the_height_of_their_tags(city: CityGround) -> None:
    built = cell_means(city.morphology[0], city.lattice, city.truth.shape)
    for code, share in ((2, 0.36), (6, 0.04), (8, 0.36), (14, 0.0)):
        cells = city.cells[city.codes(city.cells) == code]
        assert np.median(built[cells[:, 0], cells[:, 1]]) == pytest.approx(share, abs=0.005)
    roofs = city.morphology[1][city.morphology[0] == 1]
    assert set(np.round(np.expm1(4 * np.unique(roofs)), 2)) == {6.0, 9.0, 15.0}


def test_heights_from_tags() -> None:
    heights = building_heights(
        [30.5, None, float("nan"), "12 m", "2,5", -3.0, None, "inf"],
        ["4", "3", "1.5", None, None, None, "house", "0"],
        ["yes", "yes", "yes", "yes", "yes", "garage", "apartments", None],
    )
    assert heights.tolist() == [30.5, 9.0, 4.5, 12.0, 2.5, 3.0, 15.0, 6.0]


@pytest.mark.parametrize("offset", [(0, 0), (9, 0), (4, 6)])
def test_the_lattice_is_read_off_the_blocks(offset: tuple[int, int]) -> None:
    codes = np.kron(np.random.default_rng(3).integers(1, 18, (30, 20)), np.ones((10, 10), dtype=int))
    cut = codes[(10 - offset[0]) % 10 :, (10 - offset[1]) % 10 :]
    assert lattice_offset(cut) == offset


def test_windows_are_centred_on_their_cell(city: CityGround) -> None:
    cells = city.cells[[0, 40, -1]]
    cut = patches(city, cells)
    assert cut.reflectance.shape == (3, 2, 3, 32, 32)
    assert cut.morphology.shape == (3, 6, 32, 32)
    row, column = np.array(LATTICE) + 10 * cells[1]
    rows, columns = slice(row - 11, row + 21), slice(column - 11, column + 21)
    assert (cut.reflectance[1] == city.reflectance[..., rows, columns]).all()
    assert (patches(city, cells[1:2], context=4).morphology[0, :, 4:-4, 4:-4] == cut.morphology[1]).all()


def test_windows_beyond_the_grid_repeat_the_edge(city: CityGround) -> None:
    cut = patches(city, np.array([[0, 0], [city.truth.shape[0] - 1, 0]]), window=64)
    assert (cut.reflectance > 0).all()
    assert not cut.morphology[0, :, :20].any()
    with pytest.raises(BadCity, match="cells inside"):
        patches(city, np.array([[-1, 0]]))


def test_a_packed_city_is_the_same_city(city: CityGround, tmp_path: Path) -> None:
    save_arrays(city, tmp_path / "city.npz")
    again = load_arrays(tmp_path / "city.npz")
    assert (again.codes(again.cells) == city.codes(city.cells)).all()
    assert (again.blocks(again.cells) == city.blocks(city.cells)).all()
    mine, its = patches(city, city.cells), patches(again, again.cells)
    assert abs(mine.reflectance - its.reflectance).max() < 0.0003
    assert abs(mine.morphology - its.morphology).max() < 0.002
    # Cells count from the first one kept: their places on the ground are the same.
    corners = [ground.transform.c + 10 * (ground.lattice[1] + 10 * ground.cells[7][1]) for ground in (city, again)]
    assert corners[0] == pytest.approx(corners[1])


def test_other_files_are_no_packed_city(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    np.savez(tmp_path / "b.npz", name=np.array("x"))
    for path in tmp_path.iterdir():
        with pytest.raises(BadCity, match="not a packed city"):
            load_arrays(path)


def _broken(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "broken"))


def test_optional_layers_may_be_absent(tmp_path: Path) -> None:
    city = read_city(write_city(tmp_path / "bare", seasons=("winter",), full=False))
    assert city.seasons == ("winter",)
    assert city.streets is None
    assert city.landuse is None
    assert city.zoning is None


@pytest.mark.parametrize(
    "file", ["probe_lcz.tif", "probe_osm_cells.geojson", "probe_osm_buildings.gpkg.zip", "probe_sen2_rgb_summer.tif"]
)
def test_a_damaged_file_is_named(folder: Path, tmp_path: Path, file: str) -> None:
    broken = _broken(folder, tmp_path)
    (broken / file).write_bytes(b"not what it was")
    with pytest.raises(BadCity, match=file):
        read_city(broken)


@pytest.mark.parametrize("file", ["probe_osm_cells.geojson", "probe_osm_buildings.gpkg.zip"])
def test_a_missing_file_is_named(folder: Path, tmp_path: Path, file: str) -> None:
    broken = _broken(folder, tmp_path)
    (broken / file).unlink()
    with pytest.raises(BadCity, match=file):
        read_city(broken)


def test_two_cities_or_none_are_refused(folder: Path, tmp_path: Path) -> None:
    broken = _broken(folder, tmp_path)
    shutil.copy(broken / "probe_lcz.tif", broken / "other_lcz.tif")
    with pytest.raises(BadCity, match="2 files"):
        read_city(broken)
    with pytest.raises(BadCity, match="not a folder"):
        read_city(tmp_path / "nowhere")


def test_codes_and_lattices_are_checked(folder: Path, tmp_path: Path) -> None:
    broken = _broken(folder, tmp_path)
    with rasterio.open(broken / "probe_lcz.tif", "r+") as dataset:
        codes = dataset.read()
        codes[0, 5, 5] = 99
        dataset.write(codes)
    with pytest.raises(BadCity, match="holds 99"):
        read_city(broken)
    with rasterio.open(broken / "probe_lcz.tif", "r+") as dataset:
        dataset.transform = Affine(10, 0, dataset.transform.c + 4, 0, -10, dataset.transform.f)
    with pytest.raises(BadCity, match="pixels off"):
        read_city(broken)


def test_squares_must_say_whether_they_are_mapped(folder: Path, tmp_path: Path) -> None:
    broken = _broken(folder, tmp_path)
    path = broken / "probe_osm_cells.geojson"
    squares = json.loads(path.read_text())
    for square in squares["features"]:
        del square["properties"]["osm_available"]
    path.write_text(json.dumps(squares))
    with pytest.raises(BadCity, match="osm_available"):
        read_city(broken)


@pytest.mark.parametrize("told", [("true", "False"), (1, 0), ("t", None)])
def test_squares_say_it_as_their_writer_does(
    folder: Path, tmp_path: Path, city: CityGround, told: tuple[object, object]
) -> None:
    broken = _broken(folder, tmp_path)
    path = broken / "probe_osm_cells.geojson"
    squares = json.loads(path.read_text())
    for square in squares["features"]:
        square["properties"]["osm_available"] = told[0 if square["properties"]["osm_available"] else 1]
    path.write_text(json.dumps(squares))
    assert (read_city(broken).known == city.known).all()


@pytest.mark.real_data
def test_gdansk(shared_data: Path) -> None:
    city = read_city(shared_data / "so2sat_pop_gdansk")
    assert city.lattice == (0, 0)  # on the imagery's grid, which starts a row above the class raster's
    assert len(city.seasons) == 4
    assert len(np.unique(city.blocks(city.cells))) == 245
    assert int(city.known.sum()) == 24100
    assert np.bincount(city.codes(city.cells), minlength=18)[[2, 5, 8, 14]].tolist() == [3, 1552, 2265, 7869]


def test_a_registered_city_shows_each_cell_the_ground_half_a_cell_up_and_left(city: CityGround) -> None:
    moved = registered(city)
    row, column = city.lattice
    assert moved.lattice == city.lattice
    assert moved.reflectance.shape[2:] == (405, 505)
    there = moved.reflectance[..., row + 20 : row + 30, column + 30 : column + 40]
    assert (there == city.reflectance[..., row + 15 : row + 25, column + 25 : column + 35]).all()
    assert moved.transform @ (5, 5) == pytest.approx(city.transform @ (0, 0))
    assert not moved.morphology[:, :5].any()
    assert not moved.valid[:5].any()
    assert (moved.truth == city.truth).all()
    with pytest.raises(BadCity, match="moved up and left"):
        registered(city, (1, 0))
