"""The imagery as a picture: one stretch for all, no seams between blocks, nothing where there was no imagery."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from jobs.area import Grid, area_of, project
from jobs.plan import Plan, cut_blocks, grid_record
from jobs.settings import Settings
from jobs.storage import Storage
from models.cards import Card, card_of
from tests.servers.pictures import picture_card
from worker.imagery import BlockImage
from worker.imagery.colours import COLOURS, WHITE, of_numbers, of_reflectance
from worker.pipeline import pictures

GRID = Grid("EPSG:32633", 390_000, 5_820_000, 10.0, 150, 130)
AREA = area_of(GRID.window(20, 10, 100, 120))  # rows 20-119, columns 10-129
HALO = 2


def small(card: Card) -> Card:
    return card.model_copy(update={"geometry": card.geometry.model_copy(update={"halo": HALO})})


ZONES, PHOTOS = small(card_of("magnet")), small(picture_card())


def plan_of(card: Card, block_pixels: int) -> Plan:
    blocks = cut_blocks(GRID, block_pixels, project(AREA.geometry, GRID.crs))
    return Plan(
        job=f"job_{block_pixels}", model=card.id, model_version="1", grid=grid_record(GRID), block_pixels=block_pixels,
        blocks=blocks, aoi=AREA.geojson, km2=AREA.km2, imagery={}, building_bounds=None, parcels=None,
        units="auto", keeps_pictures=True, outputs=("image",), warnings=(),
    )  # fmt: skip


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(Settings.model_validate({"storage_url": f"file://{tmp_path}/store"}))


def scene(card: Card) -> BlockImage:
    """The grid and a halo around it, without imagery in columns 40 to 59; half the values are beyond white."""
    rng = np.random.default_rng(4)
    shape = (GRID.height + 2 * HALO, GRID.width + 2 * HALO)
    values = rng.random((len(card.input.bands), *shape)).astype(np.float32)
    valid = np.ones(shape, np.bool_)
    valid[:, HALO + 40 : HALO + 60] = False
    return BlockImage(values, valid)


def made(storage: Storage, card: Card, plan: Plan, image: BlockImage, target: Path, unread: str = "") -> bytes:
    """Return the published picture of a job whose blocks were mapped one by one, but for one left unread."""
    pictures.create(storage, plan, card)
    for block in (b for b in plan.blocks if b.id != unread):
        cut = (
            slice(block.row, block.row + block.height + 2 * HALO),
            slice(block.column, block.column + block.width + 2 * HALO),
        )
        seen = BlockImage(image.reflectance[:, *cut], image.valid[cut])
        pictures.write(storage, plan, card, block, pictures.gather(plan, card, block, seen))
    pictures.publish(storage, plan, card, target, tags={"JOB": "x"})
    return target.read_bytes()


def test_reflectance_is_stretched_alike_everywhere() -> None:
    steps = np.linspace(-0.1, 1.2, 2000, dtype=np.float32)
    shown = of_reflectance(steps)
    assert (np.diff(shown.astype(int)) >= 0).all()
    assert of_reflectance(np.float32([-1, 0, WHITE, 3, np.inf])).tolist() == [1, 1, 255, 255, 255]
    assert of_reflectance(np.float32([0.05, 0.1, 0.2])).tolist() == [72, 117, 191]
    assert (of_reflectance(steps[500:600]) == shown[500:600]).all()


def test_bytes_of_pictures_come_back() -> None:
    numbers = np.arange(256, dtype=np.uint8)
    assert of_numbers(numbers * np.float64(1 / 255)).tolist() == [1, *range(1, 256)]
    assert of_numbers((numbers * (1 / 255)).astype(np.float32)).tolist() == [1, *range(1, 256)]


@pytest.mark.parametrize("card", [ZONES, PHOTOS], ids=["reflectance", "numbers"])
def test_blocks_meet_without_seams_and_twice_is_once(storage: Storage, tmp_path: Path, card: Card) -> None:
    image, found = scene(card), []
    for side in (48, 150):
        plan = plan_of(card, side)
        data = made(storage, card, plan, image, tmp_path / f"{side}.tif")
        assert made(storage, card, plan, image, tmp_path / f"{side}.tif") == data
        with rasterio.open(tmp_path / f"{side}.tif") as raster:
            found.append(raster.read())
    assert np.array_equal(*found)
    bands = COLOURS if card is PHOTOS else ("B04", "B03", "B02")
    places = [card.input.bands.index(band) for band in bands]
    core = image.reflectance[places, HALO:-HALO, HALO:-HALO]
    shown = of_numbers(core) if card is PHOTOS else of_reflectance(core)
    inside = np.zeros(GRID.shape, np.bool_)
    inside[20:120, 10:130] = True
    inside[:, 40:60] = False
    assert np.array_equal(found[0], np.where(inside, shown, 0))


def test_a_block_never_read_stays_empty_in_a_valid_file(storage: Storage, tmp_path: Path) -> None:
    plan = plan_of(ZONES, 48)
    made(storage, ZONES, plan, scene(ZONES), tmp_path / "image.tif", plan.blocks[1].id)
    assert cog_validate(tmp_path / "image.tif", strict=True, quiet=True)[0]
    with rasterio.open(tmp_path / "image.tif") as raster:
        assert (raster.crs, raster.transform, raster.shape) == (GRID.crs, GRID.transform, GRID.shape)
        assert (raster.nodata, raster.dtypes) == (0, ("uint8",) * 3)
        assert [c.name for c in raster.colorinterp] == list(raster.descriptions) == ["red", "green", "blue"]
        values = raster.read()
    rows, columns = plan.blocks[1].slices
    assert not values[:, rows, columns].any()
    assert values.any()


def test_a_job_without_pictures_keeps_none(storage: Storage) -> None:
    plan = plan_of(ZONES, 48).model_copy(update={"keeps_pictures": False})
    pictures.create(storage, plan, ZONES)
    assert storage.keys(pictures.path(plan.job)) == []
    assert pictures.read(storage, plan, ZONES, plan.blocks[0]) is None
