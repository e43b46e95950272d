"""Files of a local store through links the service signed itself; S3 stores serve their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from jobs.errors import LinkExpired
from jobs.public.problems import RequestError
from service.state import Parts, State

router = APIRouter(tags=["Results"])

_OUTPUT: Final = re.compile(r"jobs/(job_[0-9a-z]{26})/outputs/[^/]+(/[^/]+)*")
_TYPES: Final = {
    ".tif": "image/tiff; application=geotiff",
    ".parquet": "application/vnd.apache.parquet",
    ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json",
    ".json": "application/json",
}
# A factsheet is HTML: it may style itself, and nothing else, should a browser open it on the service's origin.
_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "Cache-Control": "private, max-age=300",
    "Cross-Origin-Resource-Policy": "cross-origin",  # the link opens it, whichever page it stands on
}


class Signed(BaseModel):
    """The query of a signed link."""

    expires: Annotated[str, Field(description="Unix second")] = ""
    key: Annotated[str, Field(description="which secret signed it")] = ""
    name: Annotated[str, Field(description="file name to save under")] = ""
    signature: str = ""


_OPERATION: Final[dict[str, Any]] = {
    "summary": "Fetch an output by its signed link",
    "response_class": Response,
    "responses": {
        200: {"content": {"*/*": {}}},
        206: {"description": "the range asked for", "content": {"*/*": {}}},
        304: {"description": "The client has this file"},
    },
}


@router.head("/files/{key:path}", include_in_schema=False, **_OPERATION)
@router.get("/files/{key:path}", **_OPERATION)
def output_file(key: str, request: Request, parts: Parts, link: Annotated[Signed, Query()]) -> Response:
    """Serve an output whole or in ranges, under the file name that was signed.

    HEAD goes with the same link, unlike on S3: readers of cloud-optimised files ask for the size first.
    """
    path = _path(key, parts)
    parts.signer.check(key, expires=link.expires, key_id=link.key, filename=link.name, signature=link.signature)
    if not path.is_file():
        raise RequestError("not-found", "the file is gone; the job was dismissed or its data have expired")
    answer = FileResponse(
        path, filename=link.name, media_type=_media_type(key, path, parts), headers=_SAFE, stat_result=path.stat()
    )
    if request.headers.get("if-none-match") == answer.headers["etag"]:
        return Response(status_code=304, headers=_SAFE | {"etag": answer.headers["etag"]})
    return answer


@router.api_route("/files/{key:path}", methods=["POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
def unchangeable(key: str, parts: Parts) -> None:
    """Refuse to change an output, as S3 does: a link allows one method, whoever holds it."""
    _path(key, parts)
    raise LinkExpired("a link to an output is for reading it")


def _path(key: str, parts: State) -> Path:
    """Return the file behind a key; raises RequestError for keys that are no output, or lead out of the folder."""
    folder = parts.storage.folder
    if folder is None or not _OUTPUT.fullmatch(key) or "\0" in key:
        raise RequestError("not-found", "there is no such file")
    root = (folder / "/".join(key.split("/")[:3])).resolve()
    path = (folder / key).resolve()
    if root not in path.parents:
        raise RequestError("not-found", "there is no such file")
    return path


def _media_type(key: str, path: Path, parts: State) -> str | None:
    """Return the type the result names; the suffix decides for files that no result names."""
    found = parts.jobs.result(key.split("/")[1])
    types = {output.key: output.media_type for output in found.outputs.values()} if found else {}
    return types.get(key) or _TYPES.get(path.suffix)
