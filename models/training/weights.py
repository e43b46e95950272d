"""Trained weights as files: rounded to float16, written at once, and found again to start from."""

from __future__ import annotations

import secrets
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from models.cards import read_card
from models.errors import WeightsUnavailable


def round_weights(network: nn.Module) -> None:
    """Round every weight to what float16 can hold, so that the small file and the served one are equal."""
    with torch.no_grad():
        for value in network.state_dict().values():
            value.copy_(value.half().float())


def save_weights(network: nn.Module, path: Path, told: str) -> None:
    """Write a network's weights as float16, at once; `told` says which run they are of."""
    state = {name: value.half().contiguous().cpu() for name, value in network.state_dict().items()}
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    # One entry only: safetensors writes several in an order that changes from run to run.
    scratch.write_bytes(save(state, metadata={"run": told}))
    scratch.replace(path)


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
