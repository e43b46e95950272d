"""BentoML's native endpoint, which no route of FastAPI tells of."""

from __future__ import annotations

from typing import Any, Final

from models.cards import cards

_PICTURE: Final = {"type": "string", "contentMediaType": "image/tiff"}
_MAP: Final = {
    "description": "uint8 GeoTIFF of classes with a palette, 0 where there is no data",
    "content": {"image/tiff": {"schema": _PICTURE}},
}
_OPERATION: Final = {
    "tags": ["Classify"],
    "summary": "Map one small tile at once",
    "description": "BentoML's native endpoint, for its own clients and for quick looks: a GeoTIFF of at most "
    "512 x 512 pixels in, the class map of the same grid out. Buildings are not used.",
    "operationId": "classify",
}


def classify() -> dict[str, Any]:
    """Return the path item of /classify, to be completed as every other."""
    return {"post": _OPERATION | {"requestBody": _body(), "responses": {"200": dict(_MAP)}, "security": []}}


def _body() -> dict[str, Any]:
    image = "GeoTIFF with the model's bands, in order or by band description"
    form = {
        "type": "object",
        "required": ["image"],
        "additionalProperties": False,
        "properties": {
            "image": _PICTURE | {"format": "binary", "description": image},
            "model": {"type": "string", "enum": list(cards()), "description": "a model of /processes"},
            "scale": {"type": "number", "description": "reflectance = number * scale + offset"},
            "offset": {"type": "number"},
        },
    }
    encoding = {"image": {"contentType": "image/tiff"}}
    return {"required": True, "content": {"multipart/form-data": {"schema": form, "encoding": encoding}}}
