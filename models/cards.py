"""Model cards: what a network maps, what it eats, how it is served and how well it did, one TOML file each."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.classes import MapClass, classes_of
from models.errors import BadCard, UnknownModel

CARDS_DIR = Path(__file__).parent / "cards"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSpec(_Section):
    """What one request to the network holds.

    `bands` in order, as surface or top-of-atmosphere reflectance (0-1, not x10000) at `resolution` metres, or as the
    numbers of a picture, 0-1 ("digital"). `own_pixels` is how large pixels may be, in multiples of `resolution`, for an
    uploaded image to be mapped on its own; `coarsest` the same for one to be mapped at all (None: whatever it is).
    `morphology` says whether the second input (6 channels, see models.morphology) exists.
    """

    bands: tuple[str, ...]
    resolution: float = Field(gt=0)
    reflectance: Literal["TOA", "BOA", "synthetic", "digital"]
    own_pixels: tuple[float, float] = (0.95, 1.05)
    coarsest: float | None = Field(None, gt=0)
    morphology: bool = False


class Geometry(_Section):
    """How a tile maps onto the output lattice, all in input pixels.

    A request is one tile of `tile + 2 * halo` pixels a side. The answer has `tile / step` nodes a side; node k
    describes the `step` pixels from k * step on, seen through a window of `window` pixels centred on them.
    """

    window: int = Field(gt=0)
    step: int = Field(gt=0)
    tile: int = Field(gt=0)
    halo: int = Field(ge=0)
    scene: int = Field(10, gt=0)

    @model_validator(mode="after")
    def _divides(self) -> Geometry:
        if self.tile % self.step or self.tile % self.scene:
            msg = "tile must be a multiple of step and of scene"
            raise ValueError(msg)
        return self


class Serving(_Section):
    """The Triton model's name, the arithmetic it runs in, and the outputs it gives beside the probabilities.

    `morphology_weight` is how far the building branch decided each node: UINT8 (1, N, N), 255 alpha_m. `temperature`
    is what the graph divides its logits by, fitted on validation data; 1 where nothing was fitted.
    """

    model: str
    precision: Literal["f32", "bf16", "f16"] = "f32"
    extras: tuple[Literal["morphology_weight"], ...] = ()
    temperature: float = Field(1.0, gt=0)


class SceneGraph(_Section):
    """The same network as a graph that answers once a scene cell: a fraction of the work where no more is wanted.

    `model` and `file` as in Serving and Weights, `halo` and `tile` as in Geometry; its step is the card's scene.
    """

    model: str
    file: str
    halo: int = Field(ge=0)
    tile: int = Field(gt=0)


class Domain(_Section):
    """Per-band median and inter-quartile range of the training reflectance, for the domain warning."""

    median: tuple[float, ...]
    iqr: tuple[float, ...]


class UnitThresholds(_Section):
    """When a parcel, its block, a scene cell or a pixel decides (metres, square metres, shares).

    Fitted on validation areas by `python -m worker.parcels.units.fitting`. `filter_scale` multiplies the metres of the
    per-class Gaussian filter (0: none); small parcels take the class of a block of at least `block_min_area`; ground
    without a parcel belongs to one up to `street_reach` away, as streets to the blocks along them; beside parcels, the
    pixels of a scene cell whose top class has less than `scene_top` decide for themselves.
    """

    pixel_elongation: float = 4.0
    pixel_mean_width: float = 40.0
    water_top: float = 0.9
    parcel_min_area: float = 1e4
    parcel_max_area: float = 1e6
    parcel_top: float = 0.6
    parcel_entropy: float = 0.45
    min_valid: float = 0.5
    filter_scale: float = Field(0.0, ge=0, le=2)
    block_min_area: float = Field(1e4, ge=0)
    street_reach: float = Field(0.0, ge=0, le=100)
    scene_top: float = Field(0.0, ge=0, le=1)


class Limits(_Section):
    """The area of interest the service accepts for this model, in km2."""

    min_km2: float = 0.01
    max_km2: float = 25_000.0


class Weights(_Section):
    """Where the weights come from: bundled under models/weights, or fetched once on request.

    `file` is the ONNX file served; `source_*` name what is downloaded and converted into it.
    """

    file: str
    bundled: bool
    source_file: str | None = None
    source_url: str | None = None
    source_sha256: str | None = None


class Score(_Section):
    """One row of the accuracy table: what was measured, on which data, beside which baseline."""

    data: str
    method: str
    metrics: dict[str, float]


class Card(_Section):
    """A network the service can map with."""

    id: str
    version: str
    product: Literal["local-climate-zones", "land-cover"]
    title: str
    summary: str
    licence: str
    training_data: str
    training_command: str | None = None
    citation: str
    limits_told: tuple[str, ...] = ()
    input: InputSpec
    geometry: Geometry
    serving: Serving
    weights: Weights
    scene_graph: SceneGraph | None = None
    domain: Domain | None = None
    units: UnitThresholds = UnitThresholds()
    limits: Limits = Limits()
    accuracy: Annotated[tuple[Score, ...], Field(default=())]

    @property
    def classes(self) -> tuple[MapClass, ...]:
        """The product's classes in raster-code order; probabilities use the same order."""
        return classes_of(self.product)

    @property
    def has_cells(self) -> bool:
        """Whether scene cells are more than pixels: a map of them can be asked for, and they can decide."""
        return self.geometry.scene > 1

    @property
    def cell(self) -> float:
        """The side of a scene cell in metres, on pixels of the card's resolution."""
        return self.input.resolution * self.geometry.scene

    def for_scenes(self) -> Card:
        """Return the card of the graph that answers once a scene cell; this one where there is none."""
        told = self.scene_graph
        if told is None:
            return self
        coarse = {"step": self.geometry.scene, "tile": told.tile, "halo": told.halo}
        return self.model_copy(
            update={
                "geometry": self.geometry.model_copy(update=coarse),
                "serving": self.serving.model_copy(update={"model": told.model}),
                "weights": self.weights.model_copy(update={"file": told.file}),
            }
        )

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        if self.domain and not len(self.domain.median) == len(self.domain.iqr) == len(self.input.bands):
            msg = "domain.median and domain.iqr need one value a band"
            raise ValueError(msg)
        if not self.weights.bundled and not (self.weights.source_url and self.weights.source_sha256):
            msg = "weights that are not bundled need source_url and source_sha256"
            raise ValueError(msg)
        return self


def read_card(path: Path) -> Card:
    """Read one card; raises BadCard with the faults of the file."""
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Card.model_validate(data)
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        msg = f"{path.name} is not a valid model card: {error}"
        raise BadCard(msg) from error


@cache
def cards() -> dict[str, Card]:
    """Return every card shipped with the project by id, in alphabetical order."""
    found = [read_card(path) for path in sorted(CARDS_DIR.glob("*.toml"))]
    return {card.id: card for card in found}


def card_of(model: str) -> Card:
    """Return one card; raises UnknownModel naming the models there are."""
    known = cards()
    if model not in known:
        msg = f"there is no model {model!r}; known models: {', '.join(known)}"
        raise UnknownModel(msg)
    return known[model]
