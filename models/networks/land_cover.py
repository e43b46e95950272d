"""A compact network that says of every pixel of an aerial image what covers the ground: convolutions only.

An encoder with the stages of EfficientNet-Lite0 at 1/2, 1/4, 1/8 and 1/16 of the image's resolution, a dilated
convolution at the last (Chen et al. 2017), and a decoder that adds each stage's features on the way back (after Lin et
al. 2017, FPN), narrow at 1/2, where most of the work is. Logits are enlarged bilinearly.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from models.classes import LAND_COVER
from models.networks.lite import WIDTHS, LiteEncoder

BANDS: Final = 3
CLASSES: Final = len(LAND_COVER)
MULTIPLE: Final = 16
"""Sides of images are multiples of this."""
_DECODED: Final = (24, 48, 64, 96)  # width of the decoder at each stage
_NEVER: Final = -30.0  # logit of a class that no training pixel had: its probability is below 1e-12


class LandCoverNet(nn.Module):
    """RGB to land cover; 0.87 million parameters.

    `taught` (9,) says which classes training pixels had; the others keep a probability of 0.
    """

    taught: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = LiteEncoder()
        pairs = list(pairwise(_DECODED))
        self.sides = nn.ModuleList(_joined(*widths, 1) for widths in zip(WIDTHS, _DECODED, strict=True))
        self.context = _joined(_DECODED[-1], _DECODED[-1], 3, dilation=2)
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.merges = nn.ModuleList(_joined(fine, fine, 3) for fine, _ in pairs)
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(_DECODED[0], CLASSES, 1))
        self.register_buffer("taught", torch.ones(CLASSES))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (n, 9, y, x) of an image (n, 3, y, x), 0-1; y and x are multiples of MULTIPLE."""
        *seen, last = (side(found) for side, found in zip(self.sides, self.encoder(image), strict=True))
        x = self.context(last)
        for finer, narrow, merge in reversed(list(zip(seen, self.narrow, self.merges, strict=True))):
            x = merge(_doubled(narrow(x)) + finer)
        return _doubled(self.classify(x).float() + _NEVER * (1 - self.taught)[:, None, None])


def _joined(before: int, after: int, size: int, *, dilation: int = 1) -> nn.Sequential:
    pad = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(before, after, size, padding=pad, dilation=dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
