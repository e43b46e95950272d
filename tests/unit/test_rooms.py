"""What a room pulls in when it is imported: torch and its like only where networks are trained."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "h5py", "onnx", "sklearn", "matplotlib")
_ASK = (
    "import importlib, sys; [importlib.import_module(m) for m in {rooms}]; print(*sorted({heavy} & set(sys.modules)))"
)


@pytest.mark.parametrize(
    "rooms",
    [
        ("service.service", "service.cli", "jobs.settings"),
        ("worker.tasks",),
        (
            "models.accuracy.areas",
            "models.accuracy.bootstrap",
            "models.accuracy.calibration",
            "models.accuracy.metrics",
        ),
        ("models.evaluation.baselines", "models.evaluation.city", "models.evaluation.city_network"),
        ("models.data.procedural", "models.data.cities.arrays", "models.training.config", "models.export.card"),
    ],
    ids=lambda rooms: rooms[0],
)
def test_importing_it_loads_nothing_of_training(rooms: tuple[str, ...]) -> None:
    asked = _ASK.format(rooms=rooms, heavy=set(HEAVY))
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=120, check=True)
    assert told.stdout.split() == []
