"""The inputs of a process as its models take them: described to clients, and refused where a model takes none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from jobs.area import CRS84
from jobs.errors import InvalidRequest
from jobs.request import Execute, Inputs
from jobs.scenes.bands import colours
from models.cards import Card
from models.errors import Fault
from service.dialect import field_schemas

_TOLD: Final = {
    "title": ("Title", "What the job and its map are called: in lists, on the preview and the factsheet."),
    "aoi": ("Area of interest", "GeoJSON in longitude/latitude, or a bbox. Without it the uploaded image is mapped."),
    "imagery": (
        "Imagery",
        (
            "A STAC search, files uploaded before, or a finished job: its probabilities are taken as they are, and "
            "only parcels, units and outputs are made anew, in seconds."
        ),
    ),
    "buildings": ("Buildings", "Uploaded footprints with heights in metres."),
    "parcels": ("Parcels", "Polygons mapped as units: uploaded before, or inline GeoJSON features."),
    "reference": (
        "Reference data",
        "Uploaded points or polygons of known class; the map's accuracy is measured on them.",
    ),
    "units": ("Units", "What is given one class: the pixel, the 100 m scene cell, the parcel, or the fittest of them."),
    "resolution": ("Resolution", "Metres a pixel of the map: 10, or 100 for scene cells at a fraction of the time."),
    "min_coverage": (
        "Least coverage",
        "The share of the area (0-1) that clear imagery must have let be mapped; the job fails where it is less.",
    ),
    "model": ("Model", "The network that maps; see models."),
    "outputs": ("Outputs", "Which outputs to make. The standard's own outputs member goes before it."),
}
# Of processes whose models read pictures, and have no scene cells.
_OF_PICTURES: Final = {
    "imagery": (
        "Imagery",
        (
            "Pictures uploaded before, of red, green and blue: bytes, or other numbers, which are stretched. Several "
            "are one mosaic. Or a STAC search of a collection of pictures of bytes, all bands in one file, or a "
            "finished job, whose probabilities are taken as they are."
        ),
    ),
}
_OF_PIXELS: Final = {
    "units": (
        "Units",
        "What is given one class: the pixel, the parcel, or with auto a parcel that is all alike.",
    ),
}
_MEMBERS: Final = {
    "Polygon": "coordinates", "MultiPolygon": "coordinates", "Feature": "geometry", "FeatureCollection": "features",
}  # fmt: skip
_BBOX: Final[dict[str, Any]] = {
    "type": "object",
    "title": "bbox",
    "required": ["bbox"],
    "properties": {
        "bbox": {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 4,
            "maxItems": 4,
            "description": "west, south, east, north in degrees",
        },
        "crs": {"type": "string", "enum": [CRS84]},
    },
}


def _geojson(kind: str, member: str) -> dict[str, Any]:
    """Return the outline of a GeoJSON object; written out, as the OGC schema takes no reference at this depth."""
    return {
        "type": "object",
        "title": kind,
        "description": "GeoJSON, RFC 7946: longitude, latitude",
        "required": ["type", member],
        "properties": {
            "type": {"type": "string", "enum": [kind]},
            member: {"type": "object" if member == "geometry" else "array"},
        },
    }


_AOI_SCHEMA: Final[dict[str, Any]] = {"oneOf": [*(_geojson(*pair) for pair in _MEMBERS.items()), _BBOX]}


def describe_inputs(members: Sequence[Card], default: str) -> dict[str, dict[str, Any]]:
    """Return the description of each input of a process, by name, without those that none of its models takes.

    `members` are the cards of its models, `default` the one that maps where a request names none.
    """
    schemas = field_schemas(Inputs) | {"aoi": _AOI_SCHEMA}
    schemas["model"] = {"type": "string", "enum": [card.id for card in members], "default": default}
    told = dict(_TOLD)
    if not _reads_buildings(members):
        del schemas["buildings"]
    if not any(card.has_cells for card in members):
        del schemas["resolution"]
        told |= _OF_PIXELS
        schemas["units"]["enum"] = [unit for unit in schemas["units"]["enum"] if unit != "scene"]
    if all(card.input.reflectance == "digital" for card in members):
        told |= _OF_PICTURES
    return _described(schemas, told, Inputs)


def described(told: Mapping[str, tuple[str, str]], model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return the description of each field of a model of inputs, from its titles and texts by name."""
    return _described(field_schemas(model), told, model)


def _described(
    schemas: Mapping[str, dict[str, Any]], told: Mapping[str, tuple[str, str]], model: type[BaseModel]
) -> dict[str, dict[str, Any]]:
    required = set(model.model_json_schema().get("required", ()))
    return {
        name: {
            "title": told[name][0],
            "description": told[name][1],
            "minOccurs": int(name in required),
            "maxOccurs": 1,
            "schema": schema,
        }
        for name, schema in schemas.items()
    }


def check_inputs(inputs: Inputs, card: Card, members: Sequence[Card]) -> None:
    """Raise InvalidRequest with every input that a request gives and its model, or all of its process, cannot take."""
    faults = [Fault(f"/inputs/{name}", told) for name, told in _refused(inputs, card, members)]
    if faults:
        raise InvalidRequest(f"{faults[0].pointer}: {faults[0].detail}", faults=faults)


def check_image(execute: Execute, card: Card) -> None:
    """Raise InvalidRequest where the picture of its imagery is asked of a model that does not read all its colours."""
    if "image" in execute.selected and colours(card.input.bands) is None:
        pointer = execute.pointer_to("image")
        detail = f"{card.id} does not read red, green and blue, of which a picture is made: leave image out"
        raise InvalidRequest(f"{pointer}: {detail}", faults=[Fault(pointer, detail)])


def _refused(inputs: Inputs, card: Card, members: Sequence[Card]) -> Iterator[tuple[str, str]]:
    if inputs.buildings is not None and not _reads_buildings(members):
        yield "buildings", f"no model of {card.product} reads buildings: leave them out"
    if "resolution" in inputs.model_fields_set and not card.has_cells:
        yield "resolution", f"{card.id} maps the pixels that the images have: leave resolution out, or resample them"
    if inputs.units == "scene" and not card.has_cells:
        yield "units", f"{card.id} has no scene cells: give auto, pixel or parcel"


def _reads_buildings(members: Sequence[Card]) -> bool:
    return any(card.input.morphology for card in members)
