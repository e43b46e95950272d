"""The demo: a procedural city goes in as a STAC catalogue and two vector files, a checked map comes out as links."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from service.cli_map import PROCESS, follow
from service.client import Client
from service.stack.embedded import EmbeddedStack, told
from service.stack.files import FileServer
from service.stack.sample import make_sample, overall_accuracy, unusable

LEAST_ACCURACY: Final = 0.80
COLLECTION: Final = "procedural-sentinel-2"


@dataclass
class Report:
    """What the demo's last line says. `faults` is empty where all is well."""

    job: str = ""
    status: str = "not submitted"
    seconds: float = 0.0
    submit_to_finish_seconds: float = 0.0
    overall_accuracy: float = 0.0
    outputs: dict[str, Path] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def json(self) -> str:
        """Return the report as one line of JSON."""
        told = {name: value for name, value in vars(self).items() if name not in {"outputs", "faults"}}
        outputs = {name: str(path) for name, path in self.outputs.items()}
        return json.dumps(told | {"outputs": outputs} | ({"faults": self.faults} if self.faults else {}))


def run_demo(folder: Path, out: Path, console: Console) -> Report:
    """Start the stack in `folder`, map the sample over HTTP, download the outputs into `out` and check them."""
    with console.status("making the procedural sample city (no real place) …"):
        sample = make_sample(folder)
    with FileServer(sample) as files:
        # Small blocks show the fan-out: this city would fit into two.
        overrides = {
            "CITYZONES_STAC_URL": f"{files.url}/catalog.json",
            "CITYZONES_BLOCK_PIXELS": "240",
            "CITYZONES_AUTH": "open",  # there is nobody to give a key to
        }
        with told(EmbeddedStack(folder, overrides=overrides), console) as stack, Client(stack.url) as client:
            console.print(f"the service answers at {stack.url}")
            report = _map(client, sample, out)
    if report.status == "successful":
        report.faults += unusable(report.outputs)
        report.overall_accuracy = round(overall_accuracy(report.outputs["map"], sample / "truth.tif"), 4)
        if report.overall_accuracy < LEAST_ACCURACY:
            report.faults.append(f"overall accuracy {report.overall_accuracy:.3f} is under {LEAST_ACCURACY}")
    console.print(_table(report))
    return report


def _map(client: Client, sample: Path, out: Path) -> Report:
    inputs: dict[str, Any] = {
        "aoi": json.loads((sample / "aoi.geojson").read_text(encoding="utf-8")),
        "imagery": {"stac": {"collection": COLLECTION, "datetime": "2000-01-01/2100-01-01"}},
        "parcels": {"upload": client.upload(sample / "parcels.gpkg")["upload"], "id_field": "parcel_id"},
        "buildings": {"upload": client.upload(sample / "buildings.gpkg")["upload"], "height_field": "height"},
    }
    started = time.monotonic()
    job = str(client.submit(PROCESS, {"inputs": inputs})["jobID"])
    last = follow(client, job)
    report = Report(job, str(last["status"]), submit_to_finish_seconds=round(time.monotonic() - started, 2))
    if report.status != "successful":
        report.faults.append(str(last.get("problem", {}).get("detail") or last.get("message")))
        return report
    for name, link in client.results(job).items():
        report.outputs[name] = client.download(link, out / Path(str(link["filename"])).name)
    return report


def _table(report: Report) -> Table:
    table = Table("output", "file", "bytes", title=f"{report.job} {report.status}")
    for name, path in report.outputs.items():
        table.add_row(name, str(path), f"{path.stat().st_size:,}")
    table.add_section()
    table.add_row("overall accuracy", f"{report.overall_accuracy:.3f}", "against the city's truth")
    table.add_row("submit to finish", f"{report.submit_to_finish_seconds:.1f} s", "")
    for fault in report.faults:
        table.add_row("[red]fell short", fault, "")
    return table
