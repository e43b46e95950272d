"""`cityzones models`: what can map, fetching published weights, training our own, and what model servers load."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from models.cards import card_of, cards
from models.errors import CityzonesError, MissingExtra
from models.weights import fetch as fetch_weights
from models.weights import weights_path
from service import cli_repository, cli_so2sat
from service.cli_map import FAILED, console, say_problem

# Imported by name and only on this command: it needs torch, which nothing else here may.
_TRAINING: Final = "models.training.runs"

app = typer.Typer(no_args_is_help=True, help="Models: list, fetch, train, publish; So2Sat files.")
cli_repository.register(app)
app.command("so2sat-info")(cli_so2sat.info)
app.command("so2sat-export")(cli_so2sat.export)
app.command("so2sat-picture")(cli_so2sat.picture)


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


@app.command()
def train(  # noqa: PLR0917 - the options of a command
    config: Annotated[Path | None, typer.Argument(help="What to train on what: see docs/training.md.")] = None,
    out: Annotated[Path | None, typer.Option(file_okay=False, help="Folder of the demonstration run.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the demonstration run.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Its steps; 1600 made the bundled weights.")] = 1600,
    threads: Annotated[int, typer.Option(min=1, help="Its CPU threads.")] = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run of CONFIG was stopped.")] = False,
) -> None:
    """Train what CONFIG.toml describes, or with --out the demonstration on procedural cities; needs the train extra."""
    if (config is None) == (out is None):
        raise typer.BadParameter("give a CONFIG.toml, or --out for the demonstration run")
    try:
        training = _training()
        if config is not None:
            report, out = training.train_file(config, resume=resume)
        else:
            report = training.train(training.TrainingConfig(out, seed=seed, steps=steps, threads=threads))
    except CityzonesError as error:
        say_problem({"detail": error.detail})
        raise typer.Exit(FAILED) from error
    console.print(f"weights and report are in {out}", markup=False)
    sys.stdout.write(json.dumps({"seconds": report["seconds"], "accuracy": report["accuracy"]}) + "\n")


def _training() -> Any:
    try:
        return importlib.import_module(_TRAINING)
    except ModuleNotFoundError as error:
        msg = f"training needs {error.name}: pip install 'cityzones[train]'"
        raise MissingExtra(msg) from error


importlib.import_module("service.cli_evaluate").register(app)
