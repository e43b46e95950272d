"""What a training run on land cover does, read from a TOML file as the other runs are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from models.training.config import Optimisation, OutputSection, Section, Share

Text = Annotated[str, Field(min_length=1, max_length=500)]


class TilesData(Section):
    """A folder as models.data.tiles reads it; the pictures of the tiles in `holdout` are measured on, not learnt from.

    With `holdout` empty nothing is measured: for the last run, once folds have said how right it will be.
    """

    kind: Literal["tiles"]
    folder: Path
    holdout: tuple[str, ...] = ()


class CoverAugmentation(Section):
    """How crops are changed as they are drawn; 0, 1 (of `scale`) or false switches a change off.

    Spreads of ln gamma, ln contrast, ln gain, ln of each band's gain (`cast`), and of the offset added, in 0-1;
    `saturation` is U(1 - s, 1 + s), noise up to `noise`. Sizes are multiplied by up to `scale`, either way.
    `class_balance` is the share of crops drawn around a pixel drawn by class.
    """

    flips: bool = True
    turns: bool = True
    scale: Annotated[float, Field(ge=1, le=8)] = 1.8
    gamma: Annotated[float, Field(ge=0, le=2)] = 0.2
    contrast: Annotated[float, Field(ge=0, le=2)] = 0.2
    gain: Annotated[float, Field(ge=0, le=2)] = 0.15
    cast: Annotated[float, Field(ge=0, le=1)] = 0.06
    offset: Annotated[float, Field(ge=0, le=1)] = 0.04
    saturation: Share = 0.5
    noise: Annotated[float, Field(ge=0, le=1)] = 0.03
    class_balance: Share = 0.5


class CoverTraining(Optimisation):
    """The optimisation: `batch` crops a step, of `crop` pixels a side.

    Classes count in the cross-entropy by their share to the power of -`balance`; `overlap` is how much the soft
    overlaps count beside it. The encoder learns at `encoder_rate` times the rate.
    """

    steps: Annotated[int, Field(ge=1)] = 400
    crop: Annotated[int, Field(ge=64, le=1024, multiple_of=16)] = 192
    balance: Share = 0.4
    overlap: Annotated[float, Field(ge=0, le=10)] = 0.5
    encoder_rate: Annotated[float, Field(ge=0, le=10)] = 1.0
    precision: Literal["f32", "bf16"] = "bf16"
    warm_up: Annotated[int, Field(ge=0)] = 30
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.98
    decay: Share = 0.02
    augmentation: CoverAugmentation = CoverAugmentation()


class CoverModel(Section):
    """Weights to begin with: the .safetensors of an earlier run, the card (.toml) beside them, or those of "imagenet".

    The last are the encoder's alone, trained on photographs (models.networks.lite).
    """

    start: Literal["imagenet"] | Path | None = None


class CoverOutput(OutputSection):
    """Where everything is written; `limits` are sentences for the card that a run cannot know by itself."""

    limits: tuple[Text, ...] = ()


class CoverConfig(Section):
    """A whole run."""

    data: TilesData
    model: CoverModel = CoverModel()
    training: CoverTraining = CoverTraining()
    output: CoverOutput
