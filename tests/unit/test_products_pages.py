"""Preview, factsheet and catalogue item: what they say, what they escape, and that they never change."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pystac
import pytest
from jsonschema import Draft7Validator
from PIL import Image
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from jobs.area import Grid, area_of
from jobs.products import DOUBTS
from jobs.record import OutputFile, Warned
from models.cards import Card
from models.classes import LOCAL_CLIMATE_ZONES
from worker.imagery.plan import ImageryPlan, SceneRecord
from worker.products.accuracy import Accuracy, assess
from worker.products.facts import MapFacts, Measured, Tally
from worker.products.factsheet import write_factsheet
from worker.products.preview import Thumbnail, draw_preview
from worker.products.stac import EXTENSIONS, MLM, make_item

GRID = Grid("EPSG:32634", 340_000.0, 6_038_000.0, 10.0, 90, 60)
CLASSES = np.zeros((60, 90), np.uint8)
CLASSES[:, :40], CLASSES[:, 40:80], CLASSES[:6, 40:80] = 5, 17, 15
UNITS = np.where(CLASSES > 0, 2, 0).astype(np.uint8)
UNITS[:30][CLASSES[:30] > 0] = 3
CONFIDENCE = np.where(CLASSES > 0, 80, 0).astype(np.uint8)


def measure(classes: np.ndarray, units: np.ndarray, confidence: np.ndarray) -> Measured:
    """Tally rasters in four windows."""
    tally = Tally()
    for rows in (slice(0, 2), slice(2, None)):
        for columns in (slice(0, 3), slice(3, None)):
            tally.add(*(raster[rows, columns] for raster in (classes, units, confidence)))
    return tally.measured(GRID, LOCAL_CLIMATE_ZONES)


def thumbnail(classes: np.ndarray, side: int = 37) -> Thumbnail:
    """Gather a thumbnail window by window."""
    found = Thumbnail(classes.shape)
    for row in range(0, classes.shape[0], side):
        for column in range(0, classes.shape[1], side):
            rows, columns = slice(row, row + side), slice(column, column + side)
            found.add(rows, columns, classes[rows, columns])
    return found


def card(**changes: Any) -> Card:
    values: dict[str, Any] = {
        "id": "net-a", "version": "2", "product": "local-climate-zones", "title": "Net A", "summary": "A network.",
        "licence": "CC BY 4.0", "training_data": "Procedural cities", "citation": "Somebody 2026",
        "input": {"bands": ["B02", "B03"], "resolution": 10, "reflectance": "BOA", "morphology": True},
        "geometry": {"window": 32, "step": 10, "tile": 240, "halo": 11}, "serving": {"model": "net_a"},
        "weights": {"file": "a.onnx", "bundled": True}, "limits_told": ["Far."],
        "accuracy": [{"data": "City X", "method": "held out", "metrics": {"OA": 0.7469, "kappa": 0.65}},
                     {"data": "City Y", "method": "folds", "metrics": {"OA": 0.7, "special": 0.5}}],
    }  # fmt: skip
    return Card.model_validate(values | changes)


def imagery(*days: str) -> ImageryPlan:
    area = area_of(GRID)
    scenes = tuple(
        SceneRecord(id=f"S2_{day}", href=f"https://catalogue.example/items/{day}", collection="sentinel-2-l2a",
                    datetime=f"{day}T10:00:31Z", cloud_cover=2.5, clear=0.98, scale=1e-4, offset=-0.1,
                    why="told by the item")
        for day in days
    )  # fmt: skip
    return ImageryPlan(
        source="stac" if days else "uploads", grid=asdict(GRID), area=area.geojson, km2=area.km2, bands=("B02", "B03"),
        stacks=(), scenes=scenes, coverage=0.9, provenance="Median of the clearest scenes.",
        attribution="Copernicus 2026",
    )  # fmt: skip


@pytest.fixture
def facts() -> MapFacts:
    return MapFacts(
        job="job_01k9x7gk2m3n4p5q6r7s8t9v0w",
        title="Zones of <b>Gdańsk</b>",
        card=card(),
        grid=GRID,
        km2=0.54,
        measured=measure(CLASSES, UNITS, CONFIDENCE),
        imagery=imagery("2026-06-10", "2026-07-11"),
        created=datetime(2026, 7, 13, 9, 30, tzinfo=UTC),
        warnings=(Warned(code="odd", detail="<script>alert(1)</script>"),),
        parcels={"parcel": 12, "scene": 3, "abstain": 2},
    )


def outputs() -> dict[str, OutputFile]:
    names = {"map": "map.tif", "confidence": "confidence.tif", "units": "units.tif", "parcels": "parcels.parquet",
             "preview": "preview.png", "item": "item.json"}  # fmt: skip
    return {
        name: OutputFile(key=f"jobs/x/outputs/{file}", media_type="application/octet-stream", title=name, size=7,
                         sha256="ab" * 32, filename=file)
        for name, file in names.items()
    }  # fmt: skip


def test_measured_figures() -> None:
    measured = measure(CLASSES, UNITS, CONFIDENCE)
    shares = {a.kind.code: (round(a.km2, 6), round(a.share, 6)) for a in measured.classes if a.km2}
    assert shares == {5: (0.24, 0.5), 15: (0.024, 0.05), 17: (0.216, 0.45)}
    assert {u.unit: u.share for u in measured.units} == {"parcel": 0.5, "block": 0, "scene": 0.5, "pixel": 0}
    assert measured.mapped_km2 == pytest.approx(0.48)
    assert measured.mean_confidence == pytest.approx(80)


def test_nothing_mapped_is_measured_too() -> None:
    nothing = np.zeros((4, 4), np.uint8)
    measured = measure(nothing, nothing, nothing)
    assert (measured.mapped_km2, measured.mean_confidence) == (0, 0)


@pytest.mark.parametrize("shape", [(60, 90), (3000, 40), (1, 1), (2, 4000)])
def test_previews_of_any_shape_are_pictures_of_sensible_size(facts: MapFacts, shape: tuple[int, int]) -> None:
    classes = np.full(shape, 17, np.uint8)
    grid = Grid(GRID.crs, 0.0, 0.0, 10.0, shape[1], shape[0])
    picture = Image.open(io.BytesIO(draw_preview(thumbnail(classes), replace(facts, grid=grid))))
    assert picture.format == "PNG"
    assert 700 < picture.width < 1800
    assert 300 < picture.height < 1600
    assert (106, 106, 255) in {colour for _, colour in picture.getcolors(1 << 24) or ()}


def test_a_preview_shows_north_up_and_never_changes(facts: MapFacts) -> None:
    first = draw_preview(thumbnail(CLASSES), facts)
    assert first == draw_preview(thumbnail(CLASSES), facts)
    picture = Image.open(io.BytesIO(first))
    assert picture.getpixel((40 + 10, 128 + 10)) == (255, 102, 0)
    assert picture.getpixel((40 + 13 * 60, 128 + 10)) == (0, 0, 0)
    assert picture.getpixel((40 + 13 * 60, 128 + 13 * 40)) == (106, 106, 255)


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_factsheet_tells_all_and_loads_nothing(facts: MapFacts) -> None:
    page = write_factsheet(facts, b"png")
    assert page == write_factsheet(facts, b"png")
    tags = Tags(page).found
    assert not {"script", "link", "iframe", "b\n"} & {tag for tag, _ in tags}
    sources = [a.get("src") or a.get("href") for _, a in tags if "src" in a or "href" in a]
    assert sources == ["data:image/png;base64,cG5n"]
    assert len([t for t, _ in tags if t == "rect"]) == 3
    for text in ("Zones of &lt;b&gt;Gdańsk", "&lt;script&gt;alert(1)", "5 Open midrise", "50.0 %", "S2_2026-07-11",
                 "told by the item", "0.747", "Somebody 2026", "CC BY 4.0", "2 parcels without a class",
                 "Far."):  # fmt: skip
        assert text in page, text
    assert "reference data</h2>" not in page


def reference(*codes: tuple[int, int], polygons: bool = True) -> Accuracy:
    """An assessment of one feature a pair (truth, map), ten pixels each."""
    counts = np.zeros((len(codes), 18), np.int64)
    counts[np.arange(len(codes)), [found for _, found in codes]] = 10
    truth, kind = np.array([t for t, _ in codes]), np.full(len(codes), polygons)
    km2 = np.array([a.km2 for a in measure(CLASSES, UNITS, CONFIDENCE).classes])
    return assess(truth, counts, kind, classes=LOCAL_CLIMATE_ZONES, mapped_km2=km2)


def test_reference_accuracy_appears_where_there_is_one(facts: MapFacts) -> None:
    found = reference((5, 5), (5, 5), (5, 17), (17, 17), (17, 17), (15, 15))
    page = write_factsheet(replace(facts, reference=found), b"png")
    assert page == write_factsheet(replace(facts, reference=found), b"png")
    tags = Tags(page).found
    assert len([t for t, _ in tags if t == "rect"]) == 3 + 9
    for text in ("Accuracy against your reference data", "60 pixels", "6 polygons", "0.833", "25 draws by polygon",
                 "Estimated overall accuracy", "User's", "km&sup2;, &plusmn;",
                 "5 Open midrise", "left out"):  # fmt: skip
        assert text in page, text


def test_reference_that_missed_the_map_says_so(facts: MapFacts) -> None:
    page = write_factsheet(replace(facts, reference=reference((5, 0), polygons=False)), b"png")
    assert "nothing could be measured" in page
    assert "10 more have no class" in page


def test_a_factsheet_of_nothing_says_so(facts: MapFacts) -> None:
    nothing = np.zeros((4, 4), np.uint8)
    measured = measure(nothing, nothing, nothing)
    page = write_factsheet(replace(facts, measured=measured, parcels=None, warnings=(), imagery=imagery()), b"png")
    assert "No pixel could be mapped" in page
    assert "<h2>Warnings</h2>" not in page


def core_errors(item: dict[str, Any]) -> list[str]:
    schemas = get_local_schema_cache()
    registry = Registry().with_resources([(uri, Resource.from_contents(s)) for uri, s in schemas.items()])
    uri = next(u for u in schemas if u.endswith("/item-spec/json-schema/item.json"))
    return [e.message for e in Draft7Validator(schemas[uri], registry=registry).iter_errors(item)]


def test_the_item_validates_against_the_core_schemas(facts: MapFacts) -> None:
    data = make_item(facts, outputs())
    assert data == make_item(facts, dict(reversed(outputs().items())))
    item = json.loads(data)
    assert core_errors(item) == []
    assert item["stac_version"] == "1.1.0"
    assert pystac.Item.from_dict(item).to_dict(include_self_link=False) == item
    properties = item["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2026-06-10T10:00:31Z"
    assert properties["end_datetime"] == "2026-07-11T10:00:31Z"
    assert [k["href"][-10:] for k in item["links"] if k["rel"] == "derived_from"] == ["2026-06-10", "2026-07-11"]


def test_the_item_of_uploaded_imagery_has_the_time_of_the_request(facts: MapFacts) -> None:
    item = json.loads(make_item(replace(facts, imagery=imagery()), outputs()))
    assert core_errors(item) == []
    assert item["properties"]["datetime"] == "2026-07-13T09:30:00Z"
    assert item["links"] == []


def test_the_fields_of_each_extension_follow_its_text(facts: MapFacts) -> None:
    item = json.loads(make_item(facts, outputs()))
    properties, assets = item["properties"], item["assets"]
    assert item["stac_extensions"] == list(EXTENSIONS)
    assert properties["proj:code"] == "EPSG:32634"
    assert properties["proj:shape"] == [60, 90]
    assert properties["proj:transform"] == [10, 0, 340_000, 0, -10, 6_038_000]
    assert set(assets) == {"map", "confidence", "units", "parcels", "preview"}
    for asset in assets.values():
        assert asset["href"].startswith("./")
        assert asset["file:size"] == 7
        assert re.fullmatch(r"1220[0-9a-f]{64}", asset["file:checksum"])
    classes = assets["map"]["bands"][0]["classification:classes"]
    assert [c["value"] for c in classes] == list(range(18))
    assert all(re.fullmatch(r"[0-9A-Za-z\-_]+", c["name"]) for c in classes)
    assert all(re.fullmatch(r"[0-9A-F]{6}", c["color_hint"]) for c in classes[1:])
    assert assets["map"]["bands"][0]["nodata"] == 0
    assert isinstance(properties["processing:software"]["net-a"], str)
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", properties["mlm:name"])
    assert properties["mlm:output"][0]["result"]["shape"] == [-1, 17, 24, 24]
    assert len(properties["mlm:input"]) == 2
    assert not any("mlm:model" in a.get("roles", ()) for a in assets.values())


def test_the_bands_of_uncertainty_are_described(facts: MapFacts) -> None:
    more = outputs() | {"uncertainty": outputs()["map"].model_copy(update={"filename": "uncertainty.tif"})}
    item = json.loads(make_item(facts, more))
    assert core_errors(item) == []
    bands = item["assets"]["uncertainty"]["bands"]
    assert [b["name"] for b in bands] == [name for name, _ in DOUBTS]
    assert {b["nodata"] for b in bands} == {255}
    assert [c["value"] for c in bands[2]["classification:classes"]] == list(range(1, 18))
    assert {b.get("unit") for b in bands} == {"%", None}


def test_the_image_has_the_pixels_of_the_imagery(facts: MapFacts) -> None:
    more = outputs() | {"image": outputs()["map"].model_copy(update={"filename": "image.tif"})}
    coarse = replace(facts, grid=replace(GRID, resolution=100.0, width=9, height=6))
    item = json.loads(make_item(coarse, more))
    assert core_errors(item) == []
    asset = item["assets"]["image"]
    assert asset["roles"] == ["visual", "overview"]
    assert [band["name"] for band in asset["bands"]] == ["red", "green", "blue"]
    assert (asset["gsd"], asset["proj:shape"]) == (10, [60, 90])
    assert item["properties"]["proj:shape"] == [6, 9]


def test_mlm_is_declared_where_the_weights_have_an_address(facts: MapFacts) -> None:
    weights = {"file": "a.onnx", "bundled": False, "source_url": "https://example.org/a.h5", "source_sha256": "cd" * 32}
    item = json.loads(make_item(replace(facts, card=card(weights=weights)), outputs()))
    assert MLM in item["stac_extensions"]
    model = item["assets"]["model"]
    assert (model["roles"], model["mlm:artifact_type"]) == (["mlm:model"], "h5")
    assert core_errors(item) == []


def test_a_grid_without_an_authority_keeps_its_wkt(facts: MapFacts) -> None:
    wkt = 'LOCAL_CS["site",UNIT["metre",1]]'
    item = json.loads(make_item(replace(facts, grid=replace(GRID, crs=wkt)), outputs()))
    assert item["properties"]["proj:code"] is None
    assert item["properties"]["proj:wkt2"].startswith(("LOCAL_CS", "ENGCRS"))
