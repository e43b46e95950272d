"""What a training run does, read from a TOML file and checked before anything is computed."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import CityzonesError, Fault

Variant = Literal[
    "magnet",
    "late-concatenation",
    "spectral-only",
    "neighbourhood-magnet",
    "neighbourhood-late-concatenation",
    "neighbourhood-spectral-only",
]

MOST_CITIES: Final = 32
MOST_TESTS: Final = 8
STEPS: Final = 1600
"""A run that names neither steps nor epochs has these: those of the bundled weights."""
# Windows of the networks, in pixels; models.networks needs torch, which a check must not.
_WINDOW, _WIDE_WINDOW, _STEP = 32, 90, 10
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class BadTraining(CityzonesError):
    """A training run was asked for that cannot be made."""

    code = "bad-training"


class Section(BaseModel):
    """A part of a run: unknown keys, changes and numbers that are none are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProceduralData(Section):
    """Cities made up from seeds: `cities` of `side` x `side` pixels to learn from, `tests` others to measure on."""

    kind: Literal["procedural"]
    cities: Annotated[int, Field(ge=1, le=MOST_CITIES)] = MOST_CITIES
    side: Annotated[int, Field(ge=_WINDOW, le=4000)] = 400
    tests: Annotated[int, Field(ge=1, le=MOST_TESTS)] = MOST_TESTS
    test_side: tuple[Annotated[int, Field(ge=_WINDOW, le=4000)], Annotated[int, Field(ge=_WINDOW, le=4000)]] = (
        500,
        600,
    )


class CityData(Section):
    """Folders as models.data.cities reads them; `holdout` is the share of square kilometres kept for validation.

    With `holdout` 0 nothing is measured: for the last run, once folds have said how right it will be.
    """

    kind: Literal["city"]
    folders: Annotated[tuple[Path, ...], Field(min_length=1)]
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.2


class So2SatData(Section):
    """So2Sat LCZ42: the HDF5 files to learn from and to validate on (at most `validation_patches`, evenly spread).

    `morphology` and `validation_morphology` may name HDF5 files with a data set `morphology` (N, 32, 32, 6), made
    beside each patch; without them the runs know no buildings. With `verify` every patch is read once before a run
    begins (not again when it is resumed): one that holds NaN is named then, not hours later.
    """

    kind: Literal["so2sat"]
    training: Path
    validation: Path
    morphology: Path | None = None
    validation_morphology: Path | None = None
    validation_patches: Positive = 24_119
    verify: bool = True


class ModelSection(Section):
    """Which network: its variant, its spectral bands (by default those of the data), and weights to start from.

    `start` names the .safetensors of an earlier run, or the card (.toml) beside them.
    """

    variant: Variant = "magnet"
    bands: Annotated[int, Field(ge=1, le=64)] | None = None
    start: Path | None = None


class Augmentation(Section):
    """How samples are changed as they are drawn; 0 or false switches a change off.

    Reflectance is multiplied by one number U(1 / (1 + gain), 1 + gain) a sample and by U(1 - band_gain, 1 + band_gain)
    a band, and an offset N(0, offset) is added a band. `morphology_dropout` is the share of samples whose buildings
    are hidden, `class_balance` the share drawn by class before place (half; none of So2Sat, unless asked for).
    """

    flips: bool = True
    gain: Annotated[float, Field(ge=0, le=4)] = 0.25
    band_gain: Annotated[float, Field(ge=0, lt=1)] = 0.07
    offset: Annotated[float, Field(ge=0, le=1)] = 0.005
    morphology_dropout: Share = 0.25
    class_balance: Share | None = None


class LossSection(Section):
    """How much each term counts beside the fused cross-entropy; `feedback` is beta of the backward modulation."""

    branches: Annotated[float, Field(ge=0, le=100)] = 0.3
    geography: Annotated[float, Field(ge=0, le=100)] = 0.3
    trust: Annotated[float, Field(ge=0, le=100)] = 0.1
    priors: Annotated[float, Field(ge=0, le=100)] = 0.1
    feedback: Share = 0.5


class Optimisation(Section):
    """What every run tells of its steps; `ema` is how much of the running average each step keeps."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["f32", "bf16"] = "f32"
    batch: Annotated[int, Field(ge=1, le=65_536)] = 16
    rate: Annotated[float, Field(gt=0, le=1)] = 2e-3
    decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    warm_up: Annotated[int, Field(ge=0)] = 100
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.995
    threads: Annotated[int, Field(ge=1, le=1024)] = 2
    checkpoint_every: Positive = 200
    validate_every: Positive = 400
    resume: bool = False


class TrainingSection(Optimisation):
    """The optimisation: `batch` samples a step, each of `nodes` x `nodes` windows 100 m apart."""

    steps: Positive | None = None
    epochs: Annotated[float, Field(gt=0, le=10_000)] | None = None
    nodes: Annotated[int, Field(ge=1, le=64)] | None = None
    augmentation: Augmentation = Augmentation()
    loss: LossSection = LossSection()

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSection:
        if self.steps is not None and self.epochs is not None:
            msg = "give steps or epochs, not both"
            raise ValueError(msg)
        return self


class OutputSection(Section):
    """Where everything is written, and the id of the card: its files are named after it."""

    folder: Path
    card: str = "magnet-trained"

    @model_validator(mode="after")
    def _names_a_file(self) -> OutputSection:
        if not _ID.fullmatch(self.card):
            msg = f"card {self.card!r} must be of small letters, digits and hyphens, as magnet-rgb"
            raise ValueError(msg)
        return self


Form = TypeVar("Form", bound=Section)

Data = Annotated[ProceduralData | CityData | So2SatData, Field(discriminator="kind")]
_KINDS: Final = ("procedural", "city", "so2sat")


class RunConfig(Section):
    """A whole run; the same one gives the same weights on one CPU thread, however often it is resumed."""

    data: Data
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    output: OutputSection

    @model_validator(mode="after")
    def _fits(self) -> RunConfig:
        if self.data.kind == "city" and self.bands % 3:
            msg = f"model.bands is {self.bands}; a city has 3 a season: 3 (any season), or 3 times its seasons"
            raise ValueError(msg)
        if self.data.kind != "city" and self.bands != 10:  # noqa: PLR2004 - Sentinel-2's
            msg = f"model.bands is {self.bands}; {self.data.kind} data have 10"
            raise ValueError(msg)
        if self.data.kind == "so2sat" and self.window != _WINDOW:
            msg = f"model.variant {self.model.variant} sees {self.window} pixels; So2Sat's patches have {_WINDOW}"
            raise ValueError(msg)
        if self.data.kind == "so2sat" and self.nodes != 1:
            msg = f"training.nodes is {self.nodes}; So2Sat's patches of 32 pixels hold 1"
            raise ValueError(msg)
        side = self.window + _STEP * (self.nodes - 1)
        if self.data.kind == "procedural" and self.data.side < side:
            msg = f"data.side is {self.data.side}; {self.nodes} nodes need at least {side} pixels"
            raise ValueError(msg)
        return self

    @property
    def bands(self) -> int:
        """Spectral bands of the network."""
        return self.model.bands or (3 if self.data.kind == "city" else 10)

    @property
    def window(self) -> int:
        """Pixels a side of what the network sees of a node."""
        return _WIDE_WINDOW if self.model.variant.startswith("neighbourhood") else _WINDOW

    @property
    def on_nodes(self) -> bool:
        """Whether windows can be measured once, before training: nothing changes their pixels."""
        told = self.training.augmentation
        relit = told.gain or told.band_gain or told.offset
        return self.data.kind == "city" and self.window == _WIDE_WINDOW and not relit

    @property
    def trusting(self) -> bool:
        """Whether the network weighs its branches by trust: only then there is feedback, and a loss of geography."""
        return self.model.variant.endswith("magnet")

    @property
    def nodes(self) -> int:
        """Windows a side of a sample."""
        return self.training.nodes or (1 if self.data.kind == "so2sat" else 4)

    @property
    def class_balance(self) -> float:
        """Share of the samples drawn by class."""
        told = self.training.augmentation.class_balance
        return told if told is not None else 0.0 if self.data.kind == "so2sat" else 0.5

    @property
    def feedback(self) -> float:
        """Beta of the backward modulation; 0 for variants that have no trust."""
        return self.training.loss.feedback if self.trusting else 0.0


def read_config(path: Path) -> RunConfig:
    """Read a run from TOML; paths in it are relative to its folder.

    Raises BadTraining with every fault of the file: each key, what is wrong, and the nearest name where one is unknown.
    """
    return run_of(RunConfig, read_toml(path), path)


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a run's file holds, unchecked; raises BadTraining where it is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as a training configuration: {error}"
        raise BadTraining(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"{path.name} is not TOML: {error}"
        raise BadTraining(msg) from error


def run_of(form: type[Form], given: dict[str, Any], path: Path) -> Form:
    """Return a run of some form from what its file at `path` holds, as `read_config` does."""
    return _placed(check_form(form, given, path.name), path.absolute().parent)


def check(given: dict[str, Any], name: str) -> RunConfig:
    """Return the run a mapping describes; raises BadTraining as `read_config`, with `name` for the mapping."""
    return check_form(RunConfig, given, name)


def check_form(form: type[Form], given: dict[str, Any], name: str) -> Form:
    """Return a run of some form, as `check` does of those on Local Climate Zones."""
    try:
        return form.model_validate(given)
    except ValidationError as error:
        faults = list(_faults(error, form))
        told = "; ".join(f"{fault.pointer}: {fault.detail}" if fault.pointer else fault.detail for fault in faults)
        msg = f"{name} does not describe a run that can be made: {told}"
        raise BadTraining(msg, faults=faults) from error


def _faults(error: ValidationError, form: type[Section]) -> Iterator[Fault]:
    for fault in error.errors():
        # A discriminated union adds its tag to the path: data.city.folders is data.folders in the file.
        place = [
            str(p) for k, p in enumerate(fault["loc"]) if not (k == 1 and p in _KINDS and fault["loc"][0] == "data")
        ]
        detail = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(place[-1], _known(form, fault["loc"][:-1]), n=1, cutoff=0.5)
            detail = "there is no such key" + (f"; did you mean {near[0]!r}?" if near else "")
        elif fault["type"] == "missing":
            detail = "is missing"
        elif fault["type"] == "union_tag_invalid":
            told = fault["ctx"]
            detail = f"{told['tag']!r} is no kind of data; give one of {told['expected_tags']}, 'tiles' (land cover)"
        yield Fault(".".join(place), detail)


def _known(form: type[Section], place: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section at a place in the file."""
    section: Any = form
    for name in place:
        if name in _KINDS:
            section = next(kind for kind in _data_kinds() if name in get_args(kind.model_fields["kind"].annotation))
        elif name != "data" or form is not RunConfig:
            section = section.model_fields[name].annotation
    return list(section.model_fields)


def _data_kinds() -> tuple[type[Section], ...]:
    return (ProceduralData, CityData, So2SatData)


def _placed(config: Form, folder: Path) -> Form:
    """Return the run with every path made absolute against the folder of its file."""
    told: Any = config
    data = {
        name: tuple(folder / p for p in value) if isinstance(value, tuple) else folder / value
        for name, value in dict(told.data).items()
        if isinstance(value, Path) or (isinstance(value, tuple) and value and isinstance(value[0], Path))
    }
    start = folder / told.model.start if isinstance(told.model.start, Path) else told.model.start
    return config.model_copy(
        update={
            "data": told.data.model_copy(update=data),
            "model": told.model.model_copy(update={"start": start}),
            "output": told.output.model_copy(update={"folder": folder / told.output.folder}),
        }
    )
