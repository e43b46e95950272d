"""The steps of a job called one by one, with the real Triton and Valkey: no seams, and twice is once."""

import hashlib
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.vrt import WarpedVRT
from shapely.geometry import Point

from jobs.blocks import marker_key
from jobs.errors import BadVector
from jobs.inspection import inspect_file
from jobs.products import DOUBTS, UNSURE
from jobs.queue import make_app
from jobs.request import DEFAULT_OUTPUTS, parse_execute
from jobs.settings import Settings
from models.cards import card_of
from worker.context import Context
from worker.imagery.colours import of_reflectance
from worker.pipeline import probabilities
from worker.pipeline.assembly import assemble
from worker.pipeline.mapping import map_block
from worker.pipeline.planning import make_plan


def context_of(stack, folder: Path, block_pixels: int) -> Context:
    """A worker's context on the running servers, with a storage of its own."""
    changes = {"storage_url": f"file://{folder}", "block_pixels": block_pixels, "scratch": folder / "scratch"}
    settings = Settings.model_validate(stack.settings.model_dump() | changes)
    return Context(settings, make_app(settings))


def write_reference(sample: Path, path: Path) -> Path:
    """Sixty squares of 60 m and as many points, drawn with a seed, labelled with the truth at their centre."""
    rng = np.random.default_rng(3)
    with rasterio.open(sample / "truth.tif") as truth:
        rows, columns = rng.integers(4, truth.height - 4, 120), rng.integers(4, truth.width - 4, 120)
        codes = truth.read(1)[rows, columns]
        centres = [Point(truth.xy(row, column)) for row, column in zip(rows, columns, strict=True)]
        shapes = [centre.buffer(30, cap_style="square") if i < 60 else centre for i, centre in enumerate(centres)]
        gpd.GeoDataFrame({"zone": codes}, geometry=shapes, crs=truth.crs).to_file(path)
    return path


def submit(context: Context, sample: Path, **more) -> str:
    uploads = {}
    folder = context.storage.folder
    reference = write_reference(sample, folder.parent / f"{folder.name}-reference.gpkg")
    for name, path in (
        ("parcels", sample / "parcels.gpkg"), ("buildings", sample / "buildings.gpkg"), ("reference", reference),
    ):  # fmt: skip
        facts = inspect_file(path, path.name, context.settings).facts
        uploads[name] = context.uploads.add(path, filename=path.name, kind="vector", suffix=".gpkg", facts=facts).upload
    inputs = {
        "aoi": json.loads((sample / "aoi.geojson").read_text()),
        "imagery": {"stac": {"collection": "procedural-sentinel-2", "datetime": "2000-01-01/2100-01-01"}},
        "parcels": {"upload": uploads["parcels"], "id_field": "parcel_id"},
        "buildings": {"upload": uploads["buildings"]},
        "reference": {"upload": uploads["reference"], "class_field": "zone"},
        "outputs": [*DEFAULT_OUTPUTS, "accuracy", "uncertainty", "image"],
        **more,
    }
    return context.store.create("local-climate-zones", parse_execute({"inputs": inputs})).job


def run(context: Context, job: str):
    plan = make_plan(context, job)
    for block in plan.blocks:
        map_block(context, plan, block, still_wanted=lambda: None)
    assemble(context, plan, still_wanted=lambda: None)
    return plan


def bytes_below(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def small(stack, sample, tmp_path_factory):
    context = context_of(stack, tmp_path_factory.mktemp("small"), 240)
    return context, run(context, submit(context, sample))


@pytest.fixture(scope="module")
def wide(stack, sample, tmp_path_factory):
    context = context_of(stack, tmp_path_factory.mktemp("wide"), 480)
    return context, run(context, submit(context, sample))


def test_block_size_changes_no_pixel(small, wide):
    (context, plan), (other, whole) = small, wide
    assert len(whole.blocks) < len(plan.blocks)
    for name in ("map", "confidence", "units", "uncertainty", "image"):
        arrays = []
        for c, p in ((context, plan), (other, whole)):
            with rasterio.open(c.storage.folder / c.store.result(p.job).outputs[name].key) as raster:
                arrays.append(raster.read())
        assert np.array_equal(*arrays), name
    tables = [
        gpd.read_parquet(c.storage.folder / c.store.result(p.job).outputs["parcels"].key)
        for c, p in ((context, plan), (other, whole))
    ]
    assert tables[0].equals(tables[1])


def test_every_step_run_twice_changes_no_byte(small):
    context, plan = small
    folder = context.storage.folder / "jobs" / plan.job
    before = bytes_below(folder)
    for block in plan.blocks:
        context.storage.delete([marker_key(plan.job, block.id)])
        map_block(context, plan, block, still_wanted=lambda: None)
    assert make_plan(context, plan.job) == plan
    assemble(context, plan, still_wanted=lambda: None)
    assert bytes_below(folder) == before


def opened(context: Context, job: str, name: str) -> bytes:
    return context.storage.get(context.store.result(job).outputs[name].key)


def rasters(context: Context, job: str, *names: str) -> list[np.ndarray]:
    found = []
    for name in names:
        with rasterio.open(context.storage.folder / context.store.result(job).outputs[name].key) as raster:
            found.append(raster.read())
    return found


def test_map_of_scene_cells_has_what_lies_at_the_centre_of_each(stack, sample, tmp_path):
    """The graph for scene cells and that for pixels say the same of the same window."""
    context = context_of(stack, tmp_path / "store", 240)
    fine = run(context, submit(context, sample, units="scene"))
    coarse = run(context, submit(context, sample, units="scene", resolution=100))
    assert (fine.scene_graph, coarse.scene_graph, coarse.map_side) == (False, True, 10)
    names = ("map", "confidence", "units", "uncertainty")
    for name, pixels, cells in zip(
        names, rasters(context, fine.job, *names), rasters(context, coarse.job, *names), strict=True
    ):
        assert cells.shape[1:] == (-(-pixels.shape[1] // 10), -(-pixels.shape[2] // 10))
        centres = pixels[:, 5::10, 5::10]
        assert np.array_equal(centres[:4], cells[:4, : centres.shape[1], : centres.shape[2]]), name
    with rasterio.open(context.storage.folder / context.store.result(coarse.job).outputs["map"].key) as raster:
        assert raster.res == (100, 100)
    assert np.array_equal(*(rasters(context, plan.job, "image")[0] for plan in (fine, coarse))), "on the imagery's grid"
    assert np.isclose(context.store.result(coarse.job).coverage, 1)


def test_the_map_is_assessed_with_the_reference_data(small):
    context, plan = small
    told = json.loads(opened(context, plan.job, "accuracy"))
    assert told["reference"]["points"] + told["reference"]["polygons"] == plan.reference > 80
    assert told["reference"]["polygons"] > 30
    assert told["reference"]["pixels"] > 30 * told["reference"]["polygons"]
    assert {w.code for w in plan.warnings} >= {"reference-outside-area"}
    assert told["metrics"]["OA"] > 0.7
    assert told["bootstrap"]["metrics"]["OA"]["repeats"] == 25
    assert 0.7 < told["area_estimates"]["overall_accuracy"] <= 1
    page = opened(context, plan.job, "factsheet").decode()
    assert "Accuracy against your reference data" in page
    assert "Confusion matrix" in page
    item = json.loads(opened(context, plan.job, "item"))
    assert item["assets"]["accuracy"]["roles"] == ["metadata"]


def test_uncertainty_agrees_with_the_map_and_tells_the_reasons(small, sample):
    context, plan = small
    files = {name: output.key for name, output in context.store.result(plan.job).outputs.items()}
    arrays = {}
    for name in ("map", "confidence", "uncertainty"):
        with rasterio.open(context.storage.folder / files[name]) as raster:
            arrays[name] = raster.read()
            assert raster.nodata == (255 if name == "uncertainty" else 0)
            described = raster.descriptions
    assert described == tuple(text for _, text in DOUBTS)
    mapped = arrays["map"][0] > 0
    top, entropy, second, weight, fit = (band[mapped] for band in arrays["uncertainty"])
    assert (arrays["uncertainty"][:, ~mapped] == UNSURE).all()
    assert (top == arrays["confidence"][0][mapped]).all()
    assert entropy.max() <= 100
    assert set(np.unique(second)) <= set(range(18))
    assert ((second != arrays["map"][0][mapped]) | (top == 100)).all()
    known = weight != UNSURE
    assert known.mean() > 0.9
    assert 10 < np.median(weight[known]) <= 100
    judged = fit != UNSURE
    assert judged.mean() > 0.5
    assert fit[judged].mean() > 50


def test_the_image_is_what_the_scene_shows(small, sample):
    context, plan = small
    files = context.store.result(plan.job).outputs
    with rasterio.open(context.storage.folder / files["map"].key) as raster:
        mapped, grid = raster.read(1) > 0, (raster.crs, raster.transform, raster.shape)
    with rasterio.open(context.storage.folder / files["image"].key) as raster:
        assert (raster.crs, raster.transform, raster.shape) == grid
        assert [c.name for c in raster.colorinterp] == list(raster.descriptions) == ["red", "green", "blue"]
        image = raster.read()
    assert (image[:, mapped] > 0).all()
    for values, band in zip(image, ("B04", "B03", "B02"), strict=True):
        with rasterio.open(next(sample.rglob(f"{band}.tif"))) as scene, WarpedVRT(
            scene, crs=grid[0], transform=grid[1], height=grid[2][0], width=grid[2][1]
        ) as there:  # fmt: skip
            shown = of_reflectance(there.read(1) * np.float32(scene.scales[0]) + np.float32(scene.offsets[0]))
        assert np.corrcoef(values[mapped], shown[mapped])[0, 1] > 0.999
        assert np.abs(values[mapped].astype(int) - shown[mapped]).mean() < 0.1


def test_reference_data_without_classes_end_the_planning_with_a_sentence(wide):
    context, plan = wide
    body = context.store.request(plan.job).execute
    body["inputs"]["reference"] |= {"class_field": "lcz"}
    job = context.store.create("local-climate-zones", parse_execute(body)).job
    with pytest.raises(BadVector, match="no field 'lcz'; its fields: zone; name the field of the classes"):
        make_plan(context, job)
    assert context.store.plan(job) is None


def test_block_size_changes_no_figure(small, wide):
    assert opened(small[0], small[1].job, "accuracy") == opened(wide[0], wide[1].job, "accuracy")


def test_probabilities_cover_the_grid_and_sum_to_one(small):
    context, plan = small
    values = probabilities.read(context.storage, plan, card_of(plan.model), plan.blocks[0])
    sums = values.astype(int).sum(axis=0)
    assert values.shape == (17, plan.blocks[0].height, plan.blocks[0].width)
    assert np.abs(sums - 255).max() <= 9  # each of 17 values is rounded


def test_a_job_writes_below_its_own_key_only(small):
    context, plan = small
    folder = context.storage.folder
    lists = {"due", "open", "tenants", "upload-ends"}
    assert {path.name for path in folder.iterdir()} <= {"jobs", "uploads", "scratch"} | lists
    assert {path.name for path in (folder / "jobs").iterdir()} == {plan.job}
    assert not (folder / "jobs" / plan.job / "zarr.json").exists()
