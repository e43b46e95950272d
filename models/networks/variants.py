"""Networks to compare MAGNET with, of the same width and the same windows: late concatenation, and spectral only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from models.networks.magnet import (
    BANDS,
    CLASSES,
    FORMS,
    GROUPS,
    STEP,
    WINDOW,
    Branch,
    Magnet,
    Output,
    geography_of,
)
from models.networks.neighbourhood import Neighbourhood

_TOP: Final = 128


class _Plain(nn.Module, ABC):
    """Branches that never speak to each other; a subclass says how their features become logits."""

    mean: Tensor
    spread: Tensor
    window: Final = WINDOW

    def __init__(self, bands: int = BANDS) -> None:
        super().__init__()
        self.bands = bands
        self.register_buffer("mean", torch.zeros(1, bands, 1, 1))
        self.register_buffer("spread", torch.ones(1, bands, 1, 1))
        self.spectral = Branch(bands)

    def forward(self, reflectance: Tensor, morphology: Tensor) -> Output:
        """See Magnet.forward."""
        return self.grid(reflectance, morphology)

    def grid(self, reflectance: Tensor, morphology: Tensor, feedback: float = 0.0) -> Output:
        """Look through a window every 10 pixels, as Magnet.grid; there is no trust to feed back, so it must be 0."""
        _refuse_feedback(feedback)
        tops = self._features(reflectance, morphology, spacing=1)
        logits = self._logits([F.avg_pool2d(top, 2, 1) for top in tops])
        nothing = logits.new_zeros(1).expand(len(logits), GROUPS, *logits.shape[2:])
        geography = geography_of(reflectance, morphology * morphology[:, 5:6], STEP)
        return Output(logits, logits, logits, nothing, nothing[:, :7], geography)

    def pixels(self, reflectance: Tensor, morphology: Tensor) -> tuple[Tensor, Tensor]:
        """Look through a window at every pixel, as Magnet.pixels; alpha_m is 0."""
        tops = self._features(reflectance, morphology, spacing=2)
        probabilities = torch.softmax(self._logits([_spaced_mean(top) for top in tops]), dim=1)[:, :, :-1, :-1]
        return probabilities, torch.zeros_like(probabilities[:, :1])

    def _features(self, reflectance: Tensor, morphology: Tensor, spacing: int) -> list[Tensor]:  # noqa: ARG002 - see below
        return [features(self.spectral, (reflectance - self.mean) / self.spread, spacing)]

    @abstractmethod
    def _logits(self, means: list[Tensor]) -> Tensor:
        """Return logits (n, 17, y, x) from the window means of each branch (n, 128, y, x)."""


class SpectralOnly(_Plain):
    """MAGNET's spectral branch alone; the morphology is not looked at."""

    def __init__(self, bands: int = BANDS) -> None:
        super().__init__(bands)
        self.classify = nn.Conv2d(_TOP, CLASSES, 1)

    def _logits(self, means: list[Tensor]) -> Tensor:
        logits: Tensor = self.classify(means[0])
        return logits


class LateConcatenation(_Plain):
    """Both branches without exchange or trust: their features side by side, one hidden layer, and the classes.

    Where the morphology is not valid it is 0, and nothing but the weights tells the network so.
    """

    def __init__(self, bands: int = BANDS) -> None:
        super().__init__(bands)
        self.form = Branch(FORMS)
        self.classify = nn.Sequential(nn.Conv2d(2 * _TOP, _TOP, 1), nn.ReLU(), nn.Conv2d(_TOP, CLASSES, 1))

    def _features(self, reflectance: Tensor, morphology: Tensor, spacing: int) -> list[Tensor]:
        form = features(self.form, morphology * morphology[:, 5:6], spacing)
        return [*super()._features(reflectance, morphology, spacing), form]

    def _logits(self, means: list[Tensor]) -> Tensor:
        logits: Tensor = self.classify(torch.cat(means, dim=1))
        return logits


AnyNetwork = Magnet | LateConcatenation | SpectralOnly | Neighbourhood
VARIANTS: Final[dict[str, Callable[[int], AnyNetwork]]] = {
    "magnet": Magnet,
    "late-concatenation": LateConcatenation,
    "spectral-only": SpectralOnly,
    "neighbourhood-magnet": Neighbourhood,
    "neighbourhood-late-concatenation": partial(Neighbourhood, gate=False),
    "neighbourhood-spectral-only": partial(Neighbourhood, form=False, gate=False),
}


def build(variant: str, bands: int = BANDS) -> AnyNetwork:
    """Return a fresh network of a variant's name; raises KeyError for a name VARIANTS does not hold."""
    return VARIANTS[variant](bands)


def features(branch: Branch, x: Tensor, spacing: int) -> Tensor:
    """Return a branch's features (n, 128, ., .) before the window mean, without any exchange.

    With `spacing` 1 the pools step as far as they see (windows every 10 pixels). With 2 nothing steps: every pool has
    stride 1, and what follows the first looks two pixels apart.
    """
    dense = spacing > 1
    early = _pool(branch.early(x), 2, 1 if dense else 2, 1)
    late = early
    for layer in branch.late:
        late = (
            F.conv2d(late, layer.weight, layer.bias, dilation=spacing) if isinstance(layer, nn.Conv2d) else layer(late)
        )
    cut = 2 * spacing
    inner = early[:, :, cut:-cut, cut:-cut]
    stride = 1 if dense else 5
    skipped = branch.skip(_average(inner, 5, stride, spacing))
    top: Tensor = branch.top(_pool(late, 5, stride, spacing) + skipped)
    return top


def _pool(x: Tensor, size: int, stride: int, spacing: int) -> Tensor:
    return torch.cat([F.max_pool2d(x, size, stride, dilation=spacing), _average(x, size, stride, spacing)], dim=1)


def _average(x: Tensor, size: int, stride: int, spacing: int) -> Tensor:
    """Average pool whose cells lie `spacing` apart, which torch has only for the maximum."""
    if spacing == 1:
        return F.avg_pool2d(x, size, stride)
    reach = (size - 1) * spacing
    rows = sum(x[:, :, k * spacing : x.shape[2] - reach + k * spacing] for k in range(size))
    assert isinstance(rows, Tensor)  # noqa: S101 - for the type checker
    both = sum(rows[..., k * spacing : x.shape[3] - reach + k * spacing] for k in range(size))
    assert isinstance(both, Tensor)  # noqa: S101 - for the type checker
    return both / size**2


def _spaced_mean(top: Tensor) -> Tensor:
    """Average the four cells of a window at every pixel, which lie ten pixels apart."""
    rows = top[:, :, :-STEP] + top[:, :, STEP:]
    return (rows[..., :-STEP] + rows[..., STEP:]) / 4


def _refuse_feedback(feedback: float) -> None:
    if feedback:
        msg = "only magnet has trust to feed back; give this variant feedback 0"
        raise ValueError(msg)
