"""What the jobs of the faults map: parts of one small procedural city, of one block and of two."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from shapely.geometry import shape

from jobs.inspection import inspect_file
from jobs.settings import Settings
from jobs.uploads import UploadStore

# Parts of the city, as shares of its width and height: left, bottom, right, top. A block has 2.4 km a side.
ONE_BLOCK = ((0.05, 0.1, 0.3, 0.4), (0.4, 0.3, 0.7, 0.6), (0.6, 0.55, 0.95, 0.9))
TWO_BLOCKS = ((0.04, 0.2, 0.96, 0.5), (0.04, 0.55, 0.96, 0.8))


def upload(uploads: UploadStore, settings: Settings, path: Path) -> str:
    """Store a file as the service does, and return the upload's id."""
    found = inspect_file(path, path.name, settings)
    told = {"filename": path.name, "kind": found.kind, "suffix": found.suffix, "facts": found.facts}
    return uploads.add(path, **told).upload


def send_city(uploads: UploadStore, settings: Settings, sample: Path) -> dict[str, Any]:
    """Upload a city's files and return the inputs that name them."""
    names = {"imagery": "imagery.tif", "buildings": "buildings.gpkg", "parcels": "parcels.gpkg"}
    sent = {name: upload(uploads, settings, sample / file) for name, file in names.items()}
    return {
        "imagery": {"uploads": [sent["imagery"]]},
        "buildings": {"upload": sent["buildings"]},
        "parcels": {"upload": sent["parcels"], "id_field": "parcel_id"},
    }


def requests(city: dict[str, Any], sample: Path, number: int) -> Iterator[dict[str, Any]]:
    """Yield the inputs of that many jobs: a third has two blocks, parcels and buildings, the others one block."""
    whole = shape(json.loads((sample / "aoi.geojson").read_text())).bounds
    large, small = cycle(TWO_BLOCKS), cycle(ONE_BLOCK)
    for index in islice(range(number), number):
        if index % 3:
            yield {"imagery": city["imagery"], "aoi": _part(whole, next(small)), "outputs": ["map", "item"]}
        else:
            yield city | {"aoi": _part(whole, next(large)), "outputs": ["map", "parcels", "parcels-gpkg"]}


def _part(whole: tuple[float, ...], shares: tuple[float, ...]) -> dict[str, Any]:
    left, bottom, right, top = whole
    wide, high = right - left, top - bottom
    box = [left + shares[0] * wide, bottom + shares[1] * high, left + shares[2] * wide, bottom + shares[3] * high]
    return {"bbox": [round(number, 6) for number in box]}
