"""The way in: landing page, conformance, and the meaning of every problem."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from jobs.public import problems
from jobs.public.bodies import JSON, Conformance, Landing, Link
from service import bundle
from service.accepted import weight
from service.headers import map_page_policy
from service.state import Parts

router = APIRouter(tags=["Discovery"])

_REL = "http://www.opengis.net/def/rel/ogc/1.0"
_CONF = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf"
_DESCRIPTION = (
    "Maps of cities as a service: Local Climate Zones and land cover, decided per pixel, scene cell or parcel. "
    "Send an area of interest, collect the finished maps."
)


@router.get(
    "/",
    response_model=Landing,
    summary="Landing page",
    responses={200: {"content": {"text/html": {}}, "description": "Links to everything the service offers."}},
)
def landing(
    parts: Parts,
    response: Response,
    accept: Annotated[str, Header()] = JSON,
    accept_encoding: Annotated[str, Header(include_in_schema=False)] = "",
) -> Landing | Response:
    """Return typed links to everything, as JSON, or as the web page where the client prefers HTML."""
    url = parts.settings.public_url
    body = Landing(title="Cityzones", description=_DESCRIPTION, links=_links(url))
    response.headers["Vary"] = "Accept"
    if not (prefers_html(accept) and bundle.is_built()):
        return body
    headers = {"Vary": "Accept, Accept-Encoding", "Content-Security-Policy": map_page_policy(parts.settings)}
    return bundle.index(accept_encoding, headers)


@router.get("/conformance", summary="Conformance classes")
def conformance() -> Conformance:
    """Return the classes of OGC API - Processes 1.0 that hold here."""
    names = ("core", "ogc-process-description", "json", "job-list", "callback", "dismiss")
    return Conformance(conformsTo=[f"{_CONF}/{name}" for name in names])


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> Response:
    """Return the contract."""
    return JSONResponse(request.app.openapi(), media_type="application/vnd.oai.openapi+json;version=3.1")


@router.get("/problems", summary="Every error the service answers with")
def problem_list(parts: Parts) -> dict[str, Any]:
    """Return the table of problems."""
    return {"problems": [_problem(code, parts.settings.public_url) for code in problems.PROBLEMS]}


@router.get("/problems/{code}", summary="What one error means")
def problem(code: str, parts: Parts) -> dict[str, Any]:
    """Return what the `type` of a problem stands for."""
    if code not in problems.PROBLEMS:
        raise problems.RequestError("not-found", f"there is no problem {code!r}; see /problems")
    return _problem(code, parts.settings.public_url)


def prefers_html(accept: str) -> bool:
    """Say whether an Accept header ranks text/html above JSON, as browsers do."""
    return weight(accept, "text/html") > max(weight(accept, JSON), weight(accept, "*/*"))


def _problem(code: str, public_url: str) -> dict[str, Any]:
    found = problems.row(code)
    uri = problems.type_uri(code, public_url)
    return {"code": code, "type": uri, "status": found.status, "title": found.title, "advice": found.advice}


def _links(url: str) -> list[Link]:
    return [
        Link(href=f"{url}/", rel="self", title="This document"),
        Link(href=f"{url}/", rel="alternate", type="text/html", title="This document as a page"),
        Link(
            href=f"{url}/openapi.json",
            rel="service-desc",
            type="application/vnd.oai.openapi+json;version=3.1",
            title="The contract: OpenAPI 3.1",
        ),
        Link(
            href=f"{url}/docs", rel="service-doc", type="text/html", title="The contract as a page, to read and to try"
        ),
        Link(href=f"{url}/conformance", rel=f"{_REL}/conformance", title="Conformance classes"),
        Link(href=f"{url}/processes", rel=f"{_REL}/processes", title="Processes: what can be mapped"),
        Link(href=f"{url}/jobs", rel=f"{_REL}/job-list", title="Jobs"),
        Link(href=f"{url}/problems", rel="describedby", title="Errors and what to do about them"),
        Link(href=f"{url}/readyz", rel="status", title="Whether every part of the service answers"),
    ]
