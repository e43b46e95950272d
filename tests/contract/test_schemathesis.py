"""schemathesis finds nothing: the interface does what its published contract says, whatever is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.run import schemathesis
from tests.contract.served import Interface


def test_a_short_run_finds_nothing(interface: Interface, tmp_path: Path) -> None:
    options = ("--phases", "examples,fuzzing,stateful", "--max-examples", "4")
    found = schemathesis(interface, tmp_path, *options, seconds=120)
    assert found.clean, found.report
    assert found.cases >= 150, found.report


@pytest.mark.scale
@pytest.mark.timeout(600)
def test_every_check_and_phase_finds_nothing(interface: Interface, tmp_path: Path) -> None:
    found = schemathesis(interface, tmp_path, "--max-examples", "50", seconds=480)
    assert found.clean, found.report
    assert found.cases >= 2000, found.report


@pytest.mark.scale
@pytest.mark.timeout(300)
def test_nothing_opens_without_a_good_key(interface: Interface, tmp_path: Path) -> None:
    options = ("--phases", "examples,coverage,fuzzing", "--max-examples", "10")
    found = schemathesis(interface, tmp_path, *options, key=False, seconds=240)
    assert found.clean, found.report
    assert found.cases >= 1000, found.report
