"""What users do, for every test that needs it: submit, follow to the end, fetch the outputs."""

import io
import json
import time
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from service.client import Client

PROCESS = "local-climate-zones"
TITLE = "Größenwahn & Söhne"
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


def drafts(client: Client, job: str) -> np.ndarray:
    """Put the draft pictures of a job's blocks together: colours (y, x, RGBA) over its grid, 0 where there are none."""
    told = httpx.get(f"{client.url}/jobs/{job}/blocks").raise_for_status().json()
    drawn = np.zeros((told["grid"]["height"], told["grid"]["width"], 4), np.uint8)
    for block in (block for block in told["blocks"] if "href" in block):
        with Image.open(io.BytesIO(httpx.get(block["href"]).raise_for_status().content)) as image:
            colours = np.asarray(image.convert("RGBA"))
        top, left = block["row"], block["column"]
        place = np.s_[top : top + block["height"], left : left + block["width"]]
        assert not drawn[place].any(), "blocks lie side by side"
        drawn[place] = colours
    return drawn


def everything(client: Client, sample: Path) -> dict:
    """The inputs of a job with all there is: a title, STAC imagery, parcels and buildings."""
    return stac_inputs(sample) | {
        "title": TITLE,
        "parcels": {"upload": client.upload(sample / "parcels.gpkg")["upload"], "id_field": "parcel_id"},
        "buildings": {"upload": client.upload(sample / "buildings.gpkg")["upload"]},
    }
