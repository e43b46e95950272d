"""Two tenants ask for each other's things over every route there is: nothing leaks, nothing changes."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from pydantic import SecretStr

from jobs.annotation.request import PROCESSES, PROJECT
from jobs.ids import new_id
from jobs.request import parse_execute
from jobs.settings import Settings
from models.errors import CityzonesError
from service.state import State
from tests.servers.api import EXECUTE, HERE, LCZ, Api, finish, write_image
from tests.servers.projects import squares_project
from tests.servers.routes import everything, filled

# What a path parameter names: things that belong to a tenant, and words that belong to everybody.
_OWNED: Final = {"job", "upload", "key"}
_COMMON: Final = {"process", "code", "name", "z", "x", "y", "number", "node", "tile", "block"}
_SIGNED: Final = "/files/{key:path}"  # opened by its signature, whoever sends it
_TUS: Final = {"Tus-Resumable": "1.0.0"}
_PIECE: Final = _TUS | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
_POINTS: Final = (
    b'{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"class": 1, "height": 3}, '
    b'"geometry": {"type": "Polygon", "coordinates": [[[13.3,52.5],[13.4,52.5],[13.4,52.6],[13.3,52.5]]]}}]}'
)


@dataclass
class Tenant:
    """A tenant with one of everything."""

    api: Api
    name: str
    headers: dict[str, str] = field(default_factory=dict)
    ids: dict[str, list[str]] = field(default_factory=dict)

    def ask(self, method: str, path: str, **told: Any) -> httpx.Response:
        headers = {"X-Request-ID": "the-same"} | told.pop("headers", {})
        return self.api.ask(method, path, headers=self.headers | headers, **told)

    @property
    def marks(self) -> list[str]:
        """What no other tenant may read."""
        return [self.name, *itertools.chain.from_iterable(self.ids.values())]


def settle(api: Api, name: str, folder: Path) -> Tenant:
    """Give a tenant a key, jobs in every state, one with an annotation project, and uploads of every kind."""
    parts: State = api.app.state.open()
    made = parts.keys.create(name, ["admin"], name=f"key of {name}")
    tenant = Tenant(api, name, {"Authorization": f"Bearer {made.text}"})
    jobs = [api.store.create(LCZ, parse_execute(EXECUTE), tenant=name).job for _ in range(4)]
    api.store.fail(jobs[1], CityzonesError(f"{name} failed"))
    api.store.dismiss(jobs[2])
    finish(api.store, jobs[0], {"map": (f"{name}.tif", "image/tiff", name.encode())})
    squares_project(api.store, jobs[0])
    image = write_image(folder / f"{name}.tif").read_bytes()
    uploads = [
        tenant.ask("POST", "/uploads", files={"file": (f"{name}{suffix}", data)}).json()["upload"]
        for suffix, data in ((".tif", image), (".geojson", _POINTS))
    ]
    announced = tenant.ask("POST", "/uploads/resumable", headers=_TUS | {"Upload-Length": "9"})
    uploads.append(announced.headers["location"].rpartition("/")[2])
    tenant.ids = {"job": jobs, "upload": uploads, "key": [made.record.id]}
    return tenant


@pytest.fixture
def api(settings: Settings) -> Api:
    return Api(settings.model_copy(update={"auth": "keys", "callback_secret": SecretStr("a secret of the tests" * 2)}))


@pytest.fixture
def tenants(api: Api, tmp_path: Path) -> tuple[Tenant, Tenant]:
    return settle(api, "northern-city", tmp_path), settle(api, "southern-city", tmp_path)


def unknown(kind: str) -> str:
    return new_id({"job": "job", "upload": "upl", "key": "cz"}[kind]).removeprefix("cz_")


def comparable(answer: httpx.Response, identifier: str) -> tuple[int, str, list[tuple[str, str]]]:
    """Return status, text and headers of an answer with the id taken out."""
    headers = [(k, v) for k, v in answer.headers.items() if k not in {"ratelimit", "content-length"}]
    return (
        answer.status_code,
        answer.text.replace(identifier, "ID"),
        [(k, v.replace(identifier, "ID")) for k, v in headers],
    )


def owned_routes(api: Api) -> Iterator[tuple[str, str, str]]:
    """Yield method, template and kind of every route that names a tenant's thing; a new kind must be told here."""
    for method, path in everything(api.app):
        names = {name.removesuffix("_id") for name in re.findall(r"\{(\w+)", path)} if path != _SIGNED else set()
        assert names <= _OWNED | _COMMON, f"{path}: whose is {names - _OWNED - _COMMON}?"
        owned = names & _OWNED
        assert len(owned) <= 1, path
        if owned:
            yield method, path, owned.pop()


def bodies(kind: str, identifier: str) -> Iterator[dict[str, Any]]:
    """Yield execute requests that name a job or an upload wherever one can be named."""
    with_aoi: dict[str, Any] = copy.deepcopy(EXECUTE["inputs"])
    if kind == "job":
        yield {"imagery": {"job": identifier}}
        return
    yield {"imagery": {"uploads": [identifier]}}
    upload = {"upload": identifier}
    for name, value in (
        ("buildings", upload), ("parcels", upload), ("parcels", {"derive": "streets", "streets": upload}),
        ("reference", upload | {"class_field": "class"}),
    ):  # fmt: skip
        yield {key: value_ for key, value_ in with_aoi.items() if key not in {"buildings", "parcels"}} | {name: value}


def refused(asking: Tenant, method: str, path: str, identifier: str, **told: Any) -> tuple[Any, ...]:
    answer = asking.ask(method, path, **told)
    assert answer.status_code in {404, 422}, (method, path, told, answer.text)
    return comparable(answer, identifier)


def test_two_tenants_cross_requests_over_every_route(api: Api, tenants: tuple[Tenant, Tenant]) -> None:
    asked = 0
    before = stored(api)
    for asking, owner in (tenants, tenants[::-1]):
        for method, path, kind in owned_routes(api):
            told: dict[str, Any] = {"headers": _PIECE, "content": b"x"} if method == "PATCH" else {"headers": _TUS}
            nobodys = unknown(kind)
            expected = refused(asking, method, filled(path, **{kind: nobodys}), nobodys, **told)
            assert expected[0] == 404, (method, path)
            for theirs in owner.ids[kind]:
                found = refused(asking, method, filled(path, **{kind: theirs}), theirs, **told)
                assert found == expected, (method, path, kind)
                asked += 1
        for path, kind in itertools.product(executions(api), ("job", "upload")):
            for theirs in owner.ids[kind]:
                nobodys = unknown(kind)
                for mine, other in zip(bodies(kind, theirs), bodies(kind, nobodys), strict=True):
                    found = refused(asking, "POST", path, theirs, json={"inputs": mine})
                    assert found == refused(asking, "POST", path, nobodys, json={"inputs": other}), mine
                    assert found[0] == 422
                    assert "no upload" in found[1] or "no job" in found[1], found
                    asked += 1
    assert asked >= 200, asked
    assert stored(api) == before


def test_projects_and_tiles_of_others_are_nobodys(api: Api, tenants: tuple[Tenant, Tenant]) -> None:
    before = stored(api)
    for asking, owner in (tenants, tenants[::-1]):
        for process in PROCESSES:
            kind, name = ("upload", "tiles") if process == PROJECT else ("job", "project")
            for theirs in owner.ids[kind]:
                found = []
                for identifier in (theirs, unknown(kind)):
                    inputs = {name: [identifier] if kind == "upload" else identifier}
                    told = {"json": {"inputs": inputs}}
                    found.append(refused(asking, "POST", f"/processes/{process}/execution", identifier, **told))
                assert found[0] == found[1], (process, kind)
                assert f"no {kind}" in found[0][1]
    assert stored(api) == before


def executions(api: Api) -> list[str]:
    """Return the resources that take an execute request."""
    found = [filled(path) for method, path in everything(api.app) if method == "POST" and "{process}" in path]
    assert found
    return found


def stored(api: Api) -> set[str]:
    """Return what storage holds."""
    folder = api.store.storage.folder
    assert folder
    return {str(path) for path in folder.rglob("*") if path.is_file() and "idempotency" not in path.parts}


def test_what_names_nothing_shows_the_callers_own_alone(api: Api, tenants: tuple[Tenant, Tenant]) -> None:
    asked = [path for method, path in everything(api.app) if method == "GET" and not set(path) & {"{"}]
    assert {"/jobs", "/uploads", "/keys", "/usage"} <= set(asked)
    for asking, other in (tenants, tenants[::-1]):
        for path in asked:
            text = asking.ask("GET", path).text
            assert not [mark for mark in other.marks if mark in text], path
        for name, kind in (("jobs", "job"), ("uploads", "upload")):
            for query in ({}, {"limit": 1}, *({"before": identifier} for identifier in other.ids[kind])):
                assert not [mark for mark in other.marks if mark in listed(asking, name, query)], query
        assert asking.ids["job"][0] in asking.ask("GET", "/jobs").text
        assert asking.ids["key"][0] in asking.ask("GET", "/keys").text


def listed(asking: Tenant, name: str, query: dict[str, Any]) -> str:
    """Return every page of a list, without what the query itself says."""
    text, path, params = "", f"/{name}", query
    for _ in range(9):
        answer = asking.ask("GET", path, params=params).json()
        text += str(answer[name])
        further = [link["href"] for link in answer["links"] if link["rel"] == "next"]
        if not further:
            return text
        path, params = further[0].removeprefix(HERE), {}
    raise AssertionError(name)


def test_secrets_of_tenants_differ(tenants: tuple[Tenant, Tenant]) -> None:
    told = [tenant.ask("GET", "/callbacks/secret") for tenant in tenants]
    assert [answer.status_code for answer in told] == [200, 200]
    assert told[0].json() != told[1].json()


def test_an_idempotency_key_is_its_tenants(tenants: tuple[Tenant, Tenant]) -> None:
    key = {"Idempotency-Key": "the-same"}
    answers = [tenant.ask("POST", f"/processes/{LCZ}/execution", json=EXECUTE, headers=key) for tenant in tenants]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["jobID"] != answers[1].json()["jobID"]


def test_limits_of_one_tenant_are_not_anothers(api: Api, tenants: tuple[Tenant, Tenant]) -> None:
    api.app.state.open().tenants.change(tenants[0].name, {"requests_per_minute": 1})
    told = [tenant.ask("GET", "/jobs").status_code for tenant in tenants for _ in range(3)]
    assert told == [200, 429, 429, 200, 200, 200]
