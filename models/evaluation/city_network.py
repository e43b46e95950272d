"""Runs a card's served network over a city and measures what it maps against the city's reference classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from models.cards import Card
from models.data.cities.ground import CELL, REFERENCE_SHIFT, SEASONS, CityGround, city_name, read_city, registered
from models.data.cities.vectors import BadCity
from models.errors import BadCard
from models.evaluation.city import measure, smoothed
from models.evaluation.city_tiles import needed_seasons, network_probabilities, refuse_missing_seasons, seen_cells
from models.evaluation.sessions import open_session
from models.morphology import RESOLUTION

NEIGHBOURHOOD: Final = 64
"""Pixels of a window from which on a network weighs a cell's neighbours itself: twice the 32 of a So2Sat patch, and the
cell with its eight neighbours (30) well inside. Averaging its map over neighbours again would only blur it."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a map is made of a network and laid over the reference.

    `smooth` averages a cell's probabilities with its neighbours', see city.smoothed; None: where the card's window is
    below NEIGHBOURHOOD. `flips` averages the eight turned and mirrored views. `register` moves the reference by
    REFERENCE_SHIFT over the imagery, see ground.registered; without it the blocks are taken where they lie.
    """

    smooth: bool | None = None
    flips: bool = False
    register: bool = True

    def smooths(self, card: Card) -> bool:
        """Say whether a card's map is smoothed."""
        return card.geometry.window < NEIGHBOURHOOD if self.smooth is None else self.smooth


def evaluate_card(
    card: Card, session: Any, city: CityGround, manner: Manner, *, tell: Callable[[str], None] = print
) -> dict[str, Any]:
    """Map a city with the card's network and measure it on the known cells; see network_probabilities.

    `session` is what `open_network` returned; `city` is as read, not registered. Returns the accuracies of
    city.measure with `intervals`, `seasons`, `smoothed`, `reference_shift_m` (metres down and right that the
    reference was moved) and where smoothed the same accuracies `raw`. Raises BadCity without a season the card reads
    or a cell to measure on.
    """
    refuse_missing_seasons(card, city.name, city.seasons)
    if not city.known.any():
        raise BadCity(f"{city.name} has no cell with truth, imagery and mapped buildings; nothing can be measured")
    shift = REFERENCE_SHIFT if manner.register else (0, 0)
    city = registered(city, shift)
    seen = np.argwhere(seen_cells(city))
    layers = network_probabilities(card, session, city, flips=manner.flips, tell=tell)
    raw = np.ascontiguousarray(layers[:, seen[:, 0], seen[:, 1]].T)
    measured = city.known[seen[:, 0], seen[:, 1]]
    cells, smooth = seen[measured], manner.smooths(card)
    truth, blocks = city.codes(cells), city.blocks(cells)
    plain = measure(truth, raw[measured].argmax(axis=1) + 1, blocks)
    told = plain
    if smooth:
        told = measure(truth, smoothed(city, seen, raw)[measured].argmax(axis=1) + 1, blocks)
    found = {
        **told.accuracies,
        "intervals": told.intervals,
        "seasons": list(needed_seasons(card) or city.seasons),
        "smoothed": smooth,
        "reference_shift_m": [round(pixels * RESOLUTION) for pixels in shift],
    }
    return {**found, "raw": plain.accuracies} if smooth else found


def city_for(card: Card, folder: Path) -> CityGround:
    """Read a city's folder; raises BadCity, before anything is read, where a season is missing that the card reads."""
    name = city_name(folder)
    there = tuple(season for season in SEASONS if (folder / f"{name}_sen2_rgb_{season}.tif").is_file())
    refuse_missing_seasons(card, name, there)
    return read_city(folder)


def open_network(card: Card, weights: Path | None = None, *, threads: int = 0) -> Any:
    """Open a card's ONNX file after checking it against the card and against what a city's folder can give it.

    `weights` stands in for the card's own file; `threads` 0 is all cores. Raises BadCard where the network cannot
    read a city's folder, WeightsUnavailable, MissingExtra without onnxruntime.
    """
    if card.product != "local-climate-zones" or card.input.resolution != RESOLUTION:
        mapped = f"{card.product} at {card.input.resolution:g} m"
        raise BadCard(f"{card.id} maps {mapped}; give a model of Local Climate Zones at {RESOLUTION:g} m")
    needed_seasons(card)
    if CELL % card.geometry.step or card.geometry.tile % CELL:
        raise BadCard(f"{card.id} answers every {card.geometry.step} pixels; that must divide the {CELL} of a cell")
    return open_session(card, weights, threads=threads)
