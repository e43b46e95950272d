"""Checks an execute request for whichever process it is sent to."""

from __future__ import annotations

from typing import Any

from jobs.annotation.request import PROCESSES
from service.access import Caller
from service.annotation.checking import CheckedAnnotation, check_annotation
from service.checking import Checked, check_map
from service.state import State

Asked = Checked | CheckedAnnotation


def check_request(process: str, body: Any, caller: Caller, state: State) -> Asked:
    """Check a decoded body; raises CityzonesError for everything a client can put right."""
    check = check_annotation if process in PROCESSES else check_map
    return check(process, body, caller, state)
