"""`cityzones models so2sat-…`: looks into So2Sat LCZ42 files, exports patches, draws samples."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from models.errors import CityzonesError, MissingExtra
from service.cli_map import FAILED, console, say_problem


class SensorName(StrEnum):
    """Which satellite's bands."""

    S1 = "s1"
    S2 = "s2"


Source = Annotated[Path, typer.Argument(metavar="FILE", help="training.h5, validation.h5, testing.h5 or alike.")]
Geo = Annotated[Path | None, typer.Option(help="The *_geo.h5 file of version 4 beside it.")]


def info(
    file: Source,
    geo: Geo = None,
    scan: Annotated[bool, typer.Option("--scan", help="Read every patch: checks values, adds statistics.")] = False,
) -> None:
    """Say what a So2Sat LCZ42 file holds; a JSON object is the last line."""
    with _told_plainly(), console.status(f"reading {file.name}"):
        told = _module("info").describe(file, geo=geo, scan=scan)
    table = Table("LCZ", "patches", title=f"{told['file']}: {told['patches']:,} patches", title_justify="left")
    for label, count in told["classes"].items():
        table.add_row(label, f"{count:,}")
    console.print(table)
    _say(told)


def export(
    file: Source,
    index: Annotated[int, typer.Option(min=0, help="Which patch, from 0.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The GeoTIFF to write.")],
    geo: Geo = None,
    sensor: Annotated[SensorName, typer.Option(help="Sentinel-1 or Sentinel-2.")] = SensorName.S2,
) -> None:
    """Write one patch as a GeoTIFF with band names, georeferenced with --geo; a JSON object is the last line."""
    with _told_plainly():
        told = _module("export").export_patch(file, index, out, sensor=sensor.value, geo=geo)
    if geo is None:
        console.print("written without a place on earth; --geo gives it one", style="yellow", markup=False)
    _say(told)


def picture(
    file: Source,
    out: Annotated[Path, typer.Option(dir_okay=False, help="The PNG to write.")],
    columns: Annotated[int, typer.Option(min=1, max=24, help="Patches a class.")] = 8,
    seed: Annotated[int, typer.Option(help="Which patches are drawn.")] = 0,
) -> None:
    """Draw sample patches of every class in true colour; a JSON object is the last line."""
    with _told_plainly(), console.status(f"reading {file.name}"):
        counts = _module("picture").draw_samples(file, out, columns=columns, seed=seed)
    _say({"file": str(out), "classes": counts})


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except CityzonesError as error:
        say_problem({"detail": error.detail})
        raise typer.Exit(FAILED) from error


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")


def _module(name: str) -> Any:
    # By name and only on these commands: data sets need h5py, which the service does without.
    try:
        return importlib.import_module(f"models.data.so2sat.{name}")
    except ModuleNotFoundError as error:
        msg = f"reading So2Sat files needs {error.name}: pip install 'cityzones[train]'"
        raise MissingExtra(msg) from error
