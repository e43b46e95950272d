"""What the published OpenAPI contract says beyond the routes: errors, shared schemas, and BentoML's endpoint."""

from __future__ import annotations

from typing import Any, Final

from jobs.public import problems
from jobs.public.bodies import ProblemBody
from jobs.public.problems import MEDIA_TYPE
from jobs.request import Execute
from jobs.settings import Settings
from service.callbacks import CALLBACKS

_PROBLEM: Final[dict[str, Any]] = {"$ref": "#/components/schemas/ProblemBody"}

# Every operation may end in a problem; the codes are listed at /problems.
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "The request is at fault", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}},
    "5XX": {"description": "The service is at fault", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}},
}

# A route that asks for the caller publishes the first itself; the second is the same key in another header.
_SCHEMES: Final[dict[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a key, as `cityzones keys create` prints it"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key"},
}
_SECURITY: Final[list[dict[str, list[str]]]] = [{name: []} for name in _SCHEMES]

_SECONDS: Final = {"description": "seconds to wait", "schema": {"type": "integer"}}
_RATE: Final = {"description": "draft-ietf-httpapi-ratelimit-headers", "schema": {"type": "string"}}
_GUARDED: Final[dict[str, Any]] = {
    "401": ERRORS["4XX"] | {
        "description": "The key is missing, or opens nothing",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    },
    "403": ERRORS["4XX"] | {"description": "The key may not do this"},
    "429": ERRORS["4XX"] | {
        "description": "More than the tenant's limits allow",
        "headers": {"Retry-After": _SECONDS, "RateLimit": _RATE, "RateLimit-Policy": _RATE},
    },
}  # fmt: skip

_CLASSIFY: Final[dict[str, Any]] = {
    "post": {
        "tags": ["Classify"],
        "summary": "Map one small tile at once",
        "description": "BentoML's native endpoint, for its own clients and for quick looks: a GeoTIFF of at most "
        "512 x 512 pixels in, the class map of the same grid out. Buildings are not used.",
        "operationId": "classify",
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {
                            "image": {
                                "type": "string",
                                "contentMediaType": "image/tiff",
                                "description": "GeoTIFF with the model's bands, in order or by band description",
                            },
                            "model": {"type": "string", "description": "a model of /processes; JSON string"},
                            "scale": {"type": "number", "description": "reflectance = number * scale + offset"},
                            "offset": {"type": "number"},
                        },
                    }
                }
            },
        },
        "responses": {
            "200": {
                "description": "uint8 GeoTIFF of classes with a palette, 0 where there is no data",
                "content": {"image/tiff": {"schema": {"type": "string", "contentMediaType": "image/tiff"}}},
            },
            **ERRORS,
        },
        "security": _SECURITY,
    }
}


def complete(document: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Add servers, shared schemas and the native endpoint to FastAPI's document; doing it twice changes nothing."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    template = "#/components/schemas/{model}"
    schemas |= Execute.model_json_schema(ref_template=template).get("$defs", {})
    schemas["ProblemBody"] = ProblemBody.model_json_schema(ref_template=template) | {
        "properties": ProblemBody.model_json_schema()["properties"]
        | {"code": {"type": "string", "enum": list(problems.PROBLEMS)}}
    }
    execution = document["paths"]["/processes/{process}/execution"]["post"]
    execution["callbacks"] = CALLBACKS
    execution["requestBody"]["content"]["application/json"]["schema"].pop("$defs", None)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)  # a parameter at fault is a 400 problem here
    document["paths"]["/classify"] = _CLASSIFY
    document["components"]["securitySchemes"] = _SCHEMES
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        if "security" in operation:
            signed = [one for one in operation["security"] if not one]  # a signed link opens it without a key
            operation["security"] = [*_SECURITY, *signed]
            operation["responses"] |= _GUARDED
    document["servers"] = [{"url": settings.public_url}]
    return document
