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

from models.errors import WeightsUnavailable
from models.networks.magnet import FORMS, Magnet
from models.networks.variants import AnyNetwork
from models.networks.weights import load_weights

TILE: Final = 240
OPSET: Final = 17
FULL: Final = 255.0


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


def _bytes(shares: Tensor) -> Tensor:
    return torch.round(FULL * shares).to(torch.uint8)


def load_magnet(checkpoint: Path) -> Magnet:
    """Read weights as `load_weights` does; raises WeightsUnavailable also where they are another variant's."""
    network = load_weights(checkpoint)
    if not isinstance(network, Magnet):
        raise WeightsUnavailable(f"{checkpoint.name} does not hold MAGNET weights; name those of the variant magnet")
    return network


def export_magnet(checkpoint: Path, out: Path, tile: int = TILE, *, temperature: float = 1.0) -> Path:
    """Write `out`/magnet.onnx, and the checkpoint beside it, and return the ONNX file.

    See `export_network` for the graph; its weights are those of the checkpoint exactly.
    """
    network = load_magnet(checkpoint)
    out.mkdir(parents=True, exist_ok=True)
    target = export_network(network, out / "magnet.onnx", tile, temperature=temperature)
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
    side, names = tile + network.window, ["spectral", "morphology"][: 1 + morphology]
    example = tuple(torch.zeros(1, channels, side, side) for channels in (network.bands, FORMS)[: len(names)])
    answers = ["probabilities", "morphology_weight"][: len(names)]
    # Model repositories link to the weights: a file that is there is replaced, never written into.
    scratch = target.with_name(f".{target.name}.new")
    with torch.no_grad(), _tempered(network, temperature), warnings.catch_warnings():
        # What the tracer holds for constants is constant here.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]  # not told in its stubs
        torch.onnx.export(
            _Served(network).eval(), example, scratch, opset_version=OPSET, dynamo=False, do_constant_folding=True,
            input_names=names, output_names=answers,
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
