"""The published Sen2LCZ-Net-MF: a plain convolutional network that asks four of its stages and averages the answers.

Qiu et al. 2020, Multilevel Feature Fusion-Based CNN for Local Climate Zone Classification From Sentinel-2 Images, IEEE
JSTARS 13, 2793-2806 (https://arxiv.org/abs/2005.07983).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.keras_weights import fill_network, norm

BANDS: Final = 10
CLASSES: Final = 17
PARAMETERS: Final = 793_348
"""All numbers of the weight file, the normalisations' running means and variances included."""
TRAINABLE: Final = 791_428
DEPTH: Final = 4
"""Convolutions of a stage."""
WIDTHS: Final = (16, 32, 64, 128)
DROPOUT: Final = 0.2
# Dense layers by the stage they judge. dense_3 was a first head of the third stage, replaced before publication.
_HEADS: Final = ("dense_1", "dense_2", "dense_5", "dense_4")


class Stage(nn.Module):
    """Four 3x3 convolutions, zero-padded, each with normalisation and ReLU."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(before if k == 0 else width, width, 3, padding=1) for k in range(DEPTH))
        self.norms = nn.ModuleList(norm(width) for _ in range(DEPTH))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, before, y, x) to (n, width, y, x)."""
        for conv, normed in zip(self.convs, self.norms, strict=True):
            x = functional.relu(normed(conv(x)))
        return x


class Sen2LczNet(nn.Module):
    """Stages of 16, 32, 64 and 128 channels; between them maxima and means of 2 x 2 pixels, side by side.

    Input: (n, 10, 32, 32) top-of-atmosphere reflectance 0-1, bands B02 B03 B04 B05 B06 B07 B08 B8A B11 B12, taken as
    it is. Output: (n, 17) log probabilities, LCZ 1-10 then A-G; as logits they give the same probabilities again.
    """

    def __init__(self) -> None:
        super().__init__()
        befores = (BANDS, *(2 * width for width in WIDTHS[:-1]))
        self.stages = nn.ModuleList(Stage(*pair) for pair in zip(befores, WIDTHS, strict=True))
        judged = (*befores[1:], WIDTHS[-1])
        self.heads = nn.ModuleList(nn.Linear(channels, CLASSES) for channels in judged)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, patches: Tensor) -> Tensor:
        """Return log probabilities (n, 17) for patches (n, 10, 32, 32)."""
        return torch.log(self.probabilities(patches).clamp_min(torch.finfo(patches.dtype).tiny))

    def probabilities(self, patches: Tensor) -> Tensor:
        """Return probabilities (n, 17): the mean of four softmax, for patches (n, 10, 32, 32)."""
        x, answers = patches, []
        for k, (stage, head) in enumerate(zip(self.stages, self.heads, strict=True)):
            x = stage(x)
            if k < len(WIDTHS) - 1:
                x = torch.cat([functional.max_pool2d(x, 2), functional.avg_pool2d(x, 2)], 1)
            if 0 < k < len(WIDTHS) - 1:
                x = self.dropout(x)
            answers.append(torch.softmax(head(x.mean((2, 3))), 1))
        return torch.stack(answers).mean(0)


def load_sen2lcz(path: Path) -> Sen2LczNet:
    """Read the published Keras weight file into the network, ready for inference; raises WeightsUnavailable."""
    network = Sen2LczNet()
    modules: dict[str, nn.Module] = dict(zip(_HEADS, network.heads, strict=True))
    for kind, name in (("conv2d", "convs"), ("batch_normalization", "norms")):
        layers = (layer for stage in network.stages for layer in getattr(stage, name))
        modules |= {f"{kind}_{k}": layer for k, layer in enumerate(layers, 1)}
    fill_network(path, "Sen2LCZ-Net-MF", modules)
    return network.eval()
