"""Runs schemathesis over the published contract of a running interface, as `st run` does, and reads what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.contract.served import Interface
from tests.servers.api import ROOT

_CONFIG: Final = Path(__file__).with_name("schemathesis.toml")
_CASES: Final = re.compile(r"^  ([\d,]+) generated", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: whether nothing was found, how many cases it tried, and its report for people."""

    clean: bool
    cases: int
    report: str


def schemathesis(interface: Interface, folder: Path, *options: str, key: bool = True, seconds: float) -> Outcome:
    """Run every check, with the interface's key or with none that opens; `options` are further ones of `st run`."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(_config(interface, folder))]
    command += ["run", f"{interface.url}/openapi.json", "--checks", "all", "--continue-on-failure", "--no-color"]
    command += ["--request-timeout", "30", *options]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.contract.hooks",
        "CONTRACT_KEY": interface.key if key else "none",
        "CONTRACT_KEY_ID": interface.key_id,
        "CONTRACT_IMAGE": str(interface.image),
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, timeout=seconds, capture_output=True, text=True, check=False
    )
    cases = _CASES.search(done.stdout)
    return Outcome(done.returncode == 0, int(cases[1].replace(",", "")) if cases else 0, done.stdout + done.stderr)


def _config(interface: Interface, folder: Path) -> Path:
    """Write the configuration with the ids that are known to be there."""
    known = (f"{name} = {{ values = {json.dumps(values)} }}" for name, values in interface.known.items())
    path = folder / _CONFIG.name
    path.write_text("\n".join([_CONFIG.read_text(), "[dictionaries]", *known, ""]))
    return path
