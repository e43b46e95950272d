"""What a client may ask of the processes of annotation: prepare a project, classify its masks, export its labels."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from jobs.parsing import Parts, parse_body
from jobs.request import JOB_ID, Asked, OutputChoice, Strict, Subscriber, Text, UploadId, unqualified

PROJECT: Final = "annotation-project"
CLASSIFICATION: Final = "annotation-classification"
EXPORT: Final = "annotation-export"
MOST_TILES: Final = 256
MOST_PIXELS: Final = 4096**2  # of a tile: it is cut into masks in one piece

ProjectId = Annotated[str, StringConstraints(pattern=JOB_ID)]


class _Inputs(Strict):
    @model_validator(mode="before")
    @classmethod
    def _unqualified(cls, inputs: Any) -> Any:
        return unqualified(inputs)


class ProjectInputs(_Inputs):
    """Tiles to be annotated: pictures uploaded before, cut into masks, and masks that look alike put into clusters.

    Masks are clustered inside neighbourhoods, blocks of `neighbourhood` pixels a side, into `clusters` each at first.
    """

    tiles: Annotated[tuple[UploadId, ...], Field(min_length=1, max_length=MOST_TILES)]
    title: Text = "Annotation project"
    neighbourhood: int = Field(512, ge=256, le=2048, strict=True)
    clusters: int = Field(36, ge=2, le=200, strict=True)

    @model_validator(mode="after")
    def _each_once(self) -> ProjectInputs:
        if len(set(self.tiles)) < len(self.tiles):
            msg = "a tile is named twice"
            raise ValueError(msg)
        return self

    @property
    def uploads(self) -> dict[str, str]:
        """Every upload the request names: JSON Pointer -> upload id."""
        return {f"/inputs/tiles/{place}": upload for place, upload in enumerate(self.tiles)}


class _Following(_Inputs):
    project: ProjectId

    @property
    def uploads(self) -> dict[str, str]:
        """No upload: the project has its tiles."""
        return {}


class ClassificationInputs(_Following):
    """The project whose masks without a label are to be classified, from those with one."""


class ExportInputs(_Following):
    """The project whose labels are wanted, and what a classifier said where it is sure enough, if that is wanted too.

    `least_confidence` is in percent; `validation` the share of neighbourhoods set apart for validation.
    """

    predictions: bool = Field(default=False, strict=True)
    least_confidence: int = Field(90, ge=0, le=100, strict=True)
    validation: float = Field(0.2, ge=0, le=0.9, strict=True)


class ProjectExecute(Asked):
    """The body of POST /processes/annotation-project/execution."""

    inputs: ProjectInputs
    outputs: dict[Literal["project"], OutputChoice] | None = None


class ClassificationExecute(Asked):
    """The body of POST /processes/annotation-classification/execution."""

    inputs: ClassificationInputs
    outputs: dict[Literal["summary"], OutputChoice] | None = None


class ExportExecute(Asked):
    """The body of POST /processes/annotation-export/execution."""

    inputs: ExportInputs
    outputs: dict[Literal["tiles", "coco", "provenance"], OutputChoice] | None = None


Following = ClassificationExecute | ExportExecute
AnnotationExecute = ProjectExecute | Following

_PARTS: Final[dict[str, Parts[Any]]] = {
    PROJECT: Parts(ProjectExecute, {("inputs",): ProjectInputs, ("subscriber",): Subscriber}),
    CLASSIFICATION: Parts(ClassificationExecute, {("inputs",): ClassificationInputs, ("subscriber",): Subscriber}),
    EXPORT: Parts(ExportExecute, {("inputs",): ExportInputs, ("subscriber",): Subscriber}),
}
PROCESSES: Final = tuple(_PARTS)


def parse_annotation(process: str, body: Any) -> AnnotationExecute:
    """Check the decoded body of a request to one of PROCESSES; raises InvalidRequest with every fault."""
    found: AnnotationExecute = parse_body(body, _PARTS[process])
    return found
