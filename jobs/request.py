"""What a client may ask: the execute request of a mapping process, as strict pydantic models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from jobs.callbacks.targets import MAX_LENGTH, checked_uri
from jobs.parsing import Parts, parse_body

UPLOAD_ID: Final = r"^upl_[0-9a-z]{26}$"
JOB_ID: Final = r"^job_[0-9a-z]{26}$"
OutputName = Literal[
    "map", "confidence", "units", "parcels", "parcels-gpkg", "preview", "factsheet", "style", "item", "probabilities",
    "uncertainty", "accuracy", "image",
]  # fmt: skip
OUTPUTS: Final[tuple[OutputName, ...]] = get_args(OutputName)
# Not made unless asked for: probabilities for their size; uncertainty, as the reasons it is made from take five times
# the storage of the probabilities (342 kB against 72 on a sample city), though hardly more time (5 %); the image, as it
# is larger than all others. Accuracy comes by itself where there is reference data.
_ON_REQUEST: Final = frozenset({"probabilities", "uncertainty", "accuracy", "image"})
DEFAULT_OUTPUTS: Final[tuple[OutputName, ...]] = tuple(name for name in OUTPUTS if name not in _ON_REQUEST)

UploadId = Annotated[str, StringConstraints(pattern=UPLOAD_ID)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_BREAKS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029"


def _one_line(text: str) -> str:
    if not text.strip() or re.search(f"[{_BREAKS}]", text):
        msg = "a title is one line of text: leave control characters out"
        raise ValueError(msg)
    return text


Title = Annotated[Text, AfterValidator(_one_line), Field(json_schema_extra={"pattern": f"^[^{_BREAKS}]+$"})]
CallbackUri = Annotated[
    str,
    StringConstraints(max_length=MAX_LENGTH),
    AfterValidator(checked_uri),
    Field(json_schema_extra={"format": "uri", "pattern": "^https?://[^/?#@]+([/?][^#]*)?$"}),
]


class Strict(BaseModel):
    """A part of a request: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StacSearch(Strict):
    """Scenes of a STAC collection; `catalogue` must be one the service allows (its default if absent)."""

    collection: Text = "sentinel-2-l2a"
    datetime: Annotated[str, StringConstraints(pattern=r"^[0-9TZ:.+\-]{4,40}(/[0-9TZ:.+\-]{4,40}|/\.\.)?$")]
    max_cloud_cover: float = Field(20, ge=0, le=100, strict=True)
    catalogue: Annotated[str, StringConstraints(max_length=500)] | None = None


class Imagery(Strict):
    """Where the image comes from: a STAC search, files uploaded before, or a finished job. Exactly one of them.

    `bands` names the bands of an uploaded file in its order, where the file does not; `scale` and `offset`
    turn its numbers into reflectance (reflectance = number * scale + offset) where the file does not say.
    `job` takes area, model and probabilities of a finished job: only what follows the network is done again.
    """

    stac: StacSearch | None = None
    uploads: Annotated[tuple[UploadId, ...], Field(min_length=1, max_length=64)] | None = None
    job: Annotated[str, StringConstraints(pattern=JOB_ID)] | None = None
    bands: Annotated[tuple[Text, ...], Field(min_length=1, max_length=64)] | None = None
    scale: float | None = Field(None, gt=0, strict=True)
    offset: float | None = Field(None, strict=True)

    @model_validator(mode="after")
    def _one_source(self) -> Imagery:
        if sum(source is not None for source in (self.stac, self.uploads, self.job)) != 1:
            msg = "give exactly one of stac, uploads and job"
            raise ValueError(msg)
        if self.uploads is None and (self.bands or self.scale is not None or self.offset is not None):
            msg = "bands, scale and offset describe uploads; a STAC item says them itself"
            raise ValueError(msg)
        return self


class Buildings(Strict):
    """Footprints with heights in metres; `layer` names the layer of a file that has several."""

    upload: UploadId
    layer: Text | None = None
    height_field: Text = "height"


class Streets(Strict):
    """Lines that enclose city blocks: streets, railways, rivers; `layer` names the layer of a file that has several."""

    upload: UploadId
    layer: Text | None = None


class Parcels(Strict):
    """Polygons that are mapped as units. They come in one of three ways.

    `upload` names a file sent before (`layer` its layer, where it has several), `features` are GeoJSON features in
    longitude/latitude, and `derive` makes them: "streets" takes the blocks that the lines of `streets` enclose.
    """

    upload: UploadId | None = None
    layer: Text | None = None
    features: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=10_000)] | None = None
    id_field: Text | None = None
    derive: Literal["streets"] | None = None
    streets: Streets | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Parcels:
        if sum(source is not None for source in (self.upload, self.features, self.derive)) != 1:
            msg = "give exactly one of upload, features and derive"
            raise ValueError(msg)
        if self.upload is None and self.layer is not None:
            msg = "layer belongs to upload: inline features have no layers, and streets name their own"
            raise ValueError(msg)
        if (self.derive is None) != (self.streets is None):
            msg = 'derived parcels need both derive: "streets" and streets: {"upload": ...}'
            raise ValueError(msg)
        if self.derive is not None and self.id_field is not None:
            msg = "derived parcels are numbered: leave id_field out"
            raise ValueError(msg)
        return self


class Reference(Strict):
    """Points or polygons whose class is known, to assess the map with; they never reach the network.

    `class_field` names the field of the classes: codes, labels or names of the process's classes, or for Local Climate
    Zones GeoClimate's 101-107. Without it that is "lcz", and for land cover "class". `layer` names the layer of a file
    that has several.
    """

    upload: UploadId
    layer: Text | None = None
    class_field: Text | None = None


class Inputs(Strict):
    """The inputs of a mapping process. Without `aoi` the whole uploaded image, or the finished job's area, is mapped.

    `resolution` 100 makes a map of scene cells, of models that have them; others map the pixels of the images. A job
    fails if less than `min_coverage` (0-1) of the area could be mapped, for want of clear imagery. An object may stand
    as it is, or as the standard qualifies it: {"value": {...}, "mediaType": "..."}. `title` is what people call the job
    and its map; it changes nothing else.
    """

    title: Title | None = None
    aoi: dict[str, Any] | None = None
    imagery: Imagery
    buildings: Buildings | None = None
    parcels: Parcels | None = None
    reference: Reference | None = None
    units: Literal["auto", "pixel", "scene", "parcel"] = "auto"
    resolution: Literal[10, 100] = 10
    min_coverage: float = Field(0.0, ge=0, le=1, strict=True)
    model: Text = "magnet"
    outputs: Annotated[tuple[OutputName, ...], Field(min_length=1, max_length=16)] = DEFAULT_OUTPUTS

    @model_validator(mode="before")
    @classmethod
    def _unqualified(cls, inputs: Any) -> Any:
        return unqualified(inputs)

    @model_validator(mode="after")
    def _complete(self) -> Inputs:
        if self.aoi is None and self.imagery.stac is not None:
            msg = 'imagery from STAC needs an aoi: a polygon, or {"bbox": [west, south, east, north]}'
            raise ValueError(msg)
        if self.units == "parcel" and self.parcels is None:
            msg = 'units "parcel" needs parcels'
            raise ValueError(msg)
        if self.imagery.job is not None:
            fixed = [name for name in ("aoi", "buildings") if name in self.model_fields_set]
            if fixed:
                msg = f"a finished job as imagery brings its own {', '.join(fixed)}: leave that out"
                raise ValueError(msg)
        return self

    @property
    def uploads(self) -> dict[str, str]:
        """Every upload the request names: JSON Pointer -> upload id."""
        named = {f"/inputs/imagery/uploads/{i}": u for i, u in enumerate(self.imagery.uploads or ())}
        if self.buildings:
            named["/inputs/buildings/upload"] = self.buildings.upload
        if self.parcels and self.parcels.upload:
            named["/inputs/parcels/upload"] = self.parcels.upload
        if self.parcels and self.parcels.streets:
            named["/inputs/parcels/streets/upload"] = self.parcels.streets.upload
        if self.reference:
            named["/inputs/reference/upload"] = self.reference.upload
        return named


def unqualified(inputs: Any) -> Any:
    """Return inputs, each taken out of the standard's qualifiedInputValue where it comes as one."""
    return {name: _value(given) for name, given in inputs.items()} if isinstance(inputs, Mapping) else inputs


def _value(given: Any) -> Any:
    qualified = isinstance(given, Mapping) and "value" in given and given.keys() <= {"value", "mediaType"}
    return given["value"] if qualified else given


class OutputFormat(Strict):
    """The format a client asks for an output in; every output has one, which the process's description names."""

    mediaType: str | None = None  # noqa: N815 - the standard's name


class OutputChoice(Strict):
    """How the standard lets a client ask for one output; every output comes as a link."""

    transmissionMode: Literal["reference"] = "reference"  # noqa: N815 - the standard's name
    format: OutputFormat | None = None


class Subscriber(Strict):
    """Who is told of a job: `successUri` its results, `failedUri` why it failed, `inProgressUri` how it goes."""

    successUri: CallbackUri  # noqa: N815 - the standard's name
    inProgressUri: CallbackUri | None = None  # noqa: N815 - the standard's name
    failedUri: CallbackUri | None = None  # noqa: N815 - the standard's name


class Asked(Strict):
    """What every execute request may say beside its inputs. `response` may only ask for what is given."""

    response: Literal["document"] = "document"
    subscriber: Subscriber | None = None


class Execute(Asked):
    """The body of POST /processes/{id}/execution for a process that maps."""

    inputs: Inputs
    outputs: dict[OutputName, OutputChoice] | None = None

    @property
    def selected(self) -> tuple[OutputName, ...]:
        """The outputs to make: the keys of the standard's `outputs` member, else the input of that name.

        Where neither is given these are the defaults, and the accuracy if there is reference data.
        """
        if self.outputs:
            return tuple(self.outputs)
        if self.inputs.reference and "outputs" not in self.inputs.model_fields_set:
            return (*self.inputs.outputs, "accuracy")
        return self.inputs.outputs

    def pointer_to(self, output: OutputName) -> str:
        """Return the JSON Pointer to where an output is asked for."""
        return f"/outputs/{output}" if self.outputs else f"/inputs/outputs/{self.inputs.outputs.index(output)}"

    @model_validator(mode="after")
    def _assessable(self) -> Execute:
        if "accuracy" in self.selected and self.inputs.reference is None:
            msg = "the output accuracy needs reference data: give inputs.reference"
            raise ValueError(msg)
        return self


def parse_execute(body: Any) -> Execute:
    """Check the decoded body of a request for a map; raises InvalidRequest with every fault."""
    return parse_body(body, _MODELS)


_MODELS: Final[Parts[Execute]] = Parts(
    Execute,
    {
        ("subscriber",): Subscriber,
        ("inputs",): Inputs,
        ("inputs", "imagery"): Imagery,
        ("inputs", "imagery", "stac"): StacSearch,
        ("inputs", "buildings"): Buildings,
        ("inputs", "parcels"): Parcels,
        ("inputs", "parcels", "streets"): Streets,
        ("inputs", "reference"): Reference,
    },
)
