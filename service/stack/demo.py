"""The demo: a procedural city goes in as a STAC catalogue and two vector files, a checked map comes out as links."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from service.stack.embedded import EmbeddedStack
from service.stack.files import FileServer
from service.stack.sample import make_sample, overall_accuracy, unusable

LEAST_ACCURACY: Final = 0.80
BLOCK_PIXELS: Final = "240"


@dataclass
class Report:
    """What the demo's last line says. `faults` is empty where all is well."""

    job: str = ""
    status: str = "not submitted"
    seconds: float = 0.0
    submit_to_finish_seconds: float = 0.0
    overall_accuracy: float = 0.0
    outputs: dict[str, Path] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def json(self) -> str:
        """Return the report as one line of JSON."""
        told = {k: v for k, v in vars(self).items() if k not in {"outputs", "faults"}}
        outputs = {name: str(path) for name, path in self.outputs.items()}
        return json.dumps(told | {"outputs": outputs} | ({"faults": self.faults} if self.faults else {}))
