"""The interface in a real browser: its documentation without a network, and pages from elsewhere that call it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from jobs.area import Grid
from service.stack.files import FileServer
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import EXECUTE, LCZ, Served, finish, new_job, store_of
from tests.unit.test_tiles_drawing import write_map

Follow = Callable[[str], tuple[str, list[str]]]

PAGE = """<!doctype html><body><pre id="told">waiting</pre><script>
const url = new URLSearchParams(location.search).get("url");
const told = {};
const ask = async (name, path, how) => {
  try {
    const answer = await fetch(url + path, how);
    told[name] = {status: answer.status, location: answer.headers.get("Location"),
                  retry: answer.headers.get("Retry-After"), body: (await answer.text()).slice(0, 300)};
  } catch (error) { told[name] = {failed: String(error)}; }
};
(async () => {
  const body = JSON.stringify(EXECUTE);
  const headers = {"Content-Type": "application/json", "Idempotency-Key": "a1b2c3d4", "Prefer": "respond-async"};
  await ask("job", "/processes/LCZ/execution", {method: "POST", headers, body});
  await ask("missing", "/jobs/none");
  await ask("classify", "/classify", {method: "POST", body: new FormData(), headers: {"X-API-Key": "x"}});
  document.getElementById("told").textContent = JSON.stringify(told);
})();
</script></body>"""

IMAGES = """<!doctype html><body><pre id="told">waiting</pre><script>
const told = {};
const asked = [...new URLSearchParams(location.search)].map(([name, url]) => new Promise((done) => {
  const image = new Image();
  image.onload = image.onerror = () => { told[name] = image.naturalWidth; done(); };
  image.src = url;
}));
Promise.all(asked).then(() => { document.getElementById("told").textContent = JSON.stringify(told); });
</script></body>"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two other origins with the same pages."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.html").write_text(PAGE.replace("EXECUTE", json.dumps(EXECUTE)).replace("LCZ", LCZ))
    (folder / "images.html").write_text(IMAGES)
    with FileServer(folder) as one, FileServer(folder) as other:
        yield [one.url, other.url]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, elsewhere: list[str]) -> Iterator[Served]:
    environment = {"CITYZONES_CORS_ORIGINS": json.dumps([elsewhere[0]])}
    with EmbeddedValkey() as valkey:
        environment |= {"CITYZONES_BROKER_URL": valkey.broker_url(0), "CITYZONES_LIVE_URL": valkey.url(1)}
        with Served(tmp_path_factory.mktemp("served"), environment) as served:
            yield served


def told(dom: str) -> dict[str, Any]:
    text = dom.split('<pre id="told">')[1].split("</pre>", maxsplit=1)[0]
    found: dict[str, Any] = json.loads(text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
    return found


def test_the_documentation_loads_whole_from_the_service(served: Served, follow: Follow) -> None:
    dom, console = follow(f"{served.url}/docs")
    assert "/processes/{process}/execution" in dom.replace("\u200b", "")
    assert "Authorize" in dom
    assert not console


def test_a_page_that_is_named_sends_jobs_and_reads_where_they_are(
    served: Served, elsewhere: list[str], follow: Follow
) -> None:
    dom, _ = follow(f"{elsewhere[0]}/page.html?url={served.url}")
    found = told(dom)
    assert found["job"]["status"] == 201, found
    assert str(found["job"]["location"]).startswith(f"{served.url}/jobs/job_")
    assert found["missing"]["status"] == 404
    assert "unknown-job" in str(found["missing"]["body"])
    assert found["classify"]["status"] == 400, found
    assert "problems" in str(found["classify"]["body"])


def test_another_page_can_do_nothing(served: Served, elsewhere: list[str], follow: Follow) -> None:
    before = len(httpx.get(f"{served.url}/jobs").json()["jobs"])
    dom, console = follow(f"{elsewhere[1]}/page.html?url={served.url}")
    assert {tuple(answer) for answer in told(dom).values()} == {("failed",)}
    assert any("CORS policy" in line for line in console)
    assert len(httpx.get(f"{served.url}/jobs").json()["jobs"]) == before


def test_an_image_on_any_page_shows_a_tile_by_its_signed_link(
    served: Served, elsewhere: list[str], follow: Follow, tmp_path: Path
) -> None:
    store = store_of(served.settings)
    job = new_job(store)
    cog = write_map(tmp_path / "map.tif", Grid("EPSG:32633", 390_000, 5_820_000, 10.0, 600, 500))
    finish(store, job, {"map": ("map.tif", "image/tiff", cog.read_bytes())})
    document = httpx.get(f"{served.url}/jobs/{job}/tiles").json()
    template = document["tiles"][0].replace("{z}", "0").replace("{x}", "0").replace("{y}", "0")
    query = urlencode({"good": template, "bad": template.replace("signature=", "signature=0")})
    dom, _ = follow(f"{elsewhere[1]}/images.html?{query}")
    assert told(dom) == {"good": 256, "bad": 0}


@pytest.mark.parametrize("path", ["/", "/nowhere", "/classify", "/schema.json", "/docs"])
def test_bentoml_adds_the_same_headers(served: Served, path: str) -> None:
    headers = httpx.get(f"{served.url}{path}").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers
