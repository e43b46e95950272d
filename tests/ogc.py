"""The standard's own schemas, read from beside the checkout, as judges of what the service says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4


def faults_of(body: Any, schema: str, shared_data: Path) -> list[tuple[list[Any], str]]:
    """Return where and how a body breaks a schema of OGC API - Processes 1.0, like "statusInfo.yaml"."""
    folder = shared_data.parent / "reference" / "ogcapi-processes-1.0" / "schemas"
    files = {path.name: yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")}
    registry: Registry[Any] = Registry().with_resources(
        (name, Resource.from_contents(text, default_specification=DRAFT4)) for name, text in files.items()
    )
    found = Draft4Validator({"$ref": schema}, registry=registry).iter_errors(body)
    return [(list(fault.path), fault.message) for fault in found]
