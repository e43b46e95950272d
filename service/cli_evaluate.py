"""`cityzones models evaluate-city` and `evaluate-tiles`: how right a model is where the classes are known."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from models.cards import card_of
from models.errors import CityzonesError
from service.cli_map import FAILED, console, say_problem

# Imported by name, only on these commands: reading what is known belongs to training, which the service goes without.
_NETWORK: Final = "models.evaluation.city_network"
_TILES: Final = ("models.data.tiles.folder", "models.evaluation.tiles")


def register(app: typer.Typer) -> None:
    """Add the commands to the models' group."""
    app.command("evaluate-city")(evaluate_city)
    app.command("evaluate-tiles")(evaluate_tiles)


def evaluate_city(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with <city>_lcz.tif and its companions.")],
    *,
    card: Annotated[str, typer.Option(help="Id of the model.")],
    smooth: Annotated[
        bool | None,
        typer.Option(
            "--smooth/--no-smooth",
            help="Average each cell with its eight neighbours; unless told, only below windows of 64 pixels.",
        ),
    ] = None,
    flips: Annotated[bool, typer.Option(help="Average eight turned and mirrored views: eight times the work.")] = False,
    as_given: Annotated[
        bool, typer.Option("--as-given", help="Take the classes where they lie, not moved half a cell up and left.")
    ] = False,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 is all cores.")] = 0,
) -> None:
    """Map a city of known classes with a model and print its accuracy, as JSON on the last line.

    DIR holds <city>_sen2_rgb_<season>.tif (any seasons, or all a model stacks), <city>_lcz.tif,
    <city>_osm_buildings.gpkg.zip and <city>_osm_cells.geojson. Cells where buildings were not mapped are left out.
    So2Sat POP's classes lie half a cell down and right of the ground they describe: they are moved, unless --as-given.
    """
    try:
        told = card_of(card)
        network = importlib.import_module(_NETWORK)
        session = network.open_network(told, threads=threads)
        with console.status(f"reading {folder}"):
            city = network.city_for(told, folder)
        manner = network.Manner(smooth=smooth, flips=flips, register=not as_given)
        found = network.evaluate_card(told, session, city, manner, tell=_tell)
    except CityzonesError as error:
        say_problem({"detail": error.detail})
        raise typer.Exit(FAILED) from error
    console.print(_table(found))
    sys.stdout.write(json.dumps({"city": city.name, "card": told.id, **found}) + "\n")


def evaluate_tiles(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with <tile>/images and <tile>/masks.")],
    *,
    card: Annotated[str, typer.Option(help="Id of the model.")] = "land-cover",
    tiles: Annotated[str, typer.Option(help="Names of the tiles to measure on, with commas; all unless told.")] = "",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 is all cores.")] = 0,
) -> None:
    """Map images whose classes are known with a model of land cover; prints its accuracy, as JSON on the last line.

    DIR holds <tile>/images and, of the same names, <tile>/masks: codes or colours, which a classes.json may name.
    The mean IoU is over the classes that some pixel of the masks has. Unlabelled pixels do not count.
    """
    try:
        told = card_of(card)
        reading, measuring = (importlib.import_module(name) for name in _TILES)
        found_tiles = reading.open_tiles(folder).only(tuple(name.strip() for name in tiles.split(",") if name.strip()))
        answer = measuring.open_network(told, threads=threads)
        found = measuring.evaluate_tiles(answer, told.geometry, found_tiles, tell=_tell)
    except CityzonesError as error:
        say_problem({"detail": error.detail})
        raise typer.Exit(FAILED) from error
    console.print(_classes(found))
    sys.stdout.write(json.dumps({"card": told.id, **found}) + "\n")


def _classes(found: dict[str, Any]) -> Table:
    table = Table("class", "IoU")
    for name, value in (*found["iou"].items(), ("mean", found["mean_iou"])):
        table.add_row(name, f"{value:.3f}")
    table.add_row("overall accuracy", f"{found['overall_accuracy']:.3f}")
    return table


def _tell(line: str) -> None:
    console.print(line, markup=False)


def _table(found: dict[str, Any]) -> Table:
    table = Table("accuracy", "", "95 % by square kilometre")
    for name, value in found.items():
        if isinstance(value, float):
            low, high = found["intervals"].get(name, (None, None))
            table.add_row(
                name, f"{value:.3f}", f"{low:.3f} - {high:.3f}" if low is not None and high is not None else ""
            )
    table.add_row("cells", str(found["cells"]), "")
    return table
