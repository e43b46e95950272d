"""An upload as an area of interest: the polygons of a vector file, or the bounds of an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import shapely

from jobs.area import parse_area
from jobs.errors import BadImage
from jobs.public.bodies import AreaFound
from jobs.public.problems import RequestError
from jobs.record import Warned
from jobs.uploads import UploadRecord
from jobs.uploads.arrival import scratch_folder
from models.errors import Fault
from service.importing import ONE_AT_A_TIME
from service.state import State

if TYPE_CHECKING:
    from jobs.outlines import Outline

_MOST_BYTES: Final = 256 * 1024**2


def area_of_upload(upload: str, layer: str | None, state: State) -> AreaFound:
    """Return an upload as an area of interest; `layer` is one of a GeoPackage's.

    Raises UploadNotComplete, RequestError for a layer that is not there or must be named, BadImage for a picture
    without georeference, and for a vector file what `read_outline` raises.
    """
    record = state.uploads.read(upload)
    if record.kind == "vector":
        return _polygons(record, layer, state)
    if layer is not None:
        raise _wrong_layer(f"{upload} is an image, which has no layers: leave layer out")
    return _bounds(record, state)


def _bounds(record: UploadRecord, state: State) -> AreaFound:
    if record.kind == "picture":
        detail = f"{record.upload} is a picture without georeference: it lies nowhere on the Earth"
        raise BadImage(detail, faults=[Fault("upload", detail)])
    box = {"bbox": record.facts["lonlat_bounds"]}
    area = parse_area(box, pointer="upload", max_vertices=state.settings.max_vertices)
    return _found(area.geometry, area.km2, source="bounds", warnings=[])


def _polygons(record: UploadRecord, layer: str | None, state: State) -> AreaFound:
    with ONE_AT_A_TIME:
        from jobs.outlines import MOST_POLYGONS, bad_upload, read_outline  # noqa: PLC0415 - pandas and Arrow, once asked

    if record.size > _MOST_BYTES:
        raise bad_upload(f"{record.upload} has more than {_MOST_BYTES // 1024**2} MiB: send the boundary by itself")
    with scratch_folder(state.settings) as folder:
        path = state.uploads.local(record.upload, folder)
        chosen, features = _layer(record, layer, path)
        if features > MOST_POLYGONS:
            raise bad_upload(
                f"an area of interest is put together from {MOST_POLYGONS} features at most, not from {features}: "
                "dissolve the layer, or draw its boundary"
            )
        outline = read_outline(path, chosen, max_vertices=state.settings.max_vertices)
    return _found(
        outline.area.geometry, outline.area.km2, source="polygons", polygons=outline.polygons, layer=chosen,
        simplified_m=outline.simplified, warnings=list(_warnings(outline)),
    )  # fmt: skip


def _found(geometry: Any, km2: float, **told: Any) -> AreaFound:
    vertices = int(shapely.get_num_coordinates(geometry))
    return AreaFound(geometry=shapely.geometry.mapping(geometry), km2=km2, vertices=vertices, **told)


def _layer(record: UploadRecord, layer: str | None, path: Path) -> tuple[str | None, int]:
    """Return the layer to read, None where the file has none, and how many features it has."""
    features = {told["name"]: int(told["features"]) for told in record.facts["layers"]}
    if layer is None:
        layer = next(iter(features)) if len(features) == 1 else _only_one(record.upload, [*features], path)
    if layer not in features:
        there = "it has no layers: leave layer out" if None in features else f"its layers: {_named(features)}"
        raise _wrong_layer(f"{record.upload} has no layer {layer!r}; {there}")
    return layer, features[layer]


def _only_one(upload: str, layers: Sequence[str], path: Path) -> str:
    """Return which of a file's layers alone holds polygons."""
    from jobs.inspection.geopackage import layers_of_areas  # noqa: PLC0415 - pandas and Arrow, only once asked
    from jobs.outlines import bad_upload  # noqa: PLC0415 - the same

    areas = layers_of_areas(path)
    if not areas:
        raise bad_upload(f"none of the {len(layers)} layers ({_named(layers)}) holds polygons")
    if len(areas) > 1:
        raise _wrong_layer(f"{upload} has {len(areas)} layers with polygons ({_named(areas)}): name one")
    return areas[0]


def _named(layers: Iterable[str]) -> str:
    return ", ".join(islice(layers, 10))


def _wrong_layer(detail: str) -> RequestError:
    return RequestError("invalid-parameter", f"layer: {detail}", faults=[Fault("layer", detail)])


def _warnings(outline: Outline) -> Iterator[Warned]:
    if outline.swapped:
        detail = "the file has y before x: it was read so; export it with x first"
        yield Warned(code="area-axes-swapped", detail=detail)
    if outline.features > outline.polygons:
        left = outline.features - outline.polygons
        detail = f"{left} of {outline.features} features are no polygons, empty or hopelessly tangled; left out"
        yield Warned(code="area-features-left-out", detail=detail)
