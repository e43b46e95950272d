"""`cityzones map`: sends an area and files, follows the job, and brings the finished outputs home."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.table import Table

from models.cards import cards
from models.errors import CityzonesError
from service.client import Client

console = Console(stderr=True)

PROCESS: Final = "local-climate-zones"
FAILED: Final = 1
_INTERRUPTED: Final = 130
_FINE: Final = 10
_OFFER: Final = "Dismiss the job? Otherwise it goes on; cityzones status tells how it stands"

Url = Annotated[str, typer.Option(envvar="CITYZONES_PUBLIC_URL", help="Where the service is.")]
Key = Annotated[str | None, typer.Option(envvar="CITYZONES_API_KEY", show_envvar=True, help="Key of the service.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object as the last line.")]


def _file(told: str) -> Any:
    return typer.Option(exists=True, dir_okay=False, readable=True, help=told)


LOCAL: Final = "http://127.0.0.1:3000"


@dataclass(slots=True)
class Outcome:
    """What the command says at its end."""

    job: str = ""
    status: str = "not submitted"
    outputs: dict[str, str] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    problem: dict[str, Any] | None = None

    def line(self) -> str:
        """Return the outcome as one line of JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({name: value for name, value in values.items() if value is not None})


def map_area(
    *,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder the outputs are downloaded into.")],
    aoi: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="GeoJSON; optional with --image.")
    ] = None,
    image: Annotated[list[Path] | None, _file("GeoTIFF or JPEG 2000 to map; may be given again.")] = None,
    title: Annotated[str | None, typer.Option(help="What the job and its map are called.")] = None,
    job: Annotated[
        str | None, typer.Option(help="A finished job: parcels and units are made anew, the network is not asked.")
    ] = None,
    bands: Annotated[str | None, typer.Option(help="Bands of the images in order: B02,B03,…")] = None,
    scale: Annotated[float | None, typer.Option(help="reflectance = number * scale + offset")] = None,
    offset: Annotated[float | None, typer.Option(help="see --scale")] = None,
    stac_collection: Annotated[str, typer.Option(help="Collection of the catalogue.")] = "sentinel-2-l2a",
    datetime: Annotated[str | None, typer.Option(help="Dates of the scenes: 2026-05-01/2026-09-30")] = None,
    catalogue: Annotated[str | None, typer.Option(help="STAC root; one the service allows.")] = None,
    max_cloud: Annotated[float, typer.Option(min=0, max=100, help="Percent of cloud a scene may have.")] = 20,
    parcels: Annotated[Path | None, _file("Polygons mapped as units: GeoPackage, GeoJSON, GeoParquet.")] = None,
    parcel_id: Annotated[str | None, typer.Option(help="Field that names the parcels.")] = None,
    parcel_layer: Annotated[str | None, typer.Option(help="Layer of a file of parcels that has several.")] = None,
    streets: Annotated[
        Path | None, _file("Streets, rail and water, in place of parcels: what they enclose is mapped as units.")
    ] = None,
    buildings: Annotated[Path | None, _file("Footprints with heights, as --parcels.")] = None,
    building_layer: Annotated[str | None, typer.Option(help="Layer of a file of buildings that has several.")] = None,
    height_field: Annotated[str, typer.Option(help="Field with the buildings' heights in metres.")] = "height",
    units: Annotated[str, typer.Option(help="auto, pixel, scene or parcel.")] = "auto",
    resolution: Annotated[int, typer.Option(help="Metres a pixel of the map: 10, or 100 for scene cells.")] = 10,
    min_coverage: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the area that must be mapped, or the job fails.")
    ] = 0,
    model: Annotated[
        str | None, typer.Option(help="A model of cityzones models list; the service's default else.")
    ] = None,
    process: Annotated[str | None, typer.Option(help="What to map; if not told, what the model maps.")] = None,
    url: Url = LOCAL,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Map an area of interest, the images given, or a finished job once more, and download the outputs."""
    if not (image or job or (aoi and datetime)):
        raise typer.BadParameter("give --image, --job, or AOI and --datetime of the scenes to search for")
    if parcels and streets:
        raise typer.BadParameter("give --parcels or --streets, not both")
    inputs: dict[str, Any] = {"units": units} | _present({"title": title})
    if aoi:
        inputs["aoi"] = _geojson(aoi)
    if model:
        inputs["model"] = model
    inputs |= {"resolution": resolution} if resolution != _FINE else {}
    inputs |= {"min_coverage": min_coverage} if min_coverage else {}
    stac = {"collection": stac_collection, "datetime": datetime, "max_cloud_cover": max_cloud, "catalogue": catalogue}
    described = {"bands": bands.split(",") if bands else None, "scale": scale, "offset": offset}
    outcome = Outcome()
    with reported(outcome, as_json=as_json), Client(url, key) as client:
        if job:
            inputs["imagery"] = {"job": job}
        elif image:
            inputs["imagery"] = _present(described) | {"uploads": [_upload(client, path) for path in image]}
        else:
            inputs["imagery"] = {"stac": _present(stac)}
        vectors = {
            "parcels": (parcels, {"id_field": parcel_id, "layer": parcel_layer}),
            "buildings": (buildings, {"height_field": height_field, "layer": building_layer}),
        }
        for name, (path, told) in vectors.items():
            if path:
                inputs[name] = _present({"upload": _upload(client, path)} | told)
        if streets:
            inputs["parcels"] = {"derive": "streets", "streets": {"upload": _upload(client, streets)}}
        _run(client, process or process_of(model), {"inputs": inputs}, out, outcome)


def process_of(model: str | None) -> str:
    """Return the process of a model that is known here, else the service's first one."""
    card = cards().get(model or "")
    return PROCESS if card is None else card.product


@contextmanager
def reported(outcome: Outcome, *, as_json: bool) -> Iterator[None]:
    """Print errors plainly, the JSON line last, and leave with 1 where the command did not reach its end."""
    try:
        yield
    except CityzonesError as error:
        outcome.problem = getattr(error, "problem", None) or {"code": error.code, "detail": error.detail}
        say_problem(outcome.problem)
    if as_json:
        sys.stdout.write(outcome.line() + "\n")
        sys.stdout.flush()
    if outcome.problem or outcome.status in {"failed", "dismissed"}:
        raise typer.Exit(FAILED)


def say_problem(problem: dict[str, Any]) -> None:
    """Print a problem for people: what is wrong, where, and what to do."""
    console.print(str(problem.get("detail") or problem.get("title") or "refused"), style="red", markup=False)
    for fault in problem.get("errors", ())[:10]:
        console.print(f"  {fault.get('pointer') or '/'}: {fault.get('detail')}", markup=False)
    for name in ("advice", "reference"):
        if problem.get(name):
            console.print(f"{name}: {problem[name]}", style="dim", markup=False)


def _run(client: Client, process: str, body: dict[str, Any], out: Path, outcome: Outcome) -> None:
    submitted = client.submit(process, body)
    outcome.job = str(submitted["jobID"])
    console.print(f"{outcome.job} - {submitted['message']}", markup=False, soft_wrap=True)
    try:
        last = follow(client, outcome.job)
    except KeyboardInterrupt:
        _interrupted(client, outcome.job)
    outcome.status, outcome.warnings = str(last["status"]), list(last.get("warnings", ()))
    for warned in outcome.warnings:
        console.print(f"note: {warned['detail']}", style="yellow", markup=False)
    if outcome.status == "successful":
        outcome.outputs = _download_all(client, outcome.job, out)
    else:
        outcome.problem = last.get("problem")
        say_problem(outcome.problem or {"detail": f"{outcome.job} was {outcome.status}"})


def follow(client: Client, job: str) -> dict[str, Any]:
    """Show a job's progress until it ends; return its last statusInfo."""
    last: dict[str, Any] = {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("waiting", total=100)
        for last in client.watch(job):
            blocks = last.get("blocks", {})
            counted = f" ({blocks['done']}/{blocks['total']} blocks)" if blocks.get("total") else ""
            progress.update(task, completed=last.get("progress", 0), description=f"{last.get('message')}{counted}")
    return last


def _interrupted(client: Client, job: str) -> None:
    """Offer to dismiss the job, or do it where nobody can be asked; ends the command."""
    if not sys.stdin.isatty() or typer.confirm(f"\n{_OFFER}", default=True, err=True):
        client.dismiss(job)
        console.print(f"{job} was dismissed", markup=False)
    raise typer.Exit(_INTERRUPTED)


def _upload(client: Client, path: Path) -> str:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"sending {path.name}", total=path.stat().st_size)
        record = client.upload(path, progress=lambda read: progress.update(task, completed=read))
    console.print(f"{record['upload']} - {path.name}", markup=False)
    return str(record["upload"])


def _download_all(client: Client, job: str, out: Path) -> dict[str, str]:
    table = Table("output", "file", "type", "bytes", title=job)
    outputs: dict[str, str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for name, link in client.results(job).items():
            task = progress.add_task(f"fetching {link['filename']}", total=link["file:size"])
            target = out / Path(str(link["filename"])).name
            client.download(link, target, progress=lambda got, task=task: progress.update(task, completed=got))  # type: ignore[misc]  # task is bound now, not later
            outputs[name] = str(target)
            table.add_row(name, str(target), link["type"], f"{link['file:size']:,}")
    console.print(table)
    return outputs


def _geojson(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not GeoJSON: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{path} is not a GeoJSON object")
    return value


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
