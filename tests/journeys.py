"""What users do, for every test that needs it: submit, follow to the end, fetch the outputs."""

import json
import time
from pathlib import Path

from service.client import Client

PROCESS = "local-climate-zones"
DATES = "2000-01-01/2100-01-01"


def stac_inputs(sample: Path) -> dict:
    return {
        "aoi": json.loads((sample / "aoi.geojson").read_text()),
        "imagery": {"stac": {"collection": "procedural-sentinel-2", "datetime": DATES}},
    }


def finish(client: Client, inputs: dict, *, process: str = PROCESS, **more) -> dict:
    """Submit and follow a job to its end, which comes within two minutes."""
    job = client.submit(process, {"inputs": inputs, **more})["jobID"]
    limit = time.monotonic() + 120
    for status in client.watch(job):
        assert time.monotonic() < limit, status
    return status


def fetch(client: Client, job: str, folder: Path) -> dict[str, Path]:
    links = client.results(job)
    return {name: client.download(link, folder / link["filename"]) for name, link in links.items()}


def everything(client: Client, sample: Path) -> dict:
    """The inputs of a job with all there is: STAC imagery, parcels and buildings."""
    return stac_inputs(sample) | {
        "parcels": {"upload": client.upload(sample / "parcels.gpkg")["upload"], "id_field": "parcel_id"},
        "buildings": {"upload": client.upload(sample / "buildings.gpkg")["upload"]},
    }
