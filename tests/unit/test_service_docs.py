"""The documentation page and its files: complete, from the service alone, also behind a prefix."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from tests.servers.api import Api, problem, settings_in


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(settings_in(tmp_path))


def test_everything_the_page_names_is_served_wherever_it_lies(api: Api) -> None:
    page = api.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(named) == 5
    for address in named:
        seen = urlsplit(urljoin("https://maps.example.org/maps/docs", address))
        assert (seen.netloc, seen.path[:6]) == ("maps.example.org", "/maps/")
        assert api.get(seen.path.removeprefix("/maps")).status_code == 200


def test_no_script_but_our_files_may_run(api: Api) -> None:
    page = api.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "connect-src 'self'" in policy
    assert not re.findall(r"<script(?![^>]*src=)", page.text)
    script = api.get("/docs/start.js")
    assert "persistAuthorization: false" in script.text
    assert script.headers["content-type"].startswith("text/javascript")
    assert "max-age" in script.headers["cache-control"]


def test_a_slash_too_many_leads_back_and_other_files_are_not_there(api: Api) -> None:
    assert api.get("/docs/").headers["location"] == "../docs"
    for name in ("redoc.standalone.js", "..%2f..%2fapp.py", "%2e%2e"):
        problem(api.get(f"/docs/{name}"), 404, "not-found")


def test_the_landing_page_leads_there(api: Api) -> None:
    links = {link["rel"]: link for link in api.get("/").json()["links"]}
    assert links["service-doc"]["type"] == "text/html"
    assert urlsplit(links["service-doc"]["href"]).path == "/docs"
