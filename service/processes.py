"""The processes the service offers, described from the cards, the classes and the request models themselves."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from jobs.area import CRS84
from jobs.errors import UnknownProcess
from jobs.public.bodies import Link, Process, ProcessSummary
from jobs.request import Inputs
from jobs.settings import Settings
from models.cards import Card, cards
from models.classes import CLASSES
from service.dialect import field_schemas

TITLES: Final = {"local-climate-zones": "Local Climate Zones", "land-cover": "Land cover"}
_TOLD: Final = {
    "local-climate-zones": "Maps the 17 Local Climate Zones of Stewart & Oke (2012) from Sentinel-2 imagery, with "
    "building heights where they are given, per pixel, per 100 m scene cell or per parcel.",
    "land-cover": "Maps nine land cover classes from sub-metre imagery, per pixel, per scene cell or per parcel.",
}
_INPUTS: Final = {
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
_COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
OUTPUT_TYPES: Final = {
    "map": ("Class map", _COG),
    "confidence": ("Confidence of the class", _COG),
    "units": ("Which unit decided", _COG),
    "parcels": ("Parcels with their classes", "application/vnd.apache.parquet"),
    "parcels-gpkg": ("Parcels with their classes, styled", "application/geopackage+sqlite3"),
    "preview": ("Picture with legend and scale", "image/png"),
    "factsheet": ("Factsheet", "text/html"),
    "style": ("Styles for QGIS and SLD readers", "application/zip"),
    "item": ("STAC item", "application/geo+json"),
    "probabilities": ("Probabilities of every class", "application/zip"),
    "uncertainty": ("How sure each pixel is and why, five bands", _COG),
    "accuracy": ("Accuracy against the reference data, where there is any", "application/json"),
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


@cache
def software_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("cityzones")
    except PackageNotFoundError:
        return "0"


def offered() -> dict[str, list[Card]]:
    """Return the cards of every process that has one, the process's id as the key."""
    found = {product: [c for c in cards().values() if c.product == product] for product in CLASSES}
    return {product: members for product, members in found.items() if members}


def models_of(process: str) -> list[Card]:
    """Return the cards of a process; raises UnknownProcess naming those there are."""
    known = offered()
    if process not in known:
        msg = f"there is no process {process!r}; known processes: {', '.join(known)}"
        raise UnknownProcess(msg)
    return known[process]


def default_model(process: str, settings: Settings) -> str:
    """Return the model a process uses where the request names none."""
    names = [card.id for card in models_of(process)]
    return settings.default_model if settings.default_model in names else names[0]


def summary(process: str, public_url: str) -> ProcessSummary:
    """Return a process in short; raises UnknownProcess."""
    models_of(process)
    return ProcessSummary(
        id=process,
        version=software_version(),
        title=TITLES[process],
        description=_TOLD[process],
        keywords=["land cover", "urban climate", "sentinel-2", "parcels"],
        jobControlOptions=["async-execute", "dismiss"],
        outputTransmission=["reference"],
        links=[
            Link(href=f"{public_url}/processes/{process}", rel="self", title=TITLES[process]),
            Link(
                href=f"{public_url}/processes/{process}/execution",
                rel="http://www.opengis.net/def/rel/ogc/1.0/execute",
                title="Start a job",
            ),
        ],
    )


def describe(process: str, settings: Settings) -> Process:
    """Return a process in full; raises UnknownProcess."""
    members = models_of(process)
    return Process(
        **summary(process, settings.public_url).model_dump(),
        inputs=_inputs(process, settings),
        outputs={name: _output(*facts) for name, facts in OUTPUT_TYPES.items()},
        models=[card_facts(card, settings) for card in members],
        classes=[{"code": c.code, "label": c.label, "name": c.name, "colour": c.colour} for c in CLASSES[process]],
        limits={
            "min_km2": min(c.limits.min_km2 for c in members),
            "max_km2": max(c.limits.max_km2 for c in members),
            "max_vertices": settings.max_vertices,
            "max_upload_bytes": settings.max_upload_bytes,
            "max_pixels": settings.max_pixels,
            "max_features": settings.max_features,
        },
    )


def card_facts(card: Card, settings: Settings) -> dict[str, Any]:
    """Return what a client should know of a model before choosing it."""
    facts = card.model_dump(
        mode="json",
        include={"id", "version", "title", "summary", "licence", "training_data", "citation", "limits_told", "limits"},
    )
    return facts | {
        "default": card.id == default_model(card.product, settings),
        "bands": list(card.input.bands),
        "resolution": card.input.resolution,
        "reflectance": card.input.reflectance,
        "uses_buildings": card.input.morphology,
        "precision": card.serving.precision,
        "weights": "bundled" if card.weights.bundled else "fetched by the operator",
        "accuracy": [score.model_dump(mode="json") for score in card.accuracy],
    }


def _inputs(process: str, settings: Settings) -> dict[str, dict[str, Any]]:
    schemas = field_schemas(Inputs) | {"aoi": _AOI_SCHEMA}
    names = [card.id for card in models_of(process)]
    schemas["model"] = {"type": "string", "enum": names, "default": default_model(process, settings)}
    required = set(Inputs.model_json_schema().get("required", ()))
    return {
        name: {
            "title": _INPUTS[name][0],
            "description": _INPUTS[name][1],
            "minOccurs": int(name in required),
            "maxOccurs": 1,
            "schema": schema,
        }
        for name, schema in schemas.items()
    }


def _output(title: str, media_type: str) -> dict[str, Any]:
    return {"title": title, "schema": {"type": "string", "format": "binary", "contentMediaType": media_type}}
