"""Turns the published So2Sat networks into the ONNX files served: a tile goes in, 100 m nodes come out."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final, Protocol

import onnx
import torch
from torch import Tensor, nn

from models.cards import Card, Geometry
from models.networks import sen2lcz, so2sat_resnet
from models.networks.keras_weights import count_parameters, count_trainable
from models.networks.so2sat_resnet import BANDS, CLASSES

OPSET: Final = 17


class PatchNetwork(Protocol):
    """A network that answers patches (n, 10, 32, 32) with probabilities (n, 17)."""

    def probabilities(self, patches: Tensor) -> Tensor:
        """Return probabilities (n, 17)."""


class DenseTile(nn.Module):
    """Runs a patch network on every window of a tile and quantises its probabilities.

    The network pads with zeros, so it cannot be run on the whole tile at once (argmax agreement 6 %): each window is
    cut out inside the graph, where it costs nothing on the wire, and all of them form one batch.
    """

    index: Tensor

    def __init__(self, network: PatchNetwork, geometry: Geometry) -> None:
        """Prepare windows of `geometry.window` pixels, one each `geometry.step` pixels."""
        super().__init__()
        self.network = network
        self.nodes = geometry.tile // geometry.step
        self.window = geometry.window
        starts = torch.arange(self.nodes) * geometry.step
        self.register_buffer("index", (starts[:, None] + torch.arange(geometry.window)).flatten())

    def forward(self, spectral: Tensor) -> Tensor:
        """Map (n, band, S, S) reflectance to (n, class, N, N) uint8, round(255 p)."""
        nodes, window = self.nodes, self.window
        rows = torch.index_select(spectral, 2, self.index)
        cut = torch.index_select(rows, 3, self.index).reshape(-1, BANDS, nodes, window, nodes, window)
        patches = cut.permute(0, 2, 4, 1, 3, 5).reshape(-1, BANDS, window, window)
        shares = self.network.probabilities(patches)
        grid = shares.reshape(-1, nodes, nodes, CLASSES).permute(0, 3, 1, 2)
        return torch.round(grid * 255.0).to(torch.uint8)


def export_so2sat(source: Path, card: Card, target: Path) -> None:
    """Convert the published ResNet20 weights to the ONNX file of the card; raises WeightsUnavailable."""
    network = so2sat_resnet.load_keras_weights(source)
    _expect(count_parameters(network), so2sat_resnet.PARAMETERS)
    write_onnx(network, card.geometry, target)


def export_sen2lcz(source: Path, card: Card, target: Path) -> None:
    """Convert the published Sen2LCZ-Net-MF weights to the ONNX file of the card; raises WeightsUnavailable."""
    network = sen2lcz.load_sen2lcz(source)
    _expect(count_parameters(network), sen2lcz.PARAMETERS)
    _expect(count_trainable(network), sen2lcz.TRAINABLE)
    write_onnx(network, card.geometry, target)


def _expect(found: int, published: int) -> None:
    if found != published:
        msg = f"the network has {found} parameters, the published one {published}"
        raise ValueError(msg)


def write_onnx(network: PatchNetwork, geometry: Geometry, target: Path) -> None:
    """Write the network as a graph of the serving contract, its batch dimension symbolic."""
    side = geometry.tile + 2 * geometry.halo
    with warnings.catch_warnings():
        # The exporter that traces is deprecated; its successor needs one more package and gives the same graph here.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            DenseTile(network, geometry).eval(),
            (torch.zeros(1, BANDS, side, side),),
            str(target),
            input_names=["spectral"],
            output_names=["probabilities"],
            dynamic_axes={"spectral": {0: "n"}, "probabilities": {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(str(target))
