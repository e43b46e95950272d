"""The interface in a real browser: its documentation without a network, and pages from elsewhere that call it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from service.stack.files import FileServer
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import EXECUTE, LCZ, Served

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


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two other origins with the same page."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.html").write_text(PAGE.replace("EXECUTE", json.dumps(EXECUTE)).replace("LCZ", LCZ))
    with FileServer(folder) as one, FileServer(folder) as other:
        yield [one.url, other.url]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, elsewhere: list[str]) -> Iterator[Served]:
    environment = {"CITYZONES_CORS_ORIGINS": json.dumps([elsewhere[0]])}
    with EmbeddedValkey() as valkey:
        environment |= {"CITYZONES_BROKER_URL": valkey.broker_url(0), "CITYZONES_LIVE_URL": valkey.url(1)}
        with Served(tmp_path_factory.mktemp("served"), environment) as served:
            yield served


def told(dom: str) -> dict[str, dict[str, object]]:
    text = dom.split('<pre id="told">')[1].split("</pre>", maxsplit=1)[0]
    found: dict[str, dict[str, object]] = json.loads(
        text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    )
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


@pytest.mark.parametrize("path", ["/", "/nowhere", "/classify", "/schema.json", "/docs"])
def test_bentoml_adds_the_same_headers(served: Served, path: str) -> None:
    headers = httpx.get(f"{served.url}{path}").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers
