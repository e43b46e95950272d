"""The way in: landing page, conformance, and the meaning of every problem."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from jobs.public import problems
from jobs.public.bodies import JSON, Conformance, Landing, Link
from models.classes import CLASSES
from service.headers import PAGE
from service.processes import TITLES, offered, software_version
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
def landing(parts: Parts, response: Response, accept: Annotated[str, Header()] = JSON) -> Landing | Response:
    """Return typed links to everything, as JSON, or as a page where the client prefers HTML."""
    url = parts.settings.public_url
    body = Landing(title="Cityzones", description=_DESCRIPTION, links=_links(url))
    response.headers["Vary"] = "Accept"
    return HTMLResponse(page(body), headers={"Vary": "Accept"} | PAGE) if prefers_html(accept) else body


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
    return _quality(accept, "text/html") > max(_quality(accept, JSON), _quality(accept, "*/*"))


def page(body: Landing) -> str:
    """Return the landing page as HTML, complete in itself: it loads nothing from elsewhere."""
    names = offered() or dict.fromkeys(["local-climate-zones"])
    legends = "".join(
        f"<h2>{escape(TITLES[process])}</h2><ul class='classes'>"
        + "".join(f"<li><i style='background:{c.colour}'></i>{escape(c.label)} {escape(c.name)}</li>" for c in classes)
        + "</ul>"
        for process, classes in CLASSES.items()
        if process in names
    )
    links = "".join(f"<li><a href='{escape(link.href)}'>{escape(link.title)}</a></li>" for link in body.links)
    return _template().substitute(
        title=escape(body.title),
        description=escape(body.description),
        links=links,
        legends=legends,
        version=escape(software_version()),
    )


def _quality(accept: str, kind: str) -> float:
    for part in accept.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name.lower() == kind:
            weights = [p[2:] for p in parameters if p.startswith("q=")]
            return _number(weights[0]) if weights else 1.0
    return 0.0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


@cache
def _template() -> Template:
    return Template((Path(__file__).parent.parent / "templates" / "landing.html").read_text(encoding="utf-8"))


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
