"""`cityzones models`: what can map, fetching published weights, and training our own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from models.cards import card_of, cards
from models.errors import CityzonesError
from models.weights import fetch as fetch_weights
from models.weights import weights_path
from service.cli_map import FAILED, console, say_problem

app = typer.Typer(no_args_is_help=True, help="Models: list, fetch, train.")


@app.command("list")
def list_models() -> None:
    """List the models, their licences, and whether their weights are here."""
    table = Table("model", "product", "bands", "metres", "buildings", "weights", "licence")
    for card in cards().values():
        here = "here" if weights_path(card) else f"cityzones models fetch {card.id}"
        uses = "yes" if card.input.morphology else "no"
        bands, metres = str(len(card.input.bands)), f"{card.input.resolution:g}"
        table.add_row(card.id, card.product, bands, metres, uses, here, card.licence)
    console.print(table)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Id of the model.")],
    mirror: Annotated[Path | None, typer.Option(file_okay=False, help="Folder with the published files.")] = None,
) -> None:
    """Fetch, verify and convert a model's published weights; harmless if they are here."""
    try:
        with console.status(f"fetching {name}"):
            path = fetch_weights(card_of(name), mirror=mirror)
    except CityzonesError as error:
        say_problem({"detail": error.detail})
        raise typer.Exit(FAILED) from error
    sys.stdout.write(f"{path}\n")
