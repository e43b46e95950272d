"""Reference data from real files: classes in every writing, places in every state, and what the map holds there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from pydantic import SecretStr
from shapely import MultiPoint
from shapely.geometry import LineString, Point, Polygon, box

from jobs.area import Grid
from jobs.errors import BadVector, InvalidRequest, UnknownUpload
from jobs.inspection import inspect_file
from jobs.plan import cut_blocks
from jobs.request import DEFAULT_OUTPUTS, Reference, parse_execute
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.uploads import UploadStore
from models.classes import LAND_COVER, LOCAL_CLIMATE_ZONES
from worker.reference import LoadedReference, class_codes, count_mapped, load_reference

GRID = Grid("EPSG:32633", 500_000.0, 5_501_000.0, 10.0, 100, 80)
AREA = box(*GRID.bounds)
UPLOAD = "upl_01jd5x3v8r7q2m9k4n6p0w1y5z"


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(storage_url=f"file://{folder}/store", link_secret=SecretStr("s"))
        self.uploads = UploadStore(Storage(self.settings))

    def add(self, frame: gpd.GeoDataFrame, suffix: str = ".gpkg") -> str:
        path = self.folder / f"sent{suffix}"
        path.unlink(missing_ok=True)
        frame.to_file(path)
        found = inspect_file(path, path.name, self.settings)
        record = self.uploads.add(path, filename=path.name, kind=found.kind, suffix=found.suffix, facts=found.facts)
        return record.upload

    def load(
        self, frame: gpd.GeoDataFrame, suffix: str = ".gpkg", area: Polygon = AREA, **more: Any
    ) -> LoadedReference:
        wanted = Reference(upload=self.add(frame, suffix), **more)
        return load_reference(wanted, LOCAL_CLIMATE_ZONES, GRID, area, self.uploads, self.settings, self.folder)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def at(column: float, row: float) -> Point:
    return Point(GRID.left + 10 * column, GRID.top - 10 * row)


def square(column: float, row: float, side: float) -> Polygon:
    return box(
        GRID.left + 10 * column, GRID.top - 10 * (row + side), GRID.left + 10 * (column + side), GRID.top - 10 * row
    )


def frame_of(shapes: list[Any], lcz: list[Any], **more: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"lcz": lcz} | more, geometry=shapes, crs=GRID.crs)


def test_classes_are_understood_in_every_writing():
    values = [
        1,
        "1",
        10.0,
        "LCZ 10",
        "a",
        "LCZ_A",
        11,
        "11.0",
        101,
        "107",
        17,
        "G",
        "water",
        "Dense trees",
        np.int64(5),
    ]
    assert class_codes(values, LOCAL_CLIMATE_ZONES).tolist() == [
        1,
        1,
        10,
        10,
        11,
        11,
        11,
        11,
        11,
        17,
        17,
        17,
        17,
        11,
        5,
    ]
    assert not class_codes([0, 18, -1, None, "", "H", float("nan"), 1.5, "LCZ", 100, True], LOCAL_CLIMATE_ZONES).any()
    assert class_codes(["road", 4, "Building", 101], LAND_COVER).tolist() == [4, 4, 8, 0]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_points_and_polygons_arrive_in_the_grid(desk: Desk, suffix: str):
    frame = frame_of([at(5.5, 5.5), square(10, 10, 4), MultiPoint([at(1, 1), at(2, 2)])], ["A", "3", "17"])
    sent = frame if suffix == ".gpkg" else frame.to_crs("EPSG:4326")
    loaded = desk.load(sent, suffix)
    assert sorted(loaded.frame.class_code) == [3, 11, 17, 17]
    assert set(loaded.frame.geom_type) <= {"Point", "Polygon", "MultiPolygon"}
    assert loaded.frame.crs == GRID.crs
    assert loaded.warnings == ()


def test_what_is_of_no_use_is_left_out_and_told(desk: Desk):
    shapes = [at(5, 5), at(6, 6), LineString([at(1, 1), at(2, 2)]), at(-50, 5), square(98, 2, 4)]
    loaded = desk.load(frame_of(shapes, ["1", "forest\x07", "2", "3", "4"]))
    assert loaded.frame.class_code.tolist() == [1, 4]
    assert loaded.frame.geometry.iloc[1].area == pytest.approx(20 * 40)
    told = {w.code: w.detail for w in loaded.warnings}
    assert set(told) == {"unknown-reference-classes", "unusable-reference", "reference-outside-area"}
    assert "1 of 5" in told["unknown-reference-classes"]
    assert "'forest '" in told["unknown-reference-classes"]


def test_a_missing_field_names_those_there_are(desk: Desk):
    with pytest.raises(BadVector, match=r"no field 'lcz'; its fields: zone, note.*class_field") as caught:
        desk.load(gpd.GeoDataFrame({"zone": ["1"], "note": ["x"]}, geometry=[at(1, 1)], crs=GRID.crs))
    assert caught.value.faults[0].pointer == "/inputs/reference/class_field"


@pytest.mark.parametrize(
    ("shapes", "classes", "message"),
    [
        (
            [(1, 1), (2, 2)],
            ["forest", None],
            "no value of 'lcz' names a class .for example 'forest', ''.; known are",
        ),
        ([(-900, 1)], ["1"], "no reference feature lies in the area of interest: they span"),
    ],
)
def test_nothing_of_use_is_refused(desk: Desk, shapes: list[tuple[int, int]], classes: list[Any], message: str):
    with pytest.raises(BadVector, match=message):
        desk.load(frame_of([at(*place) for place in shapes], classes))


def test_lines_alone_and_unknown_uploads_are_refused(desk: Desk):
    with pytest.raises(BadVector, match="no point or polygon"):
        desk.load(frame_of([LineString([at(1, 1), at(2, 2)])], ["1"]))
    with pytest.raises(UnknownUpload):
        load_reference(
            Reference(upload=UPLOAD), LOCAL_CLIMATE_ZONES, GRID, AREA, desk.uploads, desk.settings, desk.folder
        )


@pytest.mark.parametrize("side", [20, 50, 100])
def test_pixels_are_counted_whatever_the_blocks(side: int):
    mapped = np.zeros(GRID.shape, np.uint8)
    mapped[:, :50], mapped[:40, 50:] = 2, 7
    shapes = [
        at(0.5, 0.5),
        at(99.9, 0.1),
        at(99.5, 79.5),
        square(45, 35, 10),
        square(20.6, 20.6, 0.3),
        square(47, 2, 6),
    ]
    frame = frame_of(shapes, [1] * 6)
    counts = count_mapped(frame, lambda rows, columns: mapped[rows, columns], GRID, cut_blocks(GRID, side, AREA), 17)
    assert counts.shape == (6, 18)
    assert [int(row.argmax()) for row in counts[:3]] == [2, 7, 0]
    assert counts[:3].sum(axis=1).tolist() == [1, 1, 1]
    assert (counts[3, 2], counts[3, 7], counts[3, 0]) == (50, 25, 25)
    assert (counts[4].sum(), counts[4, 2]) == (1, 1)
    assert (counts[5, 2], counts[5, 7]) == (18, 18)


def test_accuracy_comes_with_reference_data_and_not_without():
    inputs = {"imagery": {"uploads": [UPLOAD]}}
    assert parse_execute({"inputs": inputs}).selected == DEFAULT_OUTPUTS
    assert "accuracy" not in DEFAULT_OUTPUTS
    known = inputs | {"reference": {"upload": UPLOAD}}
    execute = parse_execute({"inputs": known})
    assert execute.selected == (*DEFAULT_OUTPUTS, "accuracy")
    again = parse_execute(execute.model_dump(mode="json", exclude_unset=True))
    assert again.selected == execute.selected
    assert execute.inputs.uploads["/inputs/reference/upload"] == UPLOAD
    assert parse_execute({"inputs": known | {"outputs": ["map"]}}).selected == ("map",)
    for body in ({"inputs": inputs | {"outputs": ["accuracy"]}}, {"inputs": inputs, "outputs": {"accuracy": {}}}):
        with pytest.raises(InvalidRequest, match=r"needs reference data: give inputs\.reference"):
            parse_execute(body)
    with pytest.raises(InvalidRequest, match="did you mean 'class_field'"):
        parse_execute({"inputs": inputs | {"reference": {"upload": UPLOAD, "class_feild": "x"}}})
