"""A stored or received execute request, read as what its process takes."""

from __future__ import annotations

from typing import Any, Final

from jobs.annotation.request import (
    PROCESSES,
    AnnotationExecute,
    ClassificationExecute,
    ExportExecute,
    ProjectExecute,
    parse_annotation,
)
from jobs.request import Execute, parse_execute

BODIES: Final = (Execute, ProjectExecute, ClassificationExecute, ExportExecute)
"""What a request to one process or another is."""


def parse_asked(process: str, body: Any) -> Execute | AnnotationExecute:
    """Check the decoded body of a request to a process; raises InvalidRequest with every fault."""
    return parse_annotation(process, body) if process in PROCESSES else parse_execute(body)
