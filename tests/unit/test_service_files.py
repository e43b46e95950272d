from __future__ import annotations

import asyncio
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from jobs.settings import Settings
from jobs.store import JobStore
from service.app import create_app
from tests.servers.api import finish, new_job, settings_in, store_of

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
DATA = bytes(range(256)) * 40
SHORT = 4  # seconds, of which the first second may be over at once, and building an application takes one


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_in(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def store(settings: Settings) -> JobStore:
    return store_of(settings)


@pytest.fixture(scope="module")
def job(store: JobStore) -> str:
    """A finished job, made once: without Redis its end takes seconds."""
    job = new_job(store)
    page = b"<script>alert(1)</script>"
    files = {"map": ("map é.tif", COG, DATA), "factsheet": ("factsheet.html", "text/html", page)}
    finish(store, job, files)
    return job


def _ask(settings: Settings, href: str, *, method: str = "GET", **headers: str) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(settings), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, href, headers=headers)

    return asyncio.run(run())


def _link(store: JobStore, job: str, name: str = "map é.tif") -> str:
    return store.storage.link(f"jobs/{job}/outputs/{name}", filename=name).href


def test_a_signed_link_gives_the_file_under_its_name_and_type(settings: Settings, store: JobStore, job: str) -> None:
    answer = _ask(settings, _link(store, job))
    assert answer.status_code == 200
    assert answer.content == DATA
    assert answer.headers["content-type"] == COG
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''map%20%C3%A9.tif"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_ranges_and_tags_work_as_cloud_readers_use_them(settings: Settings, store: JobStore, job: str) -> None:
    href = _link(store, job)
    part = _ask(settings, href, Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, DATA[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(DATA)}"
    assert _ask(settings, href, Range="bytes=-5").content == DATA[-5:]
    head = _ask(settings, href, method="HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(DATA)))
    kept = _ask(settings, href, **{"If-None-Match": head.headers["etag"]})
    assert (kept.status_code, kept.content) == (304, b"")


def test_a_range_outside_the_file_is_a_problem(settings: Settings, store: JobStore, job: str) -> None:
    answer = _ask(settings, _link(store, job), Range="bytes=999999-")
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"
    assert answer.json()["code"] == "range-not-satisfiable"


def test_html_cannot_act_on_the_services_origin(settings: Settings, store: JobStore, job: str) -> None:
    answer = _ask(settings, _link(store, job, "factsheet.html"))
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "99999999999"},
        {"signature": "0" * 64},
        {"name": "other.exe"},
        {"key": "00000000"},
        {"expires": "soon"},
        {"expires": "-1"},
        {"expires": "²"},
        {"signature": ""},
    ],
)
def test_a_tampered_link_is_refused(settings: Settings, store: JobStore, job: str, change: dict[str, str]) -> None:
    parts = urlsplit(_link(store, job))
    query = urlencode(dict(parse_qsl(parts.query)) | change)
    answer = _ask(settings, f"{parts.path}?{query}")
    assert answer.status_code == 403
    assert answer.json()["code"] == "link-refused"


def test_a_link_is_good_for_its_own_file_only(settings: Settings, store: JobStore, job: str) -> None:
    query = urlsplit(_link(store, job)).query
    assert _ask(settings, f"/files/jobs/{job}/outputs/factsheet.html?{query}").status_code == 403


def test_a_link_outlives_the_rotation_of_its_secret_and_not_its_removal(
    settings: Settings, store: JobStore, job: str
) -> None:
    folder, href = Path(settings.storage_url.removeprefix("file://")).parent, _link(store, job)
    assert _ask(settings, href).status_code == 200
    during = settings_in(folder, link_secret="the next", link_secret_previous="a secret of the tests")
    assert _ask(during, href).status_code == 200
    fresh = _link(store_of(during), job)
    assert _ask(settings, fresh).status_code == 403
    after = settings_in(folder, link_secret="the next")
    assert [_ask(after, each).status_code for each in (fresh, href)] == [200, 403]


def test_an_expired_link_is_refused(settings: Settings, job: str) -> None:
    parts = settings_in(Path(settings.storage_url.removeprefix("file://")).parent, link_seconds=SHORT)
    href = _link(store_of(parts), job)
    ends = time.monotonic() + SHORT + 1.1  # dates of links are whole seconds
    assert _ask(settings, href).status_code == 200
    time.sleep(ends - time.monotonic())
    answer = _ask(settings, href)
    assert answer.status_code == 403
    assert "expired" in answer.json()["detail"]


@pytest.mark.parametrize(
    "key",
    [
        "jobs/{job}/request.json",
        "jobs/{job}/outputs/../request.json",
        "jobs/{job}/outputs/%2e%2e/request.json",
        "jobs/{job}/outputs/..%2f..%2frequest.json",
        "jobs/{job}/outputs//etc/passwd",
        "jobs/{job}/outputs/%00",
        "..%2f..%2fetc%2fpasswd",
        "uploads/upl_x/original.tif",
        "/etc/passwd",
    ],
)
def test_keys_that_are_no_output_are_not_found_even_when_signed(
    settings: Settings, store: JobStore, job: str, key: str
) -> None:
    plain = key.format(job=job)
    query = urlsplit(store.storage.link(plain, filename="x").href).query
    assert _ask(settings, f"/files/{plain}?{query}").status_code == 404


def test_a_symbolic_link_does_not_lead_out(settings: Settings, store: JobStore, job: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    folder = store.storage.folder
    assert folder
    (folder / "jobs" / job / "outputs" / "out.txt").symlink_to(tmp_path / "secret")
    assert _ask(settings, _link(store, job, "out.txt")).status_code == 404


def test_a_file_that_is_gone_is_not_found(settings: Settings, store: JobStore, job: str) -> None:
    store.storage.put(f"jobs/{job}/outputs/gone.tif", DATA)
    href = _link(store, job, "gone.tif")
    assert _ask(settings, href).status_code == 200
    store.storage.delete([f"jobs/{job}/outputs/gone.tif"])
    assert _ask(settings, href).status_code == 404
