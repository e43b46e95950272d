"""An upload as an area of interest, over HTTP: what may be sent on as `aoi`, from which layer, and what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from PIL import Image
from shapely.geometry import LineString, Point, box, mapping

from tests.servers.api import EXECUTE, Api, problem, write_image

CITY = box(13.36, 52.50, 13.42, 52.53)


def sent(api: Api, path: Path) -> str:
    answer = api.upload(path)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["upload"])


def packed(path: Path, **layers: Any) -> Path:
    for name, shapes in layers.items():
        gpd.GeoDataFrame(geometry=shapes, crs=4326).to_file(path, layer=name, driver="GPKG")
    return path


def test_the_area_of_a_file_is_what_a_job_takes(api: Api, tmp_path: Path) -> None:
    halves = [box(13.36, 52.50, 13.39, 52.53), box(13.39, 52.50, 13.42, 52.53), Point(13.4, 52.5)]
    gpd.GeoDataFrame(geometry=halves, crs=4326).to_file(tmp_path / "city.geojson")
    answer = api.get(f"/uploads/{sent(api, tmp_path / 'city.geojson')}/area")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    geometry = found.pop("geometry")
    assert found.pop("km2") == pytest.approx(13.6, rel=0.01)
    assert [warned["code"] for warned in found.pop("warnings")] == ["area-features-left-out"]
    assert found == {"vertices": len(geometry["coordinates"][0]), "source": "polygons", "polygons": 2}
    assert geometry["type"] == "Polygon"
    assert api.execute({"inputs": EXECUTE["inputs"] | {"aoi": geometry}}).status_code == 201


def test_of_several_layers_the_only_one_of_polygons_is_taken(api: Api, tmp_path: Path) -> None:
    path = packed(tmp_path / "a.gpkg", roads=[LineString([(13, 52), (14, 53)])], border=[CITY], stops=[Point(13, 52)])
    upload = sent(api, path)
    found = api.get(f"/uploads/{upload}/area").json()
    assert (found["layer"], found["polygons"]) == ("border", 1)
    assert api.get(f"/uploads/{upload}/area", params={"layer": "border"}).json() == found
    body = problem(api.get(f"/uploads/{upload}/area", params={"layer": "roads"}), 422, "bad-vector")
    assert "holds no polygon" in body["detail"]


def test_a_layer_that_must_be_named_or_is_not_there_is_told(api: Api, tmp_path: Path) -> None:
    upload = sent(api, packed(tmp_path / "a.gpkg", east=[CITY], west=[CITY]))
    for asked, says in (({}, "2 layers with polygons (east, west)"), ({"layer": "north"}, "its layers: east, west")):
        body = problem(api.get(f"/uploads/{upload}/area", params=asked), 400, "invalid-parameter")
        assert body["errors"][0]["pointer"] == "layer"
        assert says in body["detail"]
    (tmp_path / "c.geojson").write_text(json.dumps(mapping(CITY)))
    upload = sent(api, tmp_path / "c.geojson")
    body = problem(api.get(f"/uploads/{upload}/area?layer=x"), 400, "invalid-parameter")
    assert "leave layer out" in body["detail"]


def test_a_file_of_lines_and_points_has_no_area(api: Api, tmp_path: Path) -> None:
    path = packed(tmp_path / "a.gpkg", roads=[LineString([(13, 52), (14, 53)])], stops=[Point(13, 52)])
    body = problem(api.get(f"/uploads/{sent(api, path)}/area"), 422, "bad-vector")
    assert "none of the 2 layers (roads, stops) holds polygons" in body["detail"]


def test_of_an_image_the_area_is_its_bounds(api: Api, tmp_path: Path) -> None:
    image = sent(api, write_image(tmp_path / "i.tif"))
    found = api.get(f"/uploads/{image}/area").json()
    assert (found["source"], found["vertices"], found["geometry"]["type"]) == ("bounds", 5, "Polygon")
    assert found["km2"] == pytest.approx(0.3, rel=0.05)
    problem(api.get(f"/uploads/{image}/area?layer=x"), 400, "invalid-parameter")


def test_what_has_no_area_is_a_problem(api: Api, tmp_path: Path) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "p.png")
    problem(api.get(f"/uploads/{sent(api, tmp_path / 'p.png')}/area"), 422, "bad-image")
    many = packed(tmp_path / "many.gpkg", houses=[box(k, 0, k + 0.5, 1) for k in range(20_001)])
    gpd.read_file(many).set_crs(3857, allow_override=True).to_file(many, layer="houses", driver="GPKG")
    body = problem(api.get(f"/uploads/{sent(api, many)}/area"), 422, "bad-vector")
    assert "20000 features at most, not from 20001" in body["detail"]
    awaited = api.ask("POST", "/uploads", json={"filename": "a.gpkg", "size": 9}).json()["upload"]
    problem(api.get(f"/uploads/{awaited}/area"), 409, "upload-not-complete")
    problem(api.get(f"/uploads/upl_{'0' * 26}/area"), 404, "unknown-upload")
    assert not list((tmp_path / "scratch").iterdir())
