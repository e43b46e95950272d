"""Object storage in three makes: a folder behind the service, OpenStack Swift, and Ceph's gateway (marked ceph)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import httpx
import pytest

from jobs.ids import new_id
from jobs.settings import Settings
from jobs.storage import Storage
from service.app import create_app
from tests.missing import without
from tests.servers.api import settings_in
from tests.servers.ceph import PACKAGES, CephServer, missing_programs
from tests.servers.s3 import S3Server
from tests.servers.swift import SwiftServer
from tests.servers.threaded import Threaded

BUCKET = "maps"
DATA = bytes(range(256)) * 40
SHORT = 4


class Place:
    """A storage, reached as clients reach it; it holds one job with two outputs, and another job's output."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.storage = Storage(settings)
        self.job, other = new_id("job"), new_id("job")
        self.key = f"jobs/{self.job}/outputs/map.tif"
        self.foreign = f"jobs/{other}/outputs/map.tif"
        for key in (self.key, self.key.replace("map", "units"), self.foreign):
            self.storage.put(key, DATA, content_type="image/tiff")
        self.short = self._short()
        self.short_ends = time.monotonic() + SHORT + 1.1  # dates of links are whole seconds

    @property
    def link(self) -> str:
        """A fresh link to the output."""
        return self.storage.link(self.key, filename="map.tif").href

    def _short(self) -> str:
        assert ask(self.link).content == DATA  # a server's first answer may take longer than the short link lasts
        brief = Storage(self.settings.model_copy(update={"link_seconds": SHORT}))
        link = brief.link(self.key, filename="map.tif").href
        assert ask(link).content == DATA
        return link


def ask(href: str, method: str = "GET", content: bytes | None = None, **headers: str) -> httpx.Response:
    """Send one request, with nothing but what is told."""
    return httpx.request(method, href, content=content, headers=headers, trust_env=False, timeout=20.0)


def settings_of(environment: Mapping[str, str]) -> Settings:
    """Return the settings that an environment stands for."""
    return Settings.model_validate({k.removeprefix("CITYZONES_").lower(): v for k, v in environment.items()})


@pytest.fixture(scope="package")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with SwiftServer(tmp_path_factory.mktemp("swift")) as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="package")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    if missing := missing_programs():
        without(f"{', '.join(missing)} not installed; they are in the packages {', '.join(PACKAGES)}")
    with CephServer(tmp_path_factory.mktemp("ceph") / "cluster") as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="package", params=["swift", pytest.param("ceph", marks=pytest.mark.ceph)])
def s3(request: pytest.FixtureRequest) -> S3Server:
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="package")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with Threaded() as server:
        settings = settings_in(tmp_path_factory.mktemp("local"), public_url=server.url)
        server.serve(create_app(settings))
        yield settings


@pytest.fixture(scope="package", params=["local", "swift", pytest.param("ceph", marks=pytest.mark.ceph)])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "local":
        return Place("local", request.getfixturevalue("local"))
    server: S3Server = request.getfixturevalue(request.param)
    return Place(request.param, settings_of(server.settings | {"CITYZONES_STORAGE_URL": f"s3://{BUCKET}/links"}))
