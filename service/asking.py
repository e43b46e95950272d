"""Checks an execute request for whichever process it is sent to."""

from __future__ import annotations

from typing import Any

from jobs.annotation.request import PROCESS
from service.access import Caller
from service.annotation.checking import CheckedProject, check_project
from service.checking import Checked, check_map
from service.state import State

Asked = Checked | CheckedProject


def check_request(process: str, body: Any, caller: Caller, state: State) -> Asked:
    """Check a decoded body; raises CityzonesError for everything a client can put right."""
    return check_project(body, caller, state) if process == PROCESS else check_map(process, body, caller, state)
