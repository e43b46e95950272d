"""Writes pydantic's JSON Schema in the narrower dialect the OGC schemas of a process description accept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

_KEPT: Final = frozenset(
    {
        "title", "maximum", "minimum", "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems",
        "required", "enum", "type", "items", "properties", "additionalProperties", "description", "format", "default",
        "nullable", "oneOf", "anyOf", "allOf",
    }
)  # fmt: skip


def field_schemas(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return the schema of every field of a model, self-contained, in the dialect of OpenAPI 3.0."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    return {name: plain(value, definitions) for name, value in schema["properties"].items()}


def plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return one schema with references resolved, null as `nullable` and exclusive limits as booleans."""
    if "$ref" in schema:
        target = definitions[str(schema["$ref"]).rsplit("/", 1)[-1]]
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
    merged = _without_null(schema, definitions)
    for name, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if name in schema:
            merged |= {limit: schema[name], name: True}
    if "const" in schema:
        merged["enum"] = [schema["const"]]
    return merged


def _without_null(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: _value(name, value, definitions) for name, value in schema.items() if name in _KEPT}
    if kept.get("default", ...) is None:
        del kept["default"]
    choices = kept.get("anyOf", [])
    real = [choice for choice in choices if choice.get("type") != "null"]
    if len(real) == len(choices):
        return kept
    del kept["anyOf"]
    return kept | (real[0] if len(real) == 1 else {"anyOf": real}) | {"nullable": True}


def _value(name: str, value: Any, definitions: Mapping[str, Any]) -> Any:
    if name == "properties":
        return {key: plain(part, definitions) for key, part in value.items()}
    if name in {"anyOf", "oneOf", "allOf"}:
        return [part if part == {"type": "null"} else plain(part, definitions) for part in value]
    if name == "items" or (name == "additionalProperties" and isinstance(value, Mapping)):
        return plain(value, definitions)
    return value
