"""The command line: `cityzones up | demo | map | jobs | status | recover | doctor | keys | models | callbacks`."""

from __future__ import annotations

from typing import Annotated

import typer

from service import cli_callbacks, cli_doctor, cli_jobs, cli_keys, cli_map, cli_models
from service.processes import software_version
from service.stack.cli import register

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help="Maps of cities as a service.")
register(app)
app.command("map")(cli_map.map_area)
app.command()(cli_jobs.jobs)
app.command()(cli_jobs.status)
app.command()(cli_jobs.recover)
app.command()(cli_doctor.doctor)
app.add_typer(cli_keys.app, name="keys")
app.add_typer(cli_models.app, name="models")
app.add_typer(cli_callbacks.app, name="callbacks")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(software_version())
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Maps of cities as a service: Local Climate Zones and land cover, per pixel, scene or parcel."""
