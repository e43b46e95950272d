"""Reads weights: float16 files back into the network they fit, ready to map."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from models.errors import WeightsUnavailable
from models.networks.land_cover import LandCoverNet
from models.networks.variants import VARIANTS, AnyNetwork, build


def load_weights(path: Path) -> AnyNetwork:
    """Read float16 weights into the network they fit: its variant and its bands are seen from their names and shapes.

    Raises WeightsUnavailable where there is no such file, or it is no network of ours.
    """
    if not path.is_file():
        msg = f"there is no file {path}; train it, or name another"
        raise WeightsUnavailable(msg)
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
        state = {name: value.float() for name, value in load_file(path).items()}
        network = build(variant_of(names), state["mean"].shape[1])
        network.load_state_dict(state)
    except (OSError, RuntimeError, SafetensorError, KeyError, IndexError) as error:
        msg = f"{path.name} does not hold weights of a network of ours; train or fetch it again"
        raise WeightsUnavailable(msg) from error
    return network.eval()


def load_cover(path: Path) -> LandCoverNet:
    """Read float16 weights of a network of land cover, ready to map; raises WeightsUnavailable where there are none."""
    network = LandCoverNet()
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        msg = f"{path.name} does not hold weights of a network of land cover; train it again, or name another"
        raise WeightsUnavailable(msg) from error
    return network.eval()


def variant_of(names: set[str]) -> str:
    """Return the variant whose weights have these names; raises KeyError where none has."""
    for variant in VARIANTS:
        if set(build(variant).state_dict()) == names:
            return variant
    raise KeyError(", ".join(VARIANTS))
