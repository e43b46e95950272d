"""A compact network that says of every pixel of an aerial image what covers the ground: convolutions only.

An encoder of residual stages at 1/2, 1/4, 1/8 and 1/16 of the image's resolution, the last with dilated convolutions
(Chen et al. 2017), and a decoder that adds each stage's features on the way back (after Lin et al. 2017, FPN), narrow
at 1/2, where most of the work is. Logits are enlarged bilinearly.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from models.classes import LAND_COVER

BANDS: Final = 3
CLASSES: Final = len(LAND_COVER)
MULTIPLE: Final = 16
"""Sides of images are multiples of this."""
WIDTHS: Final = (32, 48, 80, 112)
_DECODED: Final = (32, 64, 64)  # width of the decoder at each stage but the last
_DILATIONS: Final = (1, 2)
_NEVER: Final = -30.0  # logit of a class that no training pixel had: its probability is below 1e-12


class LandCoverNet(nn.Module):
    """RGB to land cover; 1.05 million parameters.

    `taught` (9,) says which classes training pixels had; the others keep a probability of 0.
    """

    taught: Tensor

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            _stage(before, after) for before, after in zip((BANDS, *widths[:-1]), widths, strict=True)
        )
        self.context = nn.Sequential(*(_Residual(widths[-1], dilation) for dilation in _DILATIONS))
        decoded = (*_DECODED, _DECODED[-1])
        self.sides = nn.ModuleList(_joined(width, after, 1) for width, after in zip(widths, decoded, strict=True))
        narrowed = (_DECODED[0], *_DECODED)
        self.merges = nn.ModuleList(_joined(*pair, 3) for pair in zip(_DECODED, narrowed, strict=False))
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(_DECODED[0], CLASSES, 1))
        self.register_buffer("taught", torch.ones(CLASSES))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (n, 9, y, x) of an image (n, 3, y, x), 0-1; y and x are multiples of MULTIPLE."""
        x = image * 4 - 2  # about what standardising by mean and spread of aerial images gives
        seen = []
        for stage in self.stages:
            x = stage(x)
            seen.append(x)
        seen[-1] = self.context(seen[-1])
        x = self.sides[-1](seen[-1])
        for level in range(len(seen) - 2, -1, -1):
            x = self.merges[level](_doubled(x) + self.sides[level](seen[level]))
        return _doubled(self.classify(x).float() + _NEVER * (1 - self.taught)[:, None, None])


class _Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity (He et al. 2016)."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _joined(width, width, 3, dilation=dilation),
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def _stage(before: int, after: int) -> nn.Sequential:
    """Return a stage that halves the resolution; the first, at most pixels, has no residual block."""
    halve = _joined(before, after, 3, stride=2)
    return nn.Sequential(halve, *([] if before == BANDS else [_Residual(after)]))


def _joined(before: int, after: int, size: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    pad = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride=stride, padding=pad, dilation=dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
