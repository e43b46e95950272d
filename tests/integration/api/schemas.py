"""Checks answers against the schemas of OGC API - Processes 1.0, and against the service's own OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft4Validator, Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4, DRAFT202012

CONTRACT = "urn:contract"
# As oneOf they would take no text, no whole number and no array: each of these is of two kinds at once.
OVERLAPPING = ("execute.yaml", "inputValueNoObject.yaml")
DATES = FormatChecker([])


@DATES.checks("date-time", raises=ValueError)
def is_moment(value: object) -> bool:
    """Say whether a text is a time with its offset from UTC."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class Standard:
    """The standard's schemas, by the names of their files."""

    def __init__(self, folder: Path) -> None:
        files = {path.name: yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")}
        files |= {name: _any_of(files[name]) for name in OVERLAPPING}
        self._registry: Registry[Any] = Registry().with_resources(
            (name, Resource.from_contents(schema, default_specification=DRAFT4)) for name, schema in files.items()
        )

    def faults(self, name: str, body: Any) -> list[str]:
        """Return what of a body a schema does not take."""
        validator = Draft4Validator({"$ref": name}, registry=self._registry, format_checker=DATES)
        return [f"{list(fault.path)}: {fault.message}" for fault in validator.iter_errors(body)]


class Contract:
    """The service's OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        contents = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(CONTRACT, contents)

    def faults(self, path: str, answer: httpx.Response) -> list[str]:
        """Return what of an answer to a request of a path the document does not tell."""
        operation = self._document["paths"][path].get(answer.request.method.lower())
        if operation is None:
            return [] if answer.status_code == 405 else [f"{answer.request.method} is not told"]
        status = str(answer.status_code)
        name = status if status in operation["responses"] else f"{status[0]}XX"
        kind = answer.headers["content-type"].partition(";")[0]
        told = operation["responses"].get(name, {}).get("content", {})
        if "schema" not in told.get(kind, {}):
            return [f"{status} {kind} is not told"]
        pointer = "/".join(_escaped(part) for part in ("paths", path, answer.request.method.lower()))
        schema = f"{CONTRACT}#/{pointer}/responses/{name}/content/{_escaped(kind)}/schema"
        validator = Draft202012Validator({"$ref": schema}, registry=self._registry, format_checker=DATES)
        return [f"{list(fault.path)}: {fault.message}" for fault in validator.iter_errors(answer.json())]


def _any_of(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_any_of(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {"anyOf" if name == "oneOf" else name: _any_of(part) for name, part in schema.items()}


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
