"""Sentinel-2 from catalogues over HTTP: a static one that is walked, and an API whose search is asked for real."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from shapely.geometry import box, mapping, shape

from jobs.area import Area, parse_area, project
from jobs.errors import ImageryUnavailable, InvalidRequest, NoImagery
from jobs.request import Inputs
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.uploads import UploadStore
from tests.integration.stac_site import BANDS, CARD, FINE, LEFT, SIDE, TOP, Site, api, scene, served, static, truth
from worker.imagery import Imagery, ImageryPlan, open_imagery, plan_imagery


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    with served(folder) as running:
        yield running


def area(left: float = LEFT + 500, top: float = TOP - 500, side: float = 900.0) -> Area:
    outline = project(box(left, top - side, left + side, top), "EPSG:4326", source="EPSG:32632")
    return parse_area(mapping(outline), pointer="/inputs/aoi", max_vertices=999)


@dataclass
class Job:
    """A plan and its image."""

    plan: ImageryPlan
    imagery: Imagery

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        grid = self.plan.pixel_grid
        image = self.imagery.read(0, 0, grid.height, grid.width)
        return image.reflectance, image.valid

    def expected(self, seed: int = 0) -> np.ndarray:
        """Return the true reflectance of the 10 m bands over the grid."""
        grid = self.plan.pixel_grid
        row, column = round((TOP - grid.top) / 10), round((grid.left - LEFT) / 10)
        return truth(seed)[:, row : row + grid.height, column : column + grid.width] * 0.0001


def run(root: str, where: Area, tmp_path: Path, *, allowed: str | None = None, **search: Any) -> Job:
    settings = Settings(storage_url=f"file://{tmp_path}/store", stac_url=allowed or root, stac_timeout=5)
    uploads = UploadStore(Storage(settings))
    asked = {"datetime": "2026-05-01/2026-09-30"} | search
    inputs = Inputs(imagery={"stac": asked}, aoi=where.geojson)
    plan = plan_imagery(inputs, CARD, where, uploads, settings, tmp_path)
    plan = ImageryPlan.model_validate_json(plan.model_dump_json())
    return Job(plan, open_imagery(plan, CARD, uploads, settings, tmp_path))


@pytest.mark.parametrize("publish", [static, api])
def test_reflectance_comes_back(site: Site, tmp_path: Path, publish: Any) -> None:
    root = publish(site, scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00"))
    job = run(root, area(), tmp_path)
    values, valid = job.read()
    assert valid.all()
    assert job.plan.pixel_grid.crs == "EPSG:32632"
    np.testing.assert_allclose(values[0], job.expected()[0], atol=1e-6)
    assert np.abs(values[3] - job.expected()[3]).mean() < 0.01, "20 m bands are interpolated"
    (used,) = job.plan.scenes
    assert used.href is not None
    assert used.href.startswith(site.url)
    assert (used.clear, used.offset) == (1.0, 0.0)
    assert "neither offset nor baseline" in used.why
    assert job.plan.attribution == "Contains modified Copernicus Sentinel data 2026"
    assert {w.code for w in job.plan.warnings} == {"offset-doubtful"}


def test_search_is_asked_with_the_area_and_paged(site: Site, tmp_path: Path) -> None:
    items = [scene(site, f"S2B_32TPT_2026070{i}_0_L2A", f"2026-07-0{i}T10:10:00", seed=i) for i in range(1, 6)]
    job = run(api(site, *items), area(), tmp_path)
    first = site.searches[0]
    assert first["collections"] == ["sentinel-2-l2a"]
    assert shape(first["intersects"]).area == pytest.approx(area().geometry.area)
    assert first["query"] == {"eo:cloud_cover": {"lte": 20.0}}
    assert [s.get("token") for s in site.searches] == [None, 2, 4]
    assert len(job.plan.stacks) == 3, "the median of three, although five are clear"


def test_an_api_without_sorting_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.refuse_sort = True
    job = run(api(site, scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00")), area(), tmp_path)
    assert "sortby" in site.searches[0]
    assert "sortby" not in site.searches[1]
    assert len(job.plan.scenes) == 1


@pytest.mark.parametrize(
    ("properties", "bands", "shift", "offset", "why"),
    [
        ({"earthsearch:boa_offset_applied": True}, -0.1, 0, 0.0, "has been applied"),
        ({"earthsearch:boa_offset_applied": False}, -0.1, 1000, -0.1, "as the item gives them"),
        ({"earthsearch:boa_offset_applied": False}, -0.1, 0, 0.0, "overruled"),
        ({"s2:processing_baseline": "05.11"}, None, 1000, -0.1, "baseline 05.11"),
        ({"s2:processing_baseline": "02.14"}, None, 0, 0.0, "before the offset"),
    ],
)
def test_offsets_are_decided_item_by_item(
    site: Site, tmp_path: Path, properties: dict[str, Any], bands: float | None, shift: int, offset: float, why: str
) -> None:
    item = scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00", shift=shift, **properties)
    if bands is not None:
        for asset in item.assets.values():
            asset.extra_fields["raster:bands"] = [{"scale": 0.0001, "offset": bands}]
    job = run(static(site, item), area(), tmp_path)
    assert why in job.plan.scenes[0].why
    assert job.plan.scenes[0].offset == offset
    values, _ = job.read()
    np.testing.assert_allclose(values[0], job.expected()[0], atol=1e-6)
    assert ("offset-doubtful" in {w.code for w in job.plan.warnings}) is (why == "overruled")


def test_stac_1_1_bands_and_esa_asset_names(site: Site, tmp_path: Path) -> None:
    names = {band: f"{band}_{10 if band in FINE else 20}m" for band in BANDS} | {"B02": "B02"}
    item = scene(
        site,
        "S2B_MSIL2A_20260701T101010_N0511_R022_T32TPT_20260701T140000",
        "2026-07-01T10:10:00",
        shift=1000,
        names=names,
    )
    for asset in item.assets.values():
        asset.extra_fields["bands"] = [{"name": "x", "raster:scale": 0.0001, "raster:offset": -0.1}]
    values, _ = (job := run(static(site, item), area(), tmp_path)).read()
    np.testing.assert_allclose(values[0], job.expected()[0], atol=1e-6)


def test_clouds_are_masked_wider_and_filled_by_other_scenes(site: Site, tmp_path: Path) -> None:
    half = np.zeros((SIDE // 2, SIDE // 2), np.bool_)
    half[:, :50] = True
    items = [
        scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00", cloud=half),
        scene(site, "S2B_32TPT_20260711_0_L2A", "2026-07-11T10:10:00", cloud=~half, seed=1),
    ]
    job = run(static(site, *items), area(), tmp_path)
    values, valid = job.read()
    grid = job.plan.pixel_grid
    edge = round((LEFT + 1000 - grid.left) / 10)
    assert valid[:, : edge - 2].all()
    assert valid[:, edge + 2 :].all()
    assert not valid[:, edge - 2 : edge + 2].any(), "two pixels on either side of the cloud's edge"
    np.testing.assert_allclose(values[0][:, edge + 3 :], job.expected(0)[0][:, edge + 3 :], atol=1e-6)
    np.testing.assert_allclose(values[0][:, : edge - 3], job.expected(1)[0][:, : edge - 3], atol=1e-6)


def test_windows_do_not_matter(site: Site, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    spots = random.random((SIDE // 2, SIDE // 2)) < 0.02
    items = [
        scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00", cloud=spots),
        scene(site, "S2A_32TPT_20260706_0_L2A", "2026-07-06T10:10:00", cloud=spots[::-1], seed=1),
        scene(
            site,
            "S2B_33TUN_20260711_0_L2A",
            "2026-07-11T10:10:00",
            cloud=spots[:, ::-1],
            seed=2,
            corner=(151_000.0, 5_310_000.0),
            crs="EPSG:32633",
        ),
    ]
    job = run(static(site, *items), area(), tmp_path)
    assert len(job.plan.stacks) == 3
    whole = job.imagery.read(-10, -10, 110, 120)
    assert whole.valid.mean() > 0.9
    for row, column, height, width in ((-10, -10, 50, 60), (-3, 7, 33, 41), (40, 50, 1, 1), (64, 0, 36, 110)):
        part = job.imagery.read(row, column, height, width)
        place = slice(row + 10, row + 10 + height), slice(column + 10, column + 10 + width)
        assert part.valid.tobytes() == whole.valid[place].tobytes()
        assert part.reflectance.tobytes() == np.ascontiguousarray(whole.reflectance[:, *place]).tobytes()


def test_newest_baseline_of_a_datatake_wins(site: Site, tmp_path: Path) -> None:
    common = {"grid:code": "MGRS-32TPT"}
    old = scene(
        site,
        "old",
        "2026-07-01T10:10:00",
        **common,
        **{"s2:datatake_id": "GS2B_20260701T101010_043_N04.00", "s2:processing_baseline": "04.00"},
        shift=1000,
    )
    new = scene(
        site,
        "new",
        "2026-07-01T10:10:03",
        **common,
        **{"s2:datatake_id": "GS2B_20260701T101010_043_N05.11", "s2:processing_baseline": "05.11"},
        shift=1000,
    )
    job = run(static(site, old, new), area(), tmp_path)
    assert [s.id for s in job.plan.scenes] == ["new"]


def test_nothing_fits_says_what_was_searched(site: Site, tmp_path: Path) -> None:
    items = [
        scene(site, "S2B_32TPT_20250701_0_L2A", "2025-07-01T10:10:00"),
        scene(site, "S2B_32TPT_20260702_0_L2A", "2026-07-02T10:10:00", cover=80),
    ]
    root = static(site, *items)
    with pytest.raises(NoImagery) as caught:
        run(root, area(), tmp_path)
    told = caught.value.detail
    assert all(word in told for word in ("2026-05-01/2026-09-30", "2 items", "20 % cloud", "widen datetime"))
    with pytest.raises(NoImagery, match=r"1 beside the area"):
        run(root, area(left=LEFT + 90_000), tmp_path, max_cloud_cover=90)
    with pytest.raises(NoImagery, match=r"no collection 'landsat'.*sentinel-2-l2a"):
        run(root, area(), tmp_path, collection="landsat")
    with pytest.raises(InvalidRequest, match="ends before"):
        run(root, area(), tmp_path, datetime="2026-09-30/2026-05-01")
    with pytest.raises(InvalidRequest, match="neither a date"):
        run(root, area(), tmp_path, datetime="2026-99-30")


def test_all_clouded(site: Site, tmp_path: Path) -> None:
    everything = np.ones((SIDE // 2, SIDE // 2), np.bool_)
    root = static(site, scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00", cloud=everything))
    with pytest.raises(NoImagery, match="none has a clear pixel"):
        run(root, area(), tmp_path)


def test_partial_coverage_is_told(site: Site, tmp_path: Path) -> None:
    root = static(site, scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00"))
    job = run(root, area(left=LEFT + SIDE * 10 - 500, side=1000), tmp_path)
    warned = next(w for w in job.plan.warnings if w.code == "partial-coverage")
    percent = float(re.findall(r"([\d.]+) %", warned.detail)[0])
    assert 40 < percent < 60
    assert job.plan.coverage == pytest.approx(percent / 100, abs=0.01)


def test_catalogues_not_allowed(site: Site, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        run(static(site), area(), tmp_path, catalogue=f"{site.url}/other")
    assert caught.value.faults[0].pointer == "/inputs/imagery/stac/catalogue"


@pytest.mark.parametrize(
    ("href", "told"),
    [
        ("file:///etc/hostname", "only https"),
        ("/vsicurl/http://127.0.0.1/x.tif", "other than|not read|only https|answered"),
        ("s3://bucket/x.tif", "only https"),
        ("http://192.0.2.1/x.tif", "only https"),
        ("https://10.0.0.1/x.tif", "not a public"),
        ("https://localhost/x.tif", "not a public"),
        ("https://user:pw@example.com/x.tif", "password"),
    ],
)
def test_assets_elsewhere_are_not_read(site: Site, tmp_path: Path, href: str, told: str) -> None:
    item = scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00")
    item.assets["red"].href = href
    with pytest.raises((NoImagery, ImageryUnavailable), match=told):
        run(static(site, item), area(), tmp_path)


def test_redirects_are_not_followed(site: Site, tmp_path: Path) -> None:
    item = scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00")
    path = "/scenes/S2B_32TPT_20260701_0_L2A/B04.tif"
    site.moved[path] = "http://169.254.169.254/latest"
    with pytest.raises(ImageryUnavailable, match="redirects"):
        run(static(site, item), area(), tmp_path)
    root = static(site, item)
    site.moved = {urlsplit(root).path: "http://192.0.2.1/catalog.json"}
    with pytest.raises(ImageryUnavailable, match="did not answer as a STAC catalogue"):
        run(root, area(), tmp_path)


def test_assets_that_are_no_images(site: Site, tmp_path: Path) -> None:
    item = scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00")
    (site.folder / "scenes" / item.id / "B04.tif").write_text("<VRTDataset/>")
    with pytest.raises(ImageryUnavailable, match="neither TIFF"):
        run(static(site, item), area(), tmp_path)
    (site.folder / "scenes" / item.id / "B04.tif").unlink()
    with pytest.raises(ImageryUnavailable, match="status 404"):
        run(static(site, item), area(), tmp_path)


def test_a_busy_host_is_asked_again(site: Site, tmp_path: Path) -> None:
    root = static(site, scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00"))
    site.broken = {urlsplit(root).path: 2, "/scenes/S2B_32TPT_20260701_0_L2A/B04.tif": 2}
    job = run(root, area(), tmp_path)
    site.broken = {"/scenes/S2B_32TPT_20260701_0_L2A/B08.tif": 2}
    assert job.read()[1].all()


def test_a_dead_catalogue_ends_clearly(tmp_path: Path) -> None:
    with pytest.raises(ImageryUnavailable, match=r"127\.0\.0\.1"):
        run("http://127.0.0.1:9/catalog.json", area(), tmp_path)


def test_a_file_that_vanishes_after_planning(site: Site, tmp_path: Path) -> None:
    item = scene(site, "S2B_32TPT_20260701_0_L2A", "2026-07-01T10:10:00")
    job = run(static(site, item), area(), tmp_path)
    # GDAL keeps what it has read of a file; a name it has not seen stands for a cold worker.
    stack = job.plan.stacks[0].model_dump_json().replace("/B08.tif", "/gone.tif")
    plan = job.plan.model_copy(update={"stacks": (type(job.plan.stacks[0]).model_validate_json(stack),)})
    settings = Settings(storage_url=f"file://{tmp_path}/store", stac_timeout=5)
    imagery = open_imagery(plan, CARD, UploadStore(Storage(settings)), settings, tmp_path)
    with pytest.raises(ImageryUnavailable, match="could not be read"):
        imagery.read(0, 0, 20, 20)
