"""Trained weights as files: float16, with the variant they belong to, read back into a network that is ready."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from models.cards import read_card
from models.errors import WeightsUnavailable
from models.networks.variants import VARIANTS, AnyNetwork, build

_DEFAULT: Final = "magnet"


def round_weights(network: AnyNetwork) -> None:
    """Round every weight to what float16 can hold, so that the small file and the served one are equal."""
    with torch.no_grad():
        for value in network.state_dict().values():
            value.copy_(value.half().float())


def save_weights(network: AnyNetwork, path: Path, told: str) -> None:
    """Write a network's weights as float16, at once; `told` says which run they are of."""
    state = {name: value.half().contiguous().cpu() for name, value in network.state_dict().items()}
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    # One entry only: safetensors writes several in an order that changes from run to run.
    scratch.write_bytes(save(state, metadata={"run": told}))
    scratch.replace(path)


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


def variant_of(names: set[str]) -> str:
    """Return the variant whose weights have these names; raises KeyError where none has."""
    for variant in VARIANTS:
        if set(build(variant).state_dict()) == names:
            return variant
    raise KeyError(_DEFAULT)


def start_file(start: Path) -> Path:
    """Return the weights `model.start` means: the file itself, or the .safetensors beside a card (.toml).

    Raises WeightsUnavailable or BadCard naming the file that is missing or wrong.
    """
    if not start.is_file():
        msg = f"model.start names {start}, which is no file; give a .safetensors of an earlier run, or its card"
        raise WeightsUnavailable(msg)
    if start.suffix != ".toml":
        return start
    file = start.parent / Path(read_card(start).weights.file).with_suffix(".safetensors").name
    if not file.is_file():
        msg = f"the card {start.name} names weights whose training form {file} is missing; put it beside the card"
        raise WeightsUnavailable(msg)
    return file
