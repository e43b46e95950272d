"""What a client may ask of the process that prepares an annotation project."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from jobs.parsing import Parts, parse_body
from jobs.request import Asked, OutputChoice, Strict, Subscriber, Text, UploadId, unqualified

PROCESS: Final = "annotation-project"
MOST_TILES: Final = 256
MOST_PIXELS: Final = 4096**2  # of a tile: it is cut into masks in one piece

ProjectOutput = Literal["project"]


class ProjectInputs(Strict):
    """Tiles to be annotated: pictures uploaded before, cut into masks, and masks that look alike put into clusters.

    Masks are clustered inside neighbourhoods, blocks of `neighbourhood` pixels a side, into `clusters` each at first.
    """

    tiles: Annotated[tuple[UploadId, ...], Field(min_length=1, max_length=MOST_TILES)]
    title: Text = "Annotation project"
    neighbourhood: int = Field(512, ge=256, le=2048, strict=True)
    clusters: int = Field(36, ge=2, le=200, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _unqualified(cls, inputs: Any) -> Any:
        return unqualified(inputs)

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


class ProjectExecute(Asked):
    """The body of POST /processes/annotation-project/execution."""

    inputs: ProjectInputs
    outputs: dict[ProjectOutput, OutputChoice] | None = None


_PARTS: Final = Parts(ProjectExecute, {("inputs",): ProjectInputs, ("subscriber",): Subscriber})


def parse_project(body: Any) -> ProjectExecute:
    """Check the decoded body of a request for a project; raises InvalidRequest with every fault."""
    return parse_body(body, _PARTS)
