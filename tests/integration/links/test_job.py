"""The main job with a real S3 server as storage: the same outputs, through links the server itself checks."""

import httpx
import pytest

from service.client import Client
from service.stack.embedded import EmbeddedStack
from service.stack.sample import unusable
from tests.integration.links.conftest import BUCKET
from tests.journeys import PROCESS, everything, fetch, finish, stac_inputs


@pytest.fixture(
    scope="module",
    params=[pytest.param("swift", marks=pytest.mark.scale), pytest.param("ceph", marks=pytest.mark.ceph)],
)
def s3(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def client(s3, catalogue, tmp_path_factory):
    overrides = s3.settings | {
        "CITYZONES_STORAGE_URL": f"s3://{BUCKET}/production",
        "CITYZONES_STAC_URL": catalogue,
        "CITYZONES_BLOCK_PIXELS": "240",
        "CITYZONES_LINK_SECONDS": "60",
        "CITYZONES_WEIGHTS_CACHE": str(tmp_path_factory.mktemp("no-weights")),
    }
    with EmbeddedStack(tmp_path_factory.mktemp("stack"), overrides=overrides) as stack, Client(stack.url) as client:
        yield client


@pytest.fixture(scope="module")
def job(client, sample):
    status = finish(client, everything(client, sample))
    assert status["status"] == "successful", status
    return status["jobID"]


def test_outputs_come_through_presigned_links_and_open(client, job, s3, tmp_path):
    links = client.results(job)
    assert all(link["href"].startswith(s3.endpoint) for link in links.values())
    assert unusable(fetch(client, job, tmp_path)) == []


def test_presigned_link_is_checked_by_the_server(client, job):
    link = client.results(job)["map"]["href"]
    assert httpx.get(link).headers["content-disposition"] == 'attachment; filename="map.tif"'
    assert httpx.get(link, headers={"Range": "bytes=0-3"}).status_code == 206
    assert httpx.get(link.replace("map.tif", "units.tif")).status_code == 403
    assert httpx.get(link.replace("X-Amz-Signature=", "X-Amz-Signature=0")).status_code == 403


def test_dismissing_a_finished_job_deletes_its_outputs(client, job, sample):
    other = finish(client, stac_inputs(sample) | {"outputs": ["map"]})["jobID"]
    link = client.results(other)["map"]["href"]
    assert client.dismiss(other)["status"] == "dismissed"
    assert httpx.get(link).status_code == 404


def test_model_whose_weights_are_not_here_is_told_at_once(client, sample):
    body = {"inputs": stac_inputs(sample) | {"model": "so2sat-resnet20"}}
    answer = httpx.post(f"{client.url}/processes/{PROCESS}/execution", json=body, timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (503, "weights-unavailable")
    assert "cityzones models fetch" in answer.json()["advice"]
