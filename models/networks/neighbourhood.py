"""MAGNET over window moments: what a 100 m window holds in a few numbers, learnt together with its neighbours.

On one city's 24,000 cells, learnt 3x3 convolutions over pixels overfit before they see enough; the mean, the spread and
the roughness of each window, and convolutions over neighbouring windows, measured better (docs/training.md). The
branches, their exchange, the gate, the feedback and the losses are those of models.networks.magnet.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    Exchange,
    Geography,
    Output,
    amplify,
    fuse,
    geography_of,
    trust_in_form,
    wanted_trust,
)
from models.networks.magnet import WINDOW as GEOGRAPHY

WIDTH: Final = 96
RANK: Final = 32
REACH: Final = (1, 2, 1)
"""Windows each of the three layers of neighbours looks away: together four, so that a node sees 900 m."""
WINDOW: Final = STEP * (1 + 2 * sum(REACH))
_MOMENTS: Final = 3  # a channel: mean, spread, roughness
_FLOOR: Final = 0.02  # of a spread before its logarithm: what stillest water has
_LEAST: Final = 1e-2  # spread of a moment: one that hardly varies is not blown up
_FAR: Final = 6.0  # standard deviations: no moment of another city counts for more
_DROPOUT: Final = 0.1


class Neighbours(nn.Module):
    """A residual layer: f' = f + W relu(conv3x3 f), the 3x3 windows `reach` apart; its border is cut off."""

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.look, self.mix = nn.Conv2d(WIDTH, WIDTH, 3), nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, x: Tensor, spacing: int) -> Tensor:
        """Return (n, width, y - 2 d, x - 2 d) of features whose windows are `spacing` apart, d = reach x spacing."""
        far = self.reach * spacing
        seen = F.relu(F.conv2d(x, self.look.weight, self.look.bias, dilation=far))
        told: Tensor = self.mix(F.dropout2d(seen, _DROPOUT, self.training))
        return cut(x, far) + told


def cut(x: Tensor, border: int) -> Tensor:
    """Cut a border off (n, c, y, x)."""
    return x[:, :, border : x.shape[2] - border, border : x.shape[3] - border]


def moments(x: Tensor, stride: int) -> Tensor:
    """Return mean, standard deviation and mean absolute slope of each 10 x 10 window, (n, 3 c, ., .), one a `stride`.

    The slope is that between neighbours inside the window, down and across. Each is told by its logarithm, of a mean
    that of its distance from 0, so that a bright roof does not outweigh all else; float32 whatever `x` is.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.float()
        mean = F.avg_pool2d(x, STEP, stride)
        spread = (F.avg_pool2d(x * x, STEP, stride) - mean * mean).clamp(min=0).sqrt()
        down = F.avg_pool2d((x[:, :, 1:] - x[:, :, :-1]).abs(), (STEP - 1, STEP), stride)
        across = F.avg_pool2d((x[..., 1:] - x[..., :-1]).abs(), (STEP, STEP - 1), stride)
        level = torch.sign(mean) * torch.log1p(mean.abs())
        return torch.cat([level, *(torch.log(m + _FLOOR) + 2 for m in (spread, down + across))], dim=1)


@dataclass(frozen=True, slots=True)
class Description:
    """What is measured of windows of 10 pixels.

    Standardised `moments` by branch (n, 3 c, y, x), the share `known` with buildings mapped (n, 1, y, x), and the
    `geography` of the windows at least three from the border.
    """

    moments: dict[str, Tensor]
    known: Tensor
    geography: Geography


class Neighbourhood(nn.Module):
    """Two branches of window moments that exchange, look at their neighbours, and are fused by trust.

    The three ways to look are those of models.networks.magnet.Magnet, with windows of `window` = 90 pixels. Without
    `form` the spectral branch stands alone; without `gate` the branches never speak and one layer joins them.
    """

    mean: Tensor
    spread: Tensor
    window: Final = WINDOW

    def __init__(self, bands: int = BANDS, *, form: bool = True, gate: bool = True) -> None:
        super().__init__()
        self.bands, self.gated = bands, form and gate
        self.register_buffer("mean", torch.zeros(1, bands, 1, 1))
        self.register_buffer("spread", torch.ones(1, bands, 1, 1))
        channels = {"spectral": bands} | ({"form": FORMS} if form else {})
        for name, count in channels.items():
            self.register_buffer(f"{name}_centre", torch.zeros(1, _MOMENTS * count, 1, 1))
            self.register_buffer(f"{name}_scale", torch.ones(1, _MOMENTS * count, 1, 1))
        self.stems = nn.ModuleDict({name: _stem(count) for name, count in channels.items()})
        self.looks = nn.ModuleList([nn.ModuleDict({name: Neighbours(r) for name in channels}) for r in REACH[:2]])
        self.last, self.classify = Neighbours(REACH[2]), nn.Conv2d(WIDTH, CLASSES, 1)
        if self.gated:
            self.to_spectral = nn.ModuleList([Exchange(WIDTH, RANK) for _ in REACH[:2]])
            self.to_form = nn.ModuleList([Exchange(WIDTH, RANK) for _ in REACH[:2]])
            self.trust = nn.Sequential(nn.Conv2d(2 * WIDTH + 16, 32, 1), nn.ReLU(), nn.Conv2d(32, 2 * GROUPS, 1))
            self.classify_spectral, self.classify_form = nn.Conv2d(WIDTH, CLASSES, 1), nn.Conv2d(WIDTH, CLASSES, 1)
            self.predict = nn.Conv2d(WIDTH, 7, 1)
        elif form:
            self.join = nn.Sequential(nn.Conv2d(2 * WIDTH, WIDTH, 1), nn.ReLU())

    @torch.no_grad()
    def standardise(self, reflectance: Tensor, morphology: Tensor) -> None:
        """Take mean and spread of every moment from samples, so that each counts alike: 2 points of accuracy.

        `mean` and `spread` of the bands must be there.
        """
        rasters = {"spectral": (reflectance - self.mean) / self.spread, "form": morphology * morphology[:, 5:6]}
        for name in self.stems:
            found = moments(rasters[name], STEP)
            self.get_buffer(f"{name}_centre").copy_(found.mean(dim=(0, 2, 3), keepdim=True))
            self.get_buffer(f"{name}_scale").copy_(found.std(dim=(0, 2, 3), keepdim=True).clamp(min=_LEAST))

    def forward(self, reflectance: Tensor, morphology: Tensor) -> Output:
        """See `grid`; a 90 x 90 patch gives (n, 17, 1, 1)."""
        return self.grid(reflectance, morphology)

    def grid(self, reflectance: Tensor, morphology: Tensor, feedback: float = 0.0) -> Output:
        """Look through a window every 10 pixels: (n, ., 90 + 10 (k - 1), .) gives k x k nodes; see Magnet.grid."""
        return self.decide(self.describe(reflectance, morphology, STEP), 1, feedback)

    def pixels(self, reflectance: Tensor, morphology: Tensor) -> tuple[Tensor, Tensor]:
        """Look through a window at every pixel: (1, ., T + 90, T' + 90) gives (1, 17, T, T') and (1, 1, T, T').

        These are probabilities and mean alpha_m; pixel i sees input pixels i to i + 89.
        """
        output = self.decide(self.describe(reflectance, morphology, 1), STEP, 0.0)
        return torch.softmax(output.logits, dim=1), output.trust.mean(dim=1, keepdim=True)

    def describe(self, reflectance: Tensor, morphology: Tensor, stride: int) -> Description:
        """Measure the windows of 10 pixels, one a `stride`, that `decide` looks at: the first step of every look."""
        ends = slice(None, -1 if stride == 1 else None)  # as many windows as pixels are asked for
        valid = morphology[:, 5:6]
        bare = morphology * valid
        border = (WINDOW - GEOGRAPHY) // 2 - STEP * REACH[2]
        with torch.autocast(reflectance.device.type, enabled=False):  # priors need more digits than bfloat16 has
            geography = geography_of(cut(reflectance, border), cut(bare, border), stride)
        rasters = {"spectral": (reflectance - self.mean) / self.spread, "form": bare}
        return Description(
            {name: self._standard(name, moments(rasters[name], stride)[:, :, ends, ends]) for name in self.stems},
            F.avg_pool2d(valid, STEP, stride)[:, :, ends, ends],
            geography,
        )

    def decide(self, told: Description, spacing: int, feedback: float) -> Output:
        """Look at windows `spacing` apart: those of a node, 4 `spacing` to each side, become its classes."""
        each = self._branches(told, spacing)
        far = REACH[2] * spacing
        geography = told.geography.mapped(lambda x: cut(x, far))
        if not self.gated:
            return self._plain(each, geography, spacing)
        fs, fm = each
        if feedback:
            wanted = wanted_trust(told.geography)
            fs, fm = amplify(fs, 1 + feedback * (1 - 2 * wanted)), amplify(fm, 1 + feedback * (2 * wanted - 1))
        trust = trust_in_form(self.trust, fs, fm, told.geography)
        both = self.last(fuse(fs, fm, trust), spacing)
        fs, fm, trust = (cut(x, far) for x in (fs, fm, trust))
        logits, alone = self.classify(F.relu(both)), (self.classify_spectral(fs), self.classify_form(fm))
        return Output(logits, *alone, trust, self.predict(both), geography)

    def _branches(self, told: Description, spacing: int) -> list[Tensor]:
        """Return the features of each branch before the last look."""
        each, known = [self.stems[name](x) for name, x in told.moments.items()], told.known
        for k, (reach, looks) in enumerate(zip(REACH[:2], self.looks, strict=True)):
            if self.gated:
                s, m = each
                each = [self.to_spectral[k](s, m, known), self.to_form[k](m, s, known)]
            each = [look(x, spacing) for look, x in zip(looks.children(), each, strict=True)]
            known = cut(known, reach * spacing)
        return each

    def _standard(self, name: str, found: Tensor) -> Tensor:
        centre, scale = self.get_buffer(f"{name}_centre"), self.get_buffer(f"{name}_scale")
        return ((found - centre) / scale).clamp(-_FAR, _FAR)

    def _plain(self, features: list[Tensor], geography: Geography, spacing: int) -> Output:
        joined = self.join(torch.cat(features, dim=1)) if len(features) > 1 else features[0]
        logits = self.classify(F.relu(self.last(joined, spacing)))
        nothing = logits.new_zeros(1).expand(len(logits), GROUPS, *logits.shape[2:])
        return Output(logits, logits, logits, nothing, nothing[:, :7], geography)


def _stem(channels: int) -> nn.Module:
    first = nn.Conv2d(_MOMENTS * channels, WIDTH, 1)
    return nn.Sequential(first, nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU())
