"""The processes of annotation as clients are told of them: what goes in, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from jobs.annotation.request import (
    CLASSIFICATION,
    EXPORT,
    MOST_PIXELS,
    MOST_TILES,
    PROJECT,
    ClassificationInputs,
    ExportInputs,
    ProjectInputs,
)

_OF_PROJECT: Final = {"project": ("Project", "The job that prepared the project.")}
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Told:
    """Title and description of a process; of every input title and text; of every output title and media type."""

    title: str
    description: str
    body: type[BaseModel]
    inputs: dict[str, tuple[str, str]]
    outputs: dict[str, tuple[str, str]]
    limits: dict[str, Any] = field(default_factory=dict)


ANNOTATIONS: Final = {
    PROJECT: Told(
        "Annotation project",
        "Cuts pictures into masks and puts masks that look alike into clusters, which people then label on pages of "
        "this service: training data of land cover in a fraction of the clicks.",
        ProjectInputs,
        {
            "tiles": (
                "Tiles",
                "Pictures uploaded before: red, green and blue, or one band; stretched if not of bytes.",
            ),
            "title": ("Title", "What the project is called on its pages."),
            "neighbourhood": ("Neighbourhood", "Side in pixels of the blocks inside which masks are clustered."),
            "clusters": ("Clusters", "How many a neighbourhood has at first; those that mix classes are split."),
        },
        {"project": ("The project: its tiles, neighbourhoods and masks", _JSON)},
        {"max_tiles": MOST_TILES, "max_tile_pixels": MOST_PIXELS},
    ),
    CLASSIFICATION: Told(
        "Annotation classifier",
        "Learns from the masks of a project that have a label, and suggests a class for every other one, with how sure "
        "it is; suggestions appear on the project's pages.",
        ClassificationInputs,
        _OF_PROJECT,
        {"summary": ("How many masks were learnt from and classified, by class", _JSON)},
    ),
    EXPORT: Told(
        "Annotation export",
        "Exports the labels of a project: pairs of images and labels that training reads, COCO, and the provenance of "
        "every mask.",
        ExportInputs,
        _OF_PROJECT
        | {
            "predictions": ("Predictions", "Whether masks without a label get what the classifier says."),
            "least_confidence": ("Least confidence", "How sure, in percent, the classifier must be for that."),
            "validation": ("Validation", "The share of neighbourhoods that is set apart for validation."),
        },
        {
            "tiles": ("Images and labels as GeoTIFF pairs, 0 = unlabelled", "application/zip"),
            "coco": ("Masks in the COCO format", _JSON),
            "provenance": ("Who gave each mask its class, how and when", "text/csv"),
        },
    ),
}
