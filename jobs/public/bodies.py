"""The bodies the interface answers with, after the schemas of OGC API - Processes 1.0, and links between them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from jobs.logs import LogLine
from jobs.record import CallbackState, State, Warned
from jobs.uploads import UploadRecord

JSON = "application/json"


def _whole(number: object) -> object:
    return int(number) if isinstance(number, float) and number.is_integer() else number


# With `strict`, an integer as JSON Schema has it: 1.0 is one; true and "1" are none.
WHOLE = BeforeValidator(_whole)


class Body(BaseModel):
    """A body; absent members are left out, never null."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Link(Body):
    """A typed link."""

    href: str
    rel: str
    type: str = JSON
    title: str


class Landing(Body):
    """What the service is and where to go from here."""

    title: str
    description: str
    links: list[Link]


class Conformance(Body):
    """The conformance classes the service keeps."""

    conformsTo: list[str]  # noqa: N815 - the standard's name


class ProcessSummary(Body):
    """A process, in short."""

    id: str
    version: str
    title: str
    description: str
    keywords: list[str]
    jobControlOptions: list[str]  # noqa: N815 - the standard's name
    outputTransmission: list[str]  # noqa: N815 - the standard's name
    links: list[Link]


class ProcessList(Body):
    """Every process."""

    processes: list[ProcessSummary]
    links: list[Link]


class Process(ProcessSummary):
    """A process in full: inputs and outputs with schemas; and ours: models with card facts, classes, limits."""

    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    models: list[dict[str, Any]]
    classes: list[dict[str, Any]]
    limits: dict[str, Any]


class Blocks(Body):
    """How many blocks of a job are mapped."""

    done: int
    total: int


class ProblemBody(BaseModel):
    """An error, RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    advice: str
    errors: list[dict[str, str]] | None = None
    reference: str | None = None


class StatusInfo(Body):
    """A job: the standard's statusInfo; and ours: its title, blocks, warnings, and why it failed."""

    jobID: str  # noqa: N815 - the standard's name
    processID: str  # noqa: N815 - the standard's name
    type: Literal["process"] = "process"
    title: str | None = Field(None, description="the input of that name, where the request has it")
    status: State
    message: str
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    updated: datetime | None = None
    progress: int = Field(ge=0, le=100)
    blocks: Blocks
    coverage: float | None = Field(None, ge=0, le=1, description="the share of the area that has a class")
    deletes: datetime | None = Field(None, description="when the outputs are deleted")
    warnings: list[Warned]
    problem: ProblemBody | None = None
    callbacks: dict[str, CallbackState] | None = Field(None, description="how the callback that tells the end stands")
    links: list[Link]


class AskedFor(Body):
    """What a job was asked: sent to the process's execution again, `execute` asks for the same."""

    jobID: str  # noqa: N815 - the standard's name
    processID: str  # noqa: N815 - the standard's name
    created: datetime
    execute: dict[str, Any] = Field(
        description="the body as it was accepted, the model it left open filled in; without `subscriber`, whose "
        "addresses may carry secrets"
    )


class CallbackSecret(Body):
    """What a tenant verifies its callbacks with; `previous` while it is rotated out."""

    tenant: str
    secret: str
    previous: str | None = None


class JobList(Body):
    """Jobs, newest first."""

    jobs: list[StatusInfo]
    links: list[Link]


class LogLineBody(LogLine):
    """One line of a job's log, counted from 1."""

    number: int


class LogLines(Body):
    """Lines of a job's log, oldest first."""

    lines: list[LogLineBody]
    links: list[Link]


class SceneFound(Body):
    """A scene the catalogue has; cloud cover in percent of the whole scene, where it says so."""

    id: str
    datetime: datetime
    cloud_cover: float | None = None


class ScenesFound(Body):
    """What a catalogue has for a request: how many scenes fit, why others do not, and the likeliest to be used."""

    catalogue: str
    fitting: int
    refused: dict[str, int]
    overpasses: int
    likely: list[SceneFound]


class Estimate(Body):
    """What a job would come to. Seconds count from its start, drawn from the last jobs of the model."""

    processID: str  # noqa: N815 - the standard's name
    model: str | None = None
    resolution: float | None = Field(None, description="metres a pixel of the map")
    km2: float | None = None
    pixels: int = Field(description="pixels of the map, or of the tiles to be annotated")
    blocks: int
    seconds: float
    seconds_drawn_from: int = Field(description="how many finished jobs the seconds are drawn from; 0: a rule of thumb")
    output_bytes: int = Field(description="about what the outputs will weigh")
    scenes: ScenesFound | None = Field(None, description="for imagery from a catalogue")
    warnings: list[Warned]
    links: list[Link]


class ResultLink(BaseModel):
    """One output: a link signed for a while, and what to expect at its end (the names of the STAC file extension)."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    href: str
    type: str
    title: str
    rel: str = "item"
    size: int = Field(serialization_alias="file:size")
    checksum: str = Field(serialization_alias="file:checksum", description="multihash, hex: 1220 and the SHA-256")
    expires: datetime = Field(description="when this link ends; ask for another")
    deletes: datetime | None = Field(None, description="when the output itself is deleted")
    filename: str


class Upload(UploadRecord):
    """An upload that has arrived and was found good, and where it is."""

    status: Literal["complete"] = "complete"
    links: list[Link]


class SendTo(Body):
    """The request that brings the bytes of an announced file: its body is the file, or the piece that is missing."""

    method: Literal["PUT", "PATCH"]
    href: str
    headers: dict[str, str] = Field(description="to be sent with it")
    expires: datetime = Field(description="when this ends; GET the upload for another")


class AwaitedUpload(Body):
    """An upload that was announced: where its bytes go, and how many are there."""

    upload: str
    tenant: str
    status: Literal["awaiting"] = "awaiting"
    filename: str
    size: int
    sha256: str | None = None
    received: int | None = Field(None, description="bytes that are there, where they come piece by piece")
    created: datetime
    expires: datetime = Field(description="when the service stops waiting")
    send_to: SendTo | None = Field(None, description="left out for those who may only read")
    links: list[Link]


class AreaFound(Body):
    """An upload as an area of interest: a geometry to be sent as `aoi`. What a model accepts is not asked here."""

    geometry: dict[str, Any] = Field(description="a GeoJSON Polygon or MultiPolygon, as `aoi` takes it")
    km2: float
    vertices: int = Field(description="of the geometry")
    source: Literal["polygons", "bounds"] = Field(description="the polygons of a vector file, or an image's bounds")
    polygons: int | None = Field(None, description="polygons of the file that were put together")
    layer: str | None = Field(None, description="the layer they are from, where the file has layers")
    simplified_m: float | None = Field(None, description="metres that the outline was moved by at most, to be accepted")
    warnings: list[Warned]


class UploadList(Body):
    """Uploads, newest first."""

    uploads: list[Upload | AwaitedUpload]
    links: list[Link]
