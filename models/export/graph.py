"""Turn trained weights into the ONNX files that are served."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import onnx
import torch
from torch import Tensor, nn

from models.cards import Geometry
from models.errors import WeightsUnavailable
from models.networks.land_cover import BANDS, LandCoverNet
from models.networks.magnet import FORMS, STEP, Magnet
from models.networks.variants import AnyNetwork
from models.networks.weights import load_weights

TILE: Final = 240
OPSET: Final = 17
FULL: Final = 255.0
COVER: Final = Geometry(window=288, step=1, tile=512, halo=144, scene=1)
"""Of the graphs of land cover."""


class _Served(nn.Module):
    """The dense network with the outputs that are served: round(255 p) and, with buildings, round(255 alpha_m)."""

    def __init__(self, network: AnyNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, spectral: Tensor, morphology: Tensor | None = None) -> tuple[Tensor, ...]:
        if morphology is None:  # nothing is known of the buildings
            morphology = torch.zeros_like(spectral[:, :1]).repeat(1, FORMS, 1, 1)
            return (_bytes(self.network.pixels(spectral, morphology)[0]),)
        probabilities, trust = self.network.pixels(spectral, morphology)
        return _bytes(probabilities), _bytes(trust[:, 0])


class _ServedScenes(nn.Module):
    """The network on windows every 100 m, with the same outputs as `_Served`."""

    def __init__(self, network: Magnet) -> None:
        super().__init__()
        self.network = network

    def forward(self, spectral: Tensor, morphology: Tensor) -> tuple[Tensor, ...]:
        output = self.network.grid(spectral, morphology)
        return _bytes(torch.softmax(output.logits, dim=1)), _bytes(output.trust.mean(dim=1))


class ServedCover(nn.Module):
    """The network of land cover with the output that is served: round(255 p) of a tile, its halo cut off.

    It takes an image (n, 3, tile + 2 halo, tile + 2 halo), 0-1, and gives (n, 9, tile, tile) uint8; logits are divided
    by `temperature`.
    """

    def __init__(self, network: LandCoverNet, geometry: Geometry, temperature: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.inside = slice(geometry.halo, geometry.halo + geometry.tile)
        self.temperature = temperature

    def forward(self, spectral: Tensor) -> Tensor:
        """Return round(255 p) of the tile inside an image, 0-1."""
        logits = self.network(spectral)[:, :, self.inside, self.inside]
        return _bytes(torch.softmax(logits / self.temperature, dim=1))


def _bytes(shares: Tensor) -> Tensor:
    return torch.round(FULL * shares).to(torch.uint8)


def load_magnet(checkpoint: Path) -> Magnet:
    """Read weights as `load_weights` does; raises WeightsUnavailable also where they are another variant's."""
    network = load_weights(checkpoint)
    if not isinstance(network, Magnet):
        raise WeightsUnavailable(f"{checkpoint.name} does not hold MAGNET weights; name those of the variant magnet")
    return network


def export_magnet(checkpoint: Path, out: Path, tile: int = TILE, *, temperature: float = 1.0) -> Path:
    """Write `out`/magnet.onnx, magnet-scenes.onnx and the checkpoint beside them, and return the first.

    See `export_network` and `export_scenes` for the graphs; their weights are those of the checkpoint exactly.
    """
    network = load_magnet(checkpoint)
    out.mkdir(parents=True, exist_ok=True)
    target = export_network(network, out / "magnet.onnx", tile, temperature=temperature)
    export_scenes(network, out / "magnet-scenes.onnx", tile, temperature=temperature)
    if checkpoint.resolve() != (out / "magnet.safetensors").resolve():
        shutil.copyfile(checkpoint, out / "magnet.safetensors")
    return target


def export_network(
    network: AnyNetwork, target: Path, tile: int = TILE, *, morphology: bool = True, temperature: float = 1.0
) -> Path:
    """Write the dense form of a network as ONNX to `target` and return it.

    With windows of w pixels, the graph takes `spectral` (1, bands, tile + w, tile + w) and, if asked, `morphology`
    (1, 6, tile + w, tile + w) float32 and gives `probabilities` (1, 17, tile, tile) uint8, 255 for certainty, and
    with morphology `morphology_weight` (1, tile, tile) uint8, 255 alpha_m, the mean over its groups. Logits are
    divided by `temperature`.
    """
    inputs = ["spectral", "morphology"][: 1 + morphology]
    with _tempered(network, temperature):
        return _write(_Served(network), network.bands, tile + network.window, inputs, target)


def export_scenes(network: Magnet, target: Path, tile: int = TILE, *, temperature: float = 1.0) -> Path:
    """Write the network as a graph that answers once every ten pixels to `target` and return it.

    It takes `spectral` (1, bands, tile + 22, tile + 22) and `morphology` (1, 6, tile + 22, tile + 22) float32 and gives
    `probabilities` (1, 17, tile / 10, tile / 10) and `morphology_weight` (1, tile / 10, tile / 10) uint8 as
    `export_network`'s graph does: for the window centred on each cell of ten pixels.
    """
    side = tile + network.window - STEP
    with _tempered(network, temperature):
        return _write(_ServedScenes(network), network.bands, side, ["spectral", "morphology"], target)


def export_cover(network: LandCoverNet, target: Path, geometry: Geometry, *, temperature: float = 1.0) -> Path:
    """Write a network of land cover as ONNX to `target` and return it; see ServedCover for what it takes and gives.

    Its input is called `spectral`, its output `probabilities`, and it takes one window at a time.
    """
    served = ServedCover(network, geometry, temperature)
    return _write(served, BANDS, geometry.tile + 2 * geometry.halo, ["spectral"], target)


def _write(served: nn.Module, bands: int, side: int, inputs: list[str], target: Path) -> Path:
    example = tuple(torch.zeros(1, channels, side, side) for channels in (bands, FORMS)[: len(inputs)])
    # Model repositories link to the weights: a file that is there is replaced, never written into.
    scratch = target.with_name(f".{target.name}.new")
    with torch.no_grad(), warnings.catch_warnings():
        # What the tracer holds for constants is constant here.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]  # not told in its stubs
        torch.onnx.export(
            served.eval(), example, scratch, opset_version=OPSET, dynamo=False, do_constant_folding=True,
            input_names=inputs, output_names=["probabilities", "morphology_weight"][: len(inputs)],
        )  # fmt: skip
    model = onnx.load(scratch)
    model.producer_version = model.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, scratch)
    scratch.replace(target)
    return target


@contextmanager
def _tempered(network: AnyNetwork, temperature: float) -> Iterator[None]:
    """Divide the network's logits while this lasts; its weights stay what they are."""
    if temperature == 1.0:
        yield
        return
    hook = network.classify.register_forward_hook(lambda _module, _inputs, logits: logits / temperature)
    try:
        yield
    finally:
        hook.remove()
