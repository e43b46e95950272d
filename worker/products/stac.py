"""The catalogue item of a finished map: STAC Item 1.1 with everything a catalogue needs to show and trace it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

import pystac
from pyproj import CRS
from shapely.geometry import shape

from jobs.area import Grid
from jobs.products import DOUBTS, SECOND_CLASS, UNIT_TITLES, UNSURE
from jobs.record import OutputFile
from models.cards import Card
from models.classes import NODATA, MapClass
from worker.imagery.colours import COLOURS
from worker.parcels.units import UNIT_NAMES
from worker.products.cog import UNIT_COLOURS
from worker.products.facts import MapFacts

_SCHEMAS: Final = "https://stac-extensions.github.io"
EXTENSIONS: Final = tuple(
    f"{_SCHEMAS}/{name}/schema.json"
    for name in ("projection/v2.0.0", "raster/v2.0.0", "classification/v2.0.0", "file/v2.1.0", "processing/v1.2.0")
)
MLM: Final = f"{_SCHEMAS}/mlm/v1.4.0/schema.json"
_SHA256_MULTIHASH: Final = "1220"
_ROLES: Final[dict[str, list[str]]] = {
    "map": ["data"], "confidence": ["data", "confidence"], "units": ["data"], "parcels": ["data"],
    "parcels-gpkg": ["data"], "preview": ["overview", "thumbnail"], "factsheet": ["metadata"], "style": ["style"],
    "probabilities": ["data"], "accuracy": ["metadata"],
    "uncertainty": ["data", "confidence"], "image": ["visual", "overview"],
}  # fmt: skip
_RASTERS: Final = ("map", "confidence", "units")


def make_item(facts: MapFacts, outputs: Mapping[str, OutputFile]) -> bytes:
    """Return the item as JSON; `outputs` are the files beside it, whose hrefs are relative to the item.

    The item's time is that of the imagery, else of the request. The `mlm` extension demands an asset that is the model:
    it is declared where the weights have a public address, and its fields are given in any case.
    """
    outline = shape(facts.imagery.area)
    start, end = _period(facts)
    item = pystac.Item(
        id=facts.job,
        geometry=facts.imagery.area,
        bbox=list(outline.bounds),
        datetime=None if start else facts.created,
        start_datetime=start,
        end_datetime=end,
        properties=_properties(facts),
        stac_extensions=list(EXTENSIONS),
    )
    for name, output in sorted(outputs.items()):
        if name != "item":
            item.add_asset(name, _asset(name, output, facts))
    if facts.card.weights.source_url:
        item.stac_extensions.append(MLM)
        item.add_asset("model", _weights(facts.card))
    for scene in facts.imagery.scenes:
        if scene.href:
            item.add_link(pystac.Link("derived_from", scene.href, "application/geo+json", scene.id))
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def class_objects(classes: tuple[MapClass, ...]) -> list[dict[str, Any]]:
    """Return a product's classes as the classification extension writes them."""
    objects: list[dict[str, Any]] = [{"value": NODATA, "name": "no-data", "description": "No data", "nodata": True}]
    for c in classes:
        name = c.label if len(c.label) > 2 else f"LCZ-{c.label}"  # noqa: PLR2004 - LCZ labels are 1-10, A-G
        hint = c.colour.removeprefix("#").upper()
        objects.append({"value": c.code, "name": name, "title": c.name, "description": c.name, "color_hint": hint})
    return objects


def _properties(facts: MapFacts) -> dict[str, Any]:
    grid, card = facts.grid, facts.card
    authority = CRS.from_user_input(grid.crs).to_authority()
    crs = {"proj:code": ":".join(authority)} if authority else {"proj:code": None, "proj:wkt2": grid.crs}
    lineage = f"{facts.imagery.provenance} Classified with {card.title} {card.version} ({card.serving.precision})."
    return {
        "title": facts.title,
        "description": f"{facts.product_title} of {facts.km2:.4g} km2",
        "created": _utc(facts.created),
        "gsd": grid.resolution,
        **crs,
        "proj:shape": list(grid.shape),
        "proj:bbox": list(grid.bounds),
        "proj:transform": list(grid.transform)[:6],
        "processing:level": "L4",
        "processing:lineage": lineage,
        "processing:software": {"cityzones": version("cityzones"), card.id: card.version},
        **_model(card),
    }


def _model(card: Card) -> dict[str, Any]:
    side = card.geometry.tile + 2 * card.geometry.halo
    nodes, classes = card.geometry.tile // card.geometry.step, len(card.classes)
    bands = ", ".join(card.input.bands)
    kind = "a picture's numbers" if card.input.reflectance == "digital" else f"{card.input.reflectance} reflectance"
    told = f"Bands {bands} as {kind} (0-1), {card.input.resolution:g} m"
    order = ["batch", "channel", "height", "width"]
    inputs = [_tensor("imagery", "input", [-1, len(card.input.bands), side, side], order) | {"description": told}]
    if card.input.morphology:
        inputs.append(_tensor("building morphology", "input", [-1, 6, side, side], order))
    output = _tensor(
        "class probabilities", "result", [-1, classes, nodes, nodes], ["batch", "class", "height", "width"]
    )
    tasks = ["semantic-segmentation"] if card.geometry.step == 1 else ["scene-classification"]
    return {
        "mlm:name": card.id,
        "mlm:architecture": card.title,
        "mlm:framework": "ONNX",
        "mlm:tasks": tasks,
        "mlm:input": inputs,
        "mlm:output": [output | {"tasks": tasks, "classification:classes": class_objects(card.classes)}],
    }


def _tensor(name: str, member: str, shape_: list[int], order: list[str]) -> dict[str, Any]:
    # `bands` stays empty: a name there would have to be a band of this item, and its bands are the map's.
    return {"name": name, "bands": [], member: {"shape": shape_, "dim_order": order, "data_type": "float32"}}


def _weights(card: Card) -> pystac.Asset:
    href = card.weights.source_url or ""
    fields = {"mlm:artifact_type": href.rsplit(".", 1)[-1], "description": card.summary}
    if card.weights.source_sha256:
        fields["file:checksum"] = _SHA256_MULTIHASH + card.weights.source_sha256
    title = f"Weights {card.title} was made from"
    return pystac.Asset(href, title, media_type="application/octet-stream", roles=["mlm:model"], extra_fields=fields)


def _asset(name: str, output: OutputFile, facts: MapFacts) -> pystac.Asset:
    fields: dict[str, Any] = {"file:size": output.size, "file:checksum": _SHA256_MULTIHASH + output.sha256}
    if name == "uncertainty":
        fields["bands"] = [_doubt(*band, facts) for band in DOUBTS]
    if name in _RASTERS:
        fields["bands"] = [_band(name, facts)]
    if name == "image":
        fields |= _picture(facts.imagery.pixel_grid)
    roles = list(_ROLES.get(name, ["data"]))
    return pystac.Asset(
        f"./{output.filename}", output.title, media_type=output.media_type, roles=roles, extra_fields=fields
    )


def _band(name: str, facts: MapFacts) -> dict[str, Any]:
    band: dict[str, Any] = {
        "name": name, "data_type": "uint8", "nodata": NODATA, "raster:sampling": "area",
        "raster:spatial_resolution": facts.grid.resolution,
    }  # fmt: skip
    if name == "confidence":
        return band | {"unit": "%", "description": "Probability of the class, of the unit that decided"}
    return band | {"classification:classes": class_objects(facts.card.classes) if name == "map" else _units()}


def _doubt(name: str, description: str, facts: MapFacts) -> dict[str, Any]:
    band: dict[str, Any] = {
        "name": name, "description": description, "data_type": "uint8", "nodata": UNSURE, "raster:sampling": "area",
        "raster:spatial_resolution": facts.grid.resolution,
    }  # fmt: skip
    if name == SECOND_CLASS:
        return band | {"classification:classes": class_objects(facts.card.classes)[1:]}
    return band | {"unit": "%"}


def _picture(grid: Grid) -> dict[str, Any]:
    """Return the fields of the picture, whose pixels are the imagery's and may be finer than the map's."""
    band = {"data_type": "uint8", "nodata": NODATA, "raster:sampling": "area",
            "raster:spatial_resolution": grid.resolution}  # fmt: skip
    return {
        "bands": [{"name": colour, **band} for colour in COLOURS],
        "gsd": grid.resolution,
        "proj:shape": list(grid.shape),
        "proj:transform": list(grid.transform)[:6],
    }


def _units() -> list[dict[str, Any]]:
    units = [
        {"value": code, "name": UNIT_NAMES[code], "title": title, "description": f"Decided by the {title}",
         "color_hint": "{:02X}{:02X}{:02X}".format(*UNIT_COLOURS[code])}
        for code, title in UNIT_TITLES.items()
    ]  # fmt: skip
    return [{"value": NODATA, "name": "no-data", "description": "No data", "nodata": True}, *units]


def _period(facts: MapFacts) -> tuple[datetime | None, datetime | None]:
    times = [datetime.fromisoformat(s.datetime) for s in facts.imagery.scenes]
    return (min(times), max(times)) if times else (None, None)


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
