"""What a model repository serves, and the request of zeros by which a served model shows that it still answers.

With the standard library alone: the image of the model server holds little more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ITEM_BYTES: Final = {"FP32": 4, "UINT8": 1}


@dataclass(frozen=True, slots=True)
class Zeros:
    """One input of a request: its name, shape with the batch, data type as the protocol says it, and size in bytes."""

    name: str
    shape: tuple[int, ...]
    datatype: str

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor."""
        return math.prod(self.shape) * _ITEM_BYTES[self.datatype]


def zeros_of(config: Mapping[str, Any]) -> list[Zeros]:
    """Return the inputs of a request for one, by the model's configuration as Triton tells it in JSON."""
    batch = (1,) if int(config.get("max_batch_size", 0)) else ()
    return [
        Zeros(
            str(tensor["name"]),
            (*batch, *(int(size) for size in tensor["dims"])),
            str(tensor["data_type"]).removeprefix("TYPE_"),
        )
        for tensor in config["input"]
    ]


def repository_models(repository: Path) -> list[str]:
    """Return the models of a repository, sorted: the folders with a configuration; none where there is no folder."""
    return sorted(path.parent.name for path in repository.glob("[!.]*/config.pbtxt"))
