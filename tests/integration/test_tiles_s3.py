"""Tiles and places of a map that lies in S3: copied once, read from the copy, gone with the job."""

from __future__ import annotations

from pathlib import Path

import pytest
from shapely.geometry import box

from tests.integration.api.test_tiles import COG, GRID, path_of, tile_of
from tests.servers.api import Api, finish, new_job, problem, settings_in
from tests.servers.swift import SwiftServer
from tests.unit.test_tiles_drawing import write_map
from tests.unit.test_tiles_point import lonlat, table_of, written


@pytest.mark.scale
def test_a_map_in_s3_is_copied_once_and_its_tiles_end_with_the_job(tmp_path: Path) -> None:
    with SwiftServer(tmp_path / "swift") as server:
        server.create_bucket("maps")
        told = {name.removeprefix("CITYZONES_").lower(): value for name, value in server.settings.items()}
        settings = settings_in(tmp_path, storage_url="s3://maps/store", **told)
        api = Api(settings)
        job = new_job(api.store)
        cog = write_map(tmp_path / "map.tif", GRID).read_bytes()
        left, top = GRID.left, GRID.top
        tables = written(tmp_path, table_of([box(left, top - 3000, left + 3000, top)]))
        table = ("parcels.gpkg", "application/x", tables["parcels.gpkg"].read_bytes())
        finish(api.store, job, {"map": ("map.tif", COG, cog), "parcels-gpkg": table})
        document = api.get(f"/jobs/{job}/tiles").json()
        (copy,) = (settings.scratch / "maps").iterdir()
        assert copy.read_bytes() == cog
        before = copy.stat().st_ino
        for zoom in (13, 14, 15):
            assert api.get(tile_of(document, zoom)).status_code == 200
        assert api.get(path_of(document["links"][1]["href"])).status_code == 200
        assert copy.stat().st_ino == before
        longitude, latitude = lonlat(GRID, left + 1000, top - 1000)
        here = api.get(f"/jobs/{job}/point?lon={longitude}&lat={latitude}").json()
        assert here["parcel"]["id"] == "P0"
        assert sorted(path.suffix for path in copy.parent.iterdir()) == [".gpkg", ".tif"]
        copy.unlink()
        assert api.get(tile_of(document, 13)).status_code == 200
        api.ask("DELETE", f"/jobs/{job}")
        problem(api.get(tile_of(document, 13)), 410, "job-dismissed")
