"""A stored or received execute request, read as what its process takes."""

from __future__ import annotations

from typing import Any

from jobs.annotation import request as annotation
from jobs.request import Execute, parse_execute


def parse_asked(process: str, body: Any) -> Execute | annotation.ProjectExecute:
    """Check the decoded body of a request to a process; raises InvalidRequest with every fault."""
    return annotation.parse_project(body) if process == annotation.PROCESS else parse_execute(body)
