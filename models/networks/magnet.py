"""MAGNET, reconstructed: a spectral and a morphological branch that exchange features and are fused by trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from models.priors import BARE_NDVI, FARTHEST, GREEN_NDVI, INTERVALS, SCALES, SIGMAS, SOME_BUILT, WEIGHTS

WINDOW: Final = 32
STEP: Final = 10
BANDS: Final = 10
FORMS: Final = 6
CLASSES: Final = 17
GROUPS: Final = 8
_EARLY, _LATE = 64, 128
_GREEN, _RED, _NEAR = 1, 2, 6  # of Sentinel-2's ten bands
_RANK: Final = 32


@dataclass(frozen=True, slots=True)
class Geography:
    """Window means: priors g (n, 7, y, x), how far each is known, share rho and built-up degree b (n, 1, y, x)."""

    priors: Tensor
    known: Tensor
    share: Tensor
    urban: Tensor

    def mapped(self, change: object) -> Geography:
        """Apply a function to every tensor."""
        assert callable(change)  # noqa: S101 - for the type checker
        return Geography(change(self.priors), change(self.known), change(self.share), change(self.urban))


@dataclass(frozen=True, slots=True)
class Output:
    """Logits (n, 17, y, x) fused and of each branch, alpha_m (n, 8, y, x), predicted priors, and the geography."""

    logits: Tensor
    spectral: Tensor
    morphological: Tensor
    trust: Tensor
    predicted: Tensor
    geography: Geography


class Branch(nn.Module):
    """One modality: two valid 3x3 convolutions, a pool, two more, a pool with a skip, two 1x1 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = _EARLY // 2
        self.early = nn.Sequential(nn.Conv2d(channels, half, 3), nn.ReLU(), nn.Conv2d(half, half, 3), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(_EARLY, _EARLY, 3), nn.ReLU(), nn.Conv2d(_EARLY, _EARLY, 3), nn.ReLU())
        self.skip = nn.Conv2d(_EARLY, _LATE, 1)
        self.top = nn.Sequential(nn.Conv2d(_LATE, _LATE, 1), nn.ReLU(), nn.Conv2d(_LATE, _LATE, 1), nn.ReLU())


class Exchange(nn.Module):
    """What one branch learns from the other: a' = a + v sigmoid(G b) W [a; b], W and G of low rank if asked."""

    def __init__(self, channels: int, rank: int | None = None) -> None:
        super().__init__()
        self.mix = _linear(2 * channels, channels, rank)
        self.gate = _linear(channels, channels, rank)

    def forward(self, mine: Tensor, other: Tensor, valid: Tensor) -> Tensor:
        """Return `mine`, changed where `valid` (n, 1, y, x) is above 0."""
        taught = _on_parts(self.mix, mine, other)
        return mine + valid * torch.sigmoid(self.gate(other)) * taught


def _on_parts(layers: nn.Module, *parts: Tensor) -> Tensor:
    """Apply layers that begin with a 1x1 convolution to inputs in parts: joining costs copies and changes of layout."""
    first, *rest = layers if isinstance(layers, nn.Sequential) else (layers,)
    assert isinstance(first, nn.Conv2d)  # noqa: S101 - for the type checker
    weights = torch.split(first.weight, [part.shape[1] for part in parts], dim=1)
    out = F.conv2d(parts[0], weights[0], first.bias)
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        out = out + F.conv2d(part, weight)
    for layer in rest:
        out = layer(out)
    return out


def _linear(inputs: int, outputs: int, rank: int | None) -> nn.Module:
    if rank is None:
        return nn.Conv2d(inputs, outputs, 1)
    return nn.Sequential(nn.Conv2d(inputs, rank, 1, bias=False), nn.Conv2d(rank, outputs, 1))


class Magnet(nn.Module):
    """The network, reconstructed from its description; three ways to look through the same 32-pixel window.

    `grid`: a window every 10 pixels, for training. `forward` is `grid` with one window. `pixels`: a window at every
    pixel; the same numbers, computed once where windows overlap. Inputs are reflectance (n, bands, y, x), 0-1, and
    models.morphology's raster (n, 6, y, x). With ten bands they are Sentinel-2's in the order of the cards; any other
    number (3 for red, green, blue; 3 a season) works too, and says nothing of sealed ground: see `geography_of`.
    """

    mean: Tensor
    spread: Tensor
    window: Final = WINDOW

    def __init__(self, bands: int = BANDS) -> None:
        super().__init__()
        self.bands = bands
        self.register_buffer("mean", torch.zeros(1, bands, 1, 1))
        self.register_buffer("spread", torch.ones(1, bands, 1, 1))
        self.spectral, self.form = Branch(bands), Branch(FORMS)
        self.to_spectral = nn.ModuleList([Exchange(_EARLY), Exchange(_LATE, _RANK)])
        self.to_form = nn.ModuleList([Exchange(_EARLY), Exchange(_LATE, _RANK)])
        self.trust = nn.Sequential(nn.Conv2d(2 * _LATE + 16, 32, 1), nn.ReLU(), nn.Conv2d(32, 2 * GROUPS, 1))
        self.classify = nn.Conv2d(_LATE, CLASSES, 1)
        self.classify_spectral, self.classify_form = nn.Conv2d(_LATE, CLASSES, 1), nn.Conv2d(_LATE, CLASSES, 1)
        self.predict = nn.Conv2d(_LATE, 7, 1)

    def forward(self, reflectance: Tensor, morphology: Tensor) -> Output:
        """See `grid`; a 32 x 32 patch gives (n, 17, 1, 1)."""
        return self.grid(reflectance, morphology)

    def grid(self, reflectance: Tensor, morphology: Tensor, feedback: float = 0.0) -> Output:
        """Look through a window every 10 pixels: (n, ., 32 + 10 (k - 1), .) gives k x k nodes.

        `feedback` is beta: how strongly the gradient of a branch grows where geography says it should be trusted.
        """
        xs, xm, valid = self._prepare(reflectance, morphology)
        early = [_pool(branch.early(x), 2, 2) for branch, x in ((self.spectral, xs), (self.form, xm))]
        tops = self._tops(early[0], early[1], F.avg_pool2d(valid[:, :, 2:-2, 2:-2], 2), stride=5)
        fs, fm = (F.avg_pool2d(top, 2, 1) for top in tops)
        with torch.autocast(reflectance.device.type, enabled=False):  # priors need more digits than bfloat16 has
            geography = geography_of(reflectance, xm, STEP)
        if feedback:
            wanted = wanted_trust(geography)
            fs, fm = amplify(fs, 1 + feedback * (1 - 2 * wanted)), amplify(fm, 1 + feedback * (2 * wanted - 1))
        return self._decide(fs, fm, geography)

    def pixels(self, reflectance: Tensor, morphology: Tensor) -> tuple[Tensor, Tensor]:
        """Look through a window at every pixel.

        (1, ., T + 32, T' + 32), T even, gives probabilities (1, 17, T, T') and mean alpha_m (1, 1, T, T'); pixel i sees
        input pixels i to i + 31. The four phases of the first pool travel as a batch.
        """
        xs, xm, valid = self._prepare(reflectance, morphology)
        phases = [_phases(branch.early(x)) for branch, x in ((self.spectral, xs), (self.form, xm))]
        early = [_pool(phase, 2, 2) for phase in phases]
        tops = self._tops(early[0], early[1], F.avg_pool2d(_phases(valid[:, :, 2:-2, 2:-2]), 2), stride=1)
        fs, fm = (_spaced_mean(top) for top in tops)
        geography = geography_of(reflectance, xm, 1).mapped(_to_phases)
        output = self._decide(fs, fm, geography)
        probabilities = torch.softmax(output.logits, dim=1)
        return _from_phases(probabilities), _from_phases(output.trust.mean(dim=1, keepdim=True))

    def _prepare(self, reflectance: Tensor, morphology: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        valid = morphology[:, 5:6]
        return (reflectance - self.mean) / self.spread, morphology * valid, valid

    def _tops(self, s: Tensor, m: Tensor, valid: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        s, m = self.to_spectral[0](s, m, valid), self.to_form[0](m, s, valid)
        late = [
            _pool(branch.late(x), 5, stride) + branch.skip(F.avg_pool2d(x[:, :, 2:-2, 2:-2], 5, stride))
            for branch, x in ((self.spectral, s), (self.form, m))
        ]
        far = F.avg_pool2d(valid[:, :, 2:-2, 2:-2], 5, stride)
        s, m = self.to_spectral[1](late[0], late[1], far), self.to_form[1](late[1], late[0], far)
        return self.spectral.top(s), self.form.top(m)

    def _decide(self, fs: Tensor, fm: Tensor, geography: Geography) -> Output:
        trust = trust_in_form(self.trust, fs, fm, geography)
        both = fuse(fs, fm, trust)
        return Output(
            self.classify(both),
            self.classify_spectral(fs),
            self.classify_form(fm),
            trust,
            self.predict(both),
            geography,
        )


def trust_in_form(layers: nn.Module, fs: Tensor, fm: Tensor, geography: Geography) -> Tensor:
    """Return alpha_m (n, GROUPS, y, x), how far each group of features follows the morphological branch."""
    scaled = geography.priors / _column(SCALES, fs)
    facts = torch.cat([scaled * geography.known, geography.known, geography.share, geography.urban], dim=1)
    raw = _on_parts(layers, fs, fm, facts)
    # A softmax over the two branches of (a_s, a_m + ln rho) is this sigmoid; without buildings it is cut to 0.
    log_share = torch.log(geography.share.clamp(min=1e-6))
    return torch.sigmoid(raw[:, GROUPS:] - raw[:, :GROUPS] + log_share) * (geography.share > 0).to(fs.dtype)


def fuse(fs: Tensor, fm: Tensor, trust: Tensor) -> Tensor:
    """Return alpha_s fs + alpha_m fm, group by group of features."""
    return fs + trust.repeat_interleave(fs.shape[1] // GROUPS, dim=1) * (fm - fs)


def geography_of(reflectance: Tensor, morphology: Tensor, stride: int) -> Geography:
    """Return the window means of models.priors.window_priors in torch; `morphology` is 0 where not valid.

    Without the ten bands there is no infrared to tell paving from plants: the impervious and pervious shares are then
    unknown (known = 0), the impervious share counts as 0, and the built-up degree b is that of the buildings alone.
    """
    infrared = reflectance.shape[1] == BANDS
    valid, built = morphology[:, 5], morphology[:, 0]
    sealed = _sealed(reflectance) if infrared else torch.zeros_like(valid)
    ground = (1 - built).clamp(min=1 / 16) * valid
    sky, wall = morphology[:, 3] * ground, (torch.exp(1.5 * morphology[:, 4]) - 1) * ground
    volume = (torch.exp(4 * morphology[:, 1]) - 1) * built
    maps = torch.stack([valid, built, ground, sky, wall, volume, sealed], dim=1)
    means = _window_means(maps, stride)
    if stride == 1:
        means = means[:, :, :-1, :-1]
    share, covered, ground, sky, wall, volume, sealed = torch.split(means, 1, dim=1)
    built = covered / share.clamp(min=1e-6)
    impervious = (sealed - built).clamp(min=0)
    height = volume / covered.clamp(min=1e-6)
    rough = (7 + 1.15 * torch.log((0.1 * height).clamp(min=1e-3))).clamp(1, 8)
    below = ground.clamp(min=1e-6)
    priors = torch.cat([sky / below, wall / below, built, impervious, 1 - built - impervious, height, rough], dim=1)
    inhabited = (built / SOME_BUILT).clamp(max=1)
    trusted = share * torch.maximum(inhabited, ((0.2 - impervious) / 0.1).clamp(0, 1)) * float(infrared)
    known = torch.cat([share, share, share, trusted, trusted, share * inhabited, share * inhabited], dim=1)
    return Geography(priors, known, share, ((built + impervious) / 0.6).clamp(0, 1))


def _sealed(reflectance: Tensor) -> Tensor:
    """Return what models.priors.imperviousness does, (n, y, x) from (n, 10, y, x)."""
    green, red, near = (reflectance[:, k] for k in (_GREEN, _RED, _NEAR))
    ndvi = (near - red) / (near + red).clamp(min=1e-3)
    dry = 1 - (((green - near) / (green + near).clamp(min=1e-3) > 0.1) & (near < 0.12)).to(near.dtype)  # noqa: PLR2004
    return ((GREEN_NDVI - ndvi) / (GREEN_NDVI - BARE_NDVI)).clamp(0, 1) * dry


def _window_means(maps: Tensor, stride: int) -> Tensor:
    """Average every window of 32 x 32 pixels; two products with thin matrices where that is less work than pooling."""
    if stride == 1:
        return F.avg_pool2d(F.avg_pool2d(maps, (WINDOW, 1), 1), (1, WINDOW), 1)
    down, across = (_averaging(side, stride).to(maps) for side in maps.shape[2:])
    return down @ (maps @ across.T)


def _averaging(side: int, stride: int) -> Tensor:
    """Return the matrix (window, pixel) that takes the means of windows, one each `stride` pixels."""
    starts = torch.arange(0, int(side) - WINDOW + 1, stride)[:, None]
    pixels = torch.arange(int(side))[None]
    return ((pixels >= starts) & (pixels < starts + WINDOW)).float() / WINDOW


def wanted_trust(geography: Geography) -> Tensor:
    """Return alpha*_m = rho (.15 + .7 b): morphology is worth more where a place is built up."""
    return geography.share * (0.15 + 0.7 * geography.urban)


def class_distances(geography: Geography) -> Tensor:
    """Return D (n, 17, y, x), the distance of models.priors.geographic_distance."""
    g = geography.priors[:, None]
    low, high = (
        torch.as_tensor(INTERVALS[..., k], dtype=g.dtype, device=g.device)[None, :, :, None, None] for k in (0, 1)
    )
    outside = torch.maximum(low - g, g - high).clamp(min=0) / _column(SIGMAS, g)[:, None]
    weights = (_column(WEIGHTS, g) * geography.known)[:, None]
    return (outside.clamp(max=FARTHEST) ** 2 * weights).sum(dim=2) / weights.sum(dim=2).clamp(min=1e-6)


def _column(values: object, like: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=like.dtype, device=like.device).reshape(1, -1, 1, 1)


def _pool(x: Tensor, size: int, stride: int) -> Tensor:
    return torch.cat([F.max_pool2d(x, size, stride), F.avg_pool2d(x, size, stride)], dim=1)


def _phases(x: Tensor) -> Tensor:
    """Stack the four crops that start at pixel 0 or 1 in each direction: (n, c, y, x) to (4 n, c, y - 2, x - 2)."""
    height, width = x.shape[2] - 2, x.shape[3] - 2
    return torch.cat([x[:, :, i : i + height, j : j + width] for i in (0, 1) for j in (0, 1)])


def _to_phases(x: Tensor) -> Tensor:
    """Sort a full map into its four phases: (1, c, y, x) to (4, c, y / 2, x / 2)."""
    return torch.cat([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)])


def _from_phases(x: Tensor) -> Tensor:
    """Undo `_to_phases`: (4, c, y, x) to (1, c, 2 y, 2 x)."""
    _, channels, height, width = x.shape
    return x.reshape(2, 2, channels, height, width).permute(2, 3, 0, 4, 1).reshape(1, channels, 2 * height, 2 * width)


def _spaced_mean(x: Tensor) -> Tensor:
    """Average the four cells of a window, which lie five apart."""
    rows = x[:, :, :-5] + x[:, :, 5:]
    return (rows[..., :-5] + rows[..., 5:]) / 4


class _Amplify(torch.autograd.Function):
    """The identity, whose gradient is multiplied on the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return gradients[0] * factor.to(gradients[0].dtype), None


def amplify(x: Tensor, factor: Tensor) -> Tensor:
    """Return x itself, bit for bit; its gradient arrives multiplied by `factor`, which gets none."""
    amplified: Tensor = _Amplify.apply(x, factor)  # type: ignore[no-untyped-call]  # torch ships no type for apply
    return amplified
