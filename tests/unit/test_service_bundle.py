"""The built web page is served in its smallest form, under its policy, and where there is none JSON is."""

import gzip
from pathlib import Path

import httpx
import pytest

from service import bundle
from tests.servers.api import Api, problem, settings_in

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGE = b"<!doctype html><title>a page</title>"
SCRIPT = b"export const answer = 42;" * 20
NAME = "index-abc123.js"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "web"
    (folder / "assets").mkdir(parents=True)
    for path, text in ((folder / "index.html", PAGE), (folder / "assets" / NAME, SCRIPT)):
        path.write_bytes(text)
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(text))
        path.with_name(path.name + ".br").write_bytes(b"smaller still")
    monkeypatch.setattr(bundle, "FOLDER", folder)
    return folder


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(settings_in(tmp_path))


def encoding(answer: httpx.Response) -> str | None:
    return answer.headers.get("content-encoding")


def test_people_get_the_page_and_programs_the_links(api: Api, built: Path) -> None:
    page = api.get("/", headers=HTML | {"accept-encoding": "identity"})
    assert page.content == PAGE
    assert page.headers["vary"] == "Accept, Accept-Encoding"
    assert page.headers["cache-control"] == "no-cache"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for accept in ("*/*", "application/json", "text/html;q=0.5, application/json"):
        assert "links" in api.get("/", headers={"accept": accept}).json()


def test_without_a_built_page_everybody_gets_the_links(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "FOLDER", tmp_path / "nothing")
    assert "links" in api.get("/", headers=HTML).json()
    problem(api.get(f"/assets/{NAME}"), 404, "not-found")


@pytest.mark.parametrize(
    ("accepted", "sent"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0.0, identity", None),
        ("br;q=0, gzip;q=0.5", "gzip"),
    ],
)
def test_files_come_as_small_as_a_client_takes_them(api: Api, built: Path, accepted: str, sent: str | None) -> None:
    answer = api.get(f"/assets/{NAME}", headers={"accept-encoding": accepted})
    assert answer.content == SCRIPT
    assert encoding(answer) == sent
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"].endswith("immutable")
    assert answer.headers["vary"] == "Accept-Encoding"


def test_brotli_is_taken_where_a_client_knows_it(api: Api, built: Path) -> None:
    answer = api.ask("HEAD", f"/assets/{NAME}", headers={"accept-encoding": "gzip, deflate, br"})
    assert encoding(answer) == "br"


@pytest.mark.parametrize(
    "name", ["..%2findex.html", "%2e%2e%2findex.html", "nothing.js", "index-abc123.js%00", "%2fetc%2fpasswd"]
)
def test_other_files_are_not_there(api: Api, built: Path, name: str) -> None:
    assert api.get(f"/assets/{name}").status_code in {400, 404}
