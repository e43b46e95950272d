"""The processes the service offers, described from the cards, the classes and the request models themselves."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from jobs.annotation.request import PROCESSES as ANNOTATION
from jobs.errors import UnknownProcess
from jobs.public.bodies import Link, Process, ProcessSummary
from jobs.settings import Settings
from models.cards import Card, cards
from models.classes import CLASSES
from service.annotation.processes import ANNOTATIONS
from service.inputs import describe_inputs, described

TITLES: Final = {
    "local-climate-zones": "Local Climate Zones",
    "land-cover": "Land cover",
    **{process: told.title for process, told in ANNOTATIONS.items()},
}
_KEYWORDS: Final = {
    "local-climate-zones": ["land cover", "urban climate", "sentinel-2", "parcels"],
    "land-cover": ["land cover", "aerial imagery", "sealing", "parcels"],
    **{process: ["land cover", "annotation", "training data"] for process in ANNOTATION},
}
_TOLD: Final = {
    "local-climate-zones": "Maps the 17 Local Climate Zones of Stewart & Oke (2012) from Sentinel-2 imagery, with "
    "building heights where they are given, per pixel, per 100 m scene cell or per parcel.",
    "land-cover": "Maps nine land cover classes from sub-metre aerial or satellite pictures, per pixel or per parcel, "
    "with the sealed, green and building share of every parcel.",
    **{process: told.description for process, told in ANNOTATIONS.items()},
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
    "image": ("The imagery the map was made from, as a picture", _COG),
}


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


def process_ids() -> list[str]:
    """Return the ids of all processes: those that map, and those of annotation."""
    return [*offered(), *ANNOTATION]


def models_of(process: str) -> list[Card]:
    """Return the cards of a process, none where it does not map; raises UnknownProcess naming those there are."""
    if process not in process_ids():
        msg = f"there is no process {process!r}; known processes: {', '.join(process_ids())}"
        raise UnknownProcess(msg)
    return offered().get(process, [])


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
        keywords=_KEYWORDS[process],
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
    if process in ANNOTATION:
        return _annotation(process, settings)
    return Process(
        **summary(process, settings.public_url).model_dump(),
        inputs=describe_inputs(members, default_model(process, settings)),
        outputs={name: _output(*facts) for name, facts in OUTPUT_TYPES.items()},
        models=[card_facts(card, settings) for card in members],
        classes=_classes(process),
        limits={
            "min_km2": min(c.limits.min_km2 for c in members),
            "max_km2": max(c.limits.max_km2 for c in members),
            "max_vertices": settings.max_vertices,
            "max_upload_bytes": settings.max_upload_bytes,
            "max_pixels": settings.max_pixels,
            "max_features": settings.max_features,
        },
    )


def _annotation(process: str, settings: Settings) -> Process:
    told = ANNOTATIONS[process]
    return Process(
        **summary(process, settings.public_url).model_dump(),
        inputs=described(told.inputs, told.body),
        outputs={name: _output(*facts) for name, facts in told.outputs.items()},
        models=[],
        classes=_classes("land-cover"),
        limits=told.limits | {"max_upload_bytes": settings.max_upload_bytes},
    )


def _classes(product: str) -> list[dict[str, Any]]:
    return [
        {"code": c.code, "label": c.label, "name": c.name, "colour": c.colour, "safe": c.safe} for c in CLASSES[product]
    ]


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


def _output(title: str, media_type: str) -> dict[str, Any]:
    return {"title": title, "schema": {"type": "string", "format": "binary", "contentMediaType": media_type}}
