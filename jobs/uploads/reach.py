"""What can be said of the images a request names before a worker opens them."""

from __future__ import annotations

from collections.abc import Mapping

import shapely

from jobs.area import Area
from jobs.errors import InvalidRequest, NoImagery
from jobs.uploads.records import UploadRecord
from models.errors import Fault


def check_images(images: Mapping[str, UploadRecord], area: Area | None) -> None:
    """Check images, by the JSON Pointer at which a request names each.

    Raises InvalidRequest where one is named twice, NoImagery where all of them lie beside the area of interest.
    """
    first: dict[str, str] = {}
    for pointer, record in images.items():
        if first.setdefault(record.upload, pointer) != pointer:
            detail = f"{record.upload} is named before, at {first[record.upload]}"
            raise InvalidRequest(f"{pointer}: {detail}", faults=[Fault(pointer, detail)])
    boxes = [tuple(record.facts["lonlat_bounds"]) for record in images.values()]
    if area is None or not boxes or any(west > east for west, _, east, _ in boxes):
        return  # an image across the antimeridian is left to the worker
    if not any(shapely.box(*bounds).intersects(area.geometry) for bounds in boxes):
        there = "; ".join(_degrees(bounds) for bounds in boxes[:5])
        raise NoImagery(
            f"the area of interest ({_degrees(area.geometry.bounds)}) lies outside the uploaded images ({there}; west, "
            "south, east, north in degrees): draw it inside, or upload the right images",
            faults=[Fault("/inputs/aoi", "outside the imagery")],
        )


def _degrees(bounds: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4f}" for value in bounds)
