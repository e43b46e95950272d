"""Pictures from catalogues over HTTP: one file with all bands, the newest above the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
from shapely.geometry import box, mapping

from jobs.area import Area, parse_area, project
from jobs.errors import BadImage, NoImagery
from jobs.request import Inputs
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.uploads import UploadStore
from tests.integration.stac_site import LEFT, PIXEL, SURVEY, TOP, Site, api, served, static, survey
from tests.servers.pictures import picture_card
from worker.imagery import Imagery, ImageryPlan, open_imagery, plan_imagery

CARD = picture_card()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    with served(tmp_path / "site") as running:
        yield running


def area(columns: int, rows: int = 200) -> Area:
    """Return the area of so many pixels from the pictures' upper-left corner on."""
    outline = box(LEFT, TOP - rows * PIXEL, LEFT + columns * PIXEL, TOP)
    lonlat = project(outline, "EPSG:4326", source="EPSG:32632")
    return parse_area(mapping(lonlat), pointer="/inputs/aoi", max_vertices=999)


def picture(seed: int, *, bands: int = 3, width: int = 300) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (bands, 200, width)).astype(np.uint8)


def run(root: str, where: Area, folder: Path, **search: Any) -> tuple[ImageryPlan, Imagery]:
    settings = Settings(storage_url=f"file://{folder}/store", stac_url=root, stac_timeout=5)
    uploads = UploadStore(Storage(settings))
    asked = {"collection": SURVEY, "datetime": "2020/2026"} | search
    inputs = Inputs(imagery={"stac": asked}, aoi=where.geojson)
    plan = plan_imagery(inputs, CARD, where, uploads, settings, folder)
    plan = ImageryPlan.model_validate_json(plan.model_dump_json())
    return plan, open_imagery(plan, CARD, uploads, settings, folder)


@pytest.mark.parametrize("publish", [static, api])
def test_the_newest_picture_lies_above_the_others(site: Site, tmp_path: Path, publish: Any) -> None:
    old, new = picture(1), picture(2, width=100)
    items = [
        survey(site, "old", "2021-06-01T10:00:00", old),
        survey(site, "new", "2024-06-01T10:00:00", new),
        survey(site, "covered", "2020-06-01T10:00:00", picture(3)),
    ]
    plan, imagery = run(publish(site, *items, collection=SURVEY), area(300), tmp_path)
    assert [scene.id for scene in plan.scenes] == ["new", "old"]
    assert (plan.pixel_grid.resolution, plan.pixel_grid.crs, plan.warnings) == (PIXEL, "EPSG:32632", ())
    assert plan.attribution == "Imagery: aerial"
    grid = plan.pixel_grid
    image = imagery.read(0, 0, grid.height, grid.width)
    column, row = round((LEFT - grid.left) / PIXEL), round((grid.top - TOP) / PIXEL)
    expected = np.concatenate([new, old[:, :, 100:]], axis=2) / 255
    seen = image.reflectance[:, row : row + 200, column : column + 300]
    np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_infrared_among_the_bands_is_let_alone(site: Site, tmp_path: Path) -> None:
    data = picture(1, bands=4)
    item = survey(site, "a", "2021-06-01T10:00:00", data, bands=("Red", "Green", "Blue", "NIR"))
    plan, _ = run(static(site, item, collection=SURVEY), area(300), tmp_path)
    assert [(band.band, band.index) for band in plan.stacks[0].layers[0].files[0].bands] == [
        ("red", 1), ("green", 2), ("blue", 3),
    ]  # fmt: skip


def test_ground_that_no_picture_shows_is_told(site: Site, tmp_path: Path) -> None:
    item = survey(site, "a", "2021-06-01T10:00:00", picture(1))
    plan, _ = run(static(site, item, collection=SURVEY), area(600), tmp_path)
    assert plan.coverage == pytest.approx(0.5, abs=0.01)
    assert [warned.code for warned in plan.warnings] == ["partial-coverage"]


@pytest.mark.parametrize(
    ("told", "search", "expected"),
    [
        ({"bands": ("Red", "Green")}, {}, "1 without one file of red, green, blue"),
        ({}, {"datetime": "2022"}, "1 outside the time asked for"),
    ],
)
def test_pictures_that_do_not_fit_are_counted(
    site: Site, tmp_path: Path, told: dict[str, Any], search: dict[str, Any], expected: str
) -> None:
    item = survey(site, "a", "2021-06-01T10:00:00", picture(1), **told)
    with pytest.raises(NoImagery, match=expected):
        run(static(site, item, collection=SURVEY), area(300), tmp_path, **search)


@pytest.mark.parametrize("data", [picture(1).astype(np.uint16), picture(1)[:2]], ids=["deep", "without blue"])
def test_files_that_are_not_what_their_item_says_are_named(site: Site, tmp_path: Path, data: np.ndarray) -> None:
    item = survey(site, "a", "2021-06-01T10:00:00", data)
    with pytest.raises(BadImage, match=rf"a holds {len(data)} bands of {data.dtype}; .*upload the file instead"):
        run(static(site, item, collection=SURVEY), area(300), tmp_path)


def test_files_of_other_hosts_are_not_read(site: Site, tmp_path: Path) -> None:
    item = survey(site, "a", "2021-06-01T10:00:00", picture(1))
    item.assets["image"] = pystac.Asset("http://10.0.0.1/a.tif", extra_fields=item.assets["image"].extra_fields)
    del item.assets["thumbnail"]
    with pytest.raises(NoImagery, match="not read because"):
        run(static(site, item, collection=SURVEY), area(300), tmp_path)
