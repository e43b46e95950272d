"""One job on one host and on three, which share only queue, object storage and model server: the same bytes."""

import json

import pytest

from jobs.inspection import inspect_file
from service.stack.valkey import EmbeddedValkey
from tests.servers.hosts import Installation
from tests.servers.swift import SwiftServer

pytestmark = pytest.mark.scale

BUCKET = "shared"


@pytest.fixture(scope="module")
def installation(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    with SwiftServer(folder / "s3") as s3, EmbeddedValkey() as valkey:
        s3.create_bucket(BUCKET)
        shared = s3.settings | {
            "CITYZONES_STORAGE_URL": f"s3://{BUCKET}/maps",
            "CITYZONES_BROKER_URL": valkey.broker_url(0),
            "CITYZONES_LIVE_URL": valkey.url(1),
            "CITYZONES_TRITON_URL": stack.triton.grpc_url,
            "CITYZONES_BLOCK_PIXELS": "240",
            "CITYZONES_LINK_SECRET": "a secret of the tests",
        }
        yield Installation(folder, shared)


def upload(installation, path) -> str:
    inspected = inspect_file(path, path.name, installation.settings)
    told = {"filename": path.name, "kind": inspected.kind, "suffix": inspected.suffix, "facts": inspected.facts}
    return installation.uploads.add(path, **told).upload


def test_three_hosts_give_the_bytes_of_one(installation, sample):
    inputs = {
        "aoi": json.loads((sample / "aoi.geojson").read_text()),
        "imagery": {"uploads": [upload(installation, sample / "imagery.tif")]},
        "buildings": {"upload": upload(installation, sample / "buildings.gpkg")},
        "parcels": {"upload": upload(installation, sample / "parcels.gpkg"), "id_field": "parcel_id"},
        "outputs": ["map", "confidence", "units", "parcels", "parcels-gpkg", "preview", "factsheet", "style",
                    "uncertainty", "probabilities"],
    }  # fmt: skip
    with installation.hosts(1) as (alone,):
        job = installation.submit(inputs)
        first = installation.wait(job, 120)
        assert len(alone.blocks) == 4
    installation.again(job)
    with installation.hosts(3) as hosts:
        second = installation.wait(job, 120)
        mapped = [host.blocks for host in hosts]
    assert first == second
    assert len(first) == 10
    assert sum(len(blocks) > 0 for blocks in mapped) >= 2
    assert len(set.union(*mapped)) == 4
