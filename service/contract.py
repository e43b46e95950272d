"""What the published OpenAPI contract says beyond the routes: errors, shared schemas, and BentoML's endpoint."""

from __future__ import annotations

from typing import Any, Final

from jobs.public import problems
from jobs.public.bodies import ProblemBody
from jobs.public.problems import MEDIA_TYPE
from jobs.request import Execute
from jobs.settings import Settings

_PROBLEM: Final[dict[str, Any]] = {"$ref": "#/components/schemas/ProblemBody"}

# Every operation may end in a problem; the codes are listed at /problems.
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "The request is at fault", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}},
    "5XX": {"description": "The service is at fault", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}},
}

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
    execution["requestBody"]["content"]["application/json"]["schema"].pop("$defs", None)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)  # a parameter at fault is a 400 problem here
    document["paths"]["/classify"] = _CLASSIFY
    document["servers"] = [{"url": settings.public_url}]
    return document
