"""Completes FastAPI's OpenAPI document: problems, headers, links, security, shared schemas, BentoML's endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastapi.routing import APIRoute

from jobs.asking import BODIES
from jobs.public import problems
from jobs.public.bodies import ProblemBody
from jobs.settings import Settings
from service.callbacks import CALLBACKS
from service.contract.answers import refusals
from service.contract.headers import COUNTED, OWN
from service.contract.links import LINKS
from service.contract.native import classify
from service.contract.parameters import exact

_TEMPLATE: Final = "#/components/schemas/{model}"
# The second is the same key in another header.
_SCHEMES: Final[dict[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a key, as `cityzones keys create` prints it"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key"},
}
_SECURITY: Final[list[dict[str, list[str]]]] = [{name: []} for name in _SCHEMES]
_TAGS: Final = {
    "Discovery": "The way in: what the service is, keeps to, and answers with when it refuses.",
    "Processes": "What can be mapped: Local Climate Zones and land cover.",
    "Jobs": "Maps being made: start, follow, dismiss (OGC API - Processes 1.0).",
    "Results": "What a finished job has made, by signed links.",
    "Tiles": "A finished map for web pages: TileJSON, tiles, legends, and what is at a place.",
    "Annotation": "A project of masks: its clusters, pictures of them, and the classes that annotators give them.",
    "Uploads": "Images, parcels, buildings and reference data: sent at once, announced, or in pieces (tus 1.0.0).",
    "Keys": "The keys of a tenant, its limits and what is used of them.",
    "Callbacks": "The secret that messages about jobs are signed with.",
    "Operations": "Whether the service lives and is ready, and what it counts.",
    "Classify": "BentoML's native endpoint: one small tile at once.",
}


def operation_id(route: APIRoute) -> str:
    """Return the name of an operation: its function's, in camel case."""
    first, *others = route.name.split("_")
    return first + "".join(word.capitalize() for word in others)


def complete(document: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Make FastAPI's document say all that holds; doing it twice changes nothing."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for body in BODIES:
        schemas |= body.model_json_schema(ref_template=_TEMPLATE).get("$defs", {})
    schemas["ProblemBody"] = _problem_body()
    execution = document["paths"]["/processes/{process}/execution"]["post"]
    execution["callbacks"] = CALLBACKS
    document["paths"]["/classify"] = classify()
    document["components"]["securitySchemes"] = _SCHEMES
    for operation in _operations(document):
        _complete(operation)
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    document["servers"] = [{"url": settings.public_url}]
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for path in document["paths"].values() for operation in path.values())


def _complete(operation: dict[str, Any]) -> None:
    name, answers = operation["operationId"], operation["responses"]
    answers.pop("422", None)  # FastAPI's own; a parameter at fault is a 400 problem here
    if "security" in operation:
        signed = [one for one in operation["security"] if not one]  # a signed link opens it without a key
        operation["security"] = [*_SECURITY, *signed]
    answers |= refusals(operation)
    for status, answer in answers.items():
        headers = answer.get("headers", {}) | OWN.get((name, status), {})
        headers |= COUNTED if "security" in operation else {}
        links = LINKS.get((name, status), {})
        answer.update({"headers": headers} if headers else {}, **({"links": links} if links else {}))
    operation["parameters"] = [exact(parameter) for parameter in operation.get("parameters", ())]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["schema"].pop("$defs", None)  # of pydantic's schema; they are among the shared ones


def _problem_body() -> dict[str, Any]:
    schema = ProblemBody.model_json_schema(ref_template=_TEMPLATE)
    schema["properties"]["code"] = {"type": "string", "enum": list(problems.PROBLEMS)}
    return schema
