"""Runs a served network over a city tile by tile and keeps what it says at the centre of every 100 m cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.cards import Card
from models.data.cities.ground import BANDS, CELL, SEASONS, CityGround, cell_means
from models.data.cities.vectors import BadCity
from models.errors import BadCard

_LEVELS: Final = 255.0  # of the bytes a served network answers with
_TURNS: Final = tuple((turn, flip) for turn in range(4) for flip in (False, True))
_CORNERS: Final = np.indices((2, 2))
_STACKED: Final = frozenset(f"{band} {season}" for band in BANDS for season in SEASONS)

_Tile = tuple[int, int]


def needed_seasons(card: Card) -> tuple[str, ...]:
    """Return the seasons a card reads stacked as bands ("B04 summer"), in the order of the year; none: any will do.

    Raises BadCard where the bands are neither a city's nor a city's season by season.
    """
    bands = card.input.bands
    if set(bands) <= set(BANDS):
        return ()
    if set(bands) <= _STACKED:
        return tuple(season for season in SEASONS if any(band.endswith(f" {season}") for band in bands))
    lacking = [band for band in bands if band not in BANDS and band not in _STACKED]
    if not lacking:
        raise BadCard(f"{card.id} reads bands with a season and bands without; it must name one for all or for none")
    told = f"{', '.join(BANDS)} only, of any season or each with its own, such as {BANDS[0]} {SEASONS[0]}"
    raise BadCard(f"{card.id} reads {', '.join(lacking)}; a city's folder has {told}")


def refuse_missing_seasons(card: Card, city: str, seasons: tuple[str, ...]) -> None:
    """Raise BadCity naming the seasons that the card reads and a city, of which `seasons` exist, lacks."""
    needed = needed_seasons(card)
    missing = [season for season in needed if season not in seasons]
    if missing:
        raise BadCity(f"{card.id} reads {', '.join(needed)}; {city} has no {', '.join(missing)}")


def network_probabilities(
    card: Card, session: Any, city: CityGround, *, flips: bool = False, tell: Callable[[str], None] = print
) -> NDArray[np.float32]:
    """Return the probabilities (17, row, column) of every cell; 0 where nothing was seen.

    A network of three bands maps each season, and a cell gets the mean over them; one of stacked seasons maps once. A
    cell gets what the node at its centre says, as a scene cell does in a job. Beyond the imagery reflectance
    repeats its edge and nothing is built. Raises BadCity where a season is missing.
    """
    refuse_missing_seasons(card, city.name, city.seasons)
    tiles = list(_tiles(card, city))
    found = np.zeros((len(card.classes), *city.truth.shape), dtype=np.float32)
    maps = _maps(card, city)
    for name, layers in maps:
        tell(f"{name}: {len(tiles)} tiles")
        for tile in tiles:
            answer = _answer(card, session, city, layers, tile, flips=flips)
            part = found[:, tile[0] : tile[0] + answer.shape[1], tile[1] : tile[1] + answer.shape[2]]
            part += answer[:, : part.shape[1], : part.shape[2]] / np.float32(len(maps))
    return found


def _maps(card: Card, city: CityGround) -> list[tuple[str, NDArray[np.int64]]]:
    """Return the maps a city is mapped by: what to call each, and its layers of (season x band, y, x) in order."""
    places = {
        f"{band} {season}": len(BANDS) * s + b for s, season in enumerate(city.seasons) for b, band in enumerate(BANDS)
    }
    bands, needed = card.input.bands, needed_seasons(card)
    if needed:
        return [(", ".join(needed), np.array([places[band] for band in bands]))]
    return [(season, np.array([places[f"{band} {season}"] for band in bands])) for season in city.seasons]


def seen_cells(city: CityGround) -> NDArray[np.bool_]:
    """Return the cells (row, column) to map: those of which anything was seen, and all that are measured."""
    rows, columns = city.truth.shape
    seen: NDArray[np.bool_] = (cell_means(city.valid, city.lattice, (rows, columns)) > 0) | city.known
    return seen


def _tiles(card: Card, city: CityGround) -> Iterator[_Tile]:
    """Yield the upper-left cells of the tiles in which there is a cell to map."""
    side, seen = card.geometry.tile // CELL, seen_cells(city)
    for row in range(0, seen.shape[0], side):
        for column in range(0, seen.shape[1], side):
            if seen[row : row + side, column : column + side].any():
                yield row, column


def _answer(
    card: Card, session: Any, city: CityGround, layers: NDArray[np.int64], tile: _Tile, *, flips: bool
) -> NDArray[np.float32]:
    """Return a tile's probabilities (17, row, column) by cell, the mean over its eight views if told so."""
    views = _TURNS if flips else _TURNS[:1]
    nodes = CELL // card.geometry.step
    total: NDArray[np.float32] = np.zeros((), dtype=np.float32)
    for turn, flip in views:
        inputs = _inputs(card, city, layers, tile, _shift(card, turn, flip=flip))
        turned = {name: _turned(values, turn, flip=flip)[None] for name, values in inputs.items()}
        answer = session.run(["probabilities"], turned)[0][0]
        back = np.rot90(answer[..., ::-1] if flip else answer, -turn, axes=(1, 2))
        centres = back[:, nodes // 2 :: nodes, nodes // 2 :: nodes].astype(np.float32)
        total = total + centres / np.float32(_LEVELS * len(views))
    return total


def _shift(card: Card, turn: int, *, flip: bool) -> tuple[int, int]:
    """Return how far down and right (pixels) a tile must be cut for a view's nodes to look through the same windows.

    The window of a node that describes one pixel k is [k - h, k + h): it has no middle pixel, and seen backwards it
    is that of pixel k + 1. So an axis that a view runs backwards is cut a pixel earlier, wherever step and window are
    not both even or both odd.
    """
    lopsided = (card.geometry.window - card.geometry.step) % 2
    down, right = _turned(_CORNERS, turn, flip=flip)[:, 0, 0]  # 1 where the view starts at an axis's end
    return -lopsided * int(down), -lopsided * int(right)


def _turned(layers: NDArray[Any], turn: int, *, flip: bool) -> NDArray[Any]:
    turned = np.rot90(layers, turn, axes=(1, 2))
    return np.ascontiguousarray(turned[..., ::-1] if flip else turned)


def _inputs(
    card: Card, city: CityGround, layers: NDArray[np.int64], tile: _Tile, shift: tuple[int, int]
) -> dict[str, NDArray[np.float32]]:
    """Cut what the network reads of a tile and its halo; rows and columns beyond the grid repeat its edge."""
    side = np.arange(-card.geometry.halo, card.geometry.tile + card.geometry.halo)
    starts = [at + CELL * cell + by for at, cell, by in zip(city.lattice, tile, shift, strict=True)]
    rows, columns = side[:, None] + starts[0], side + starts[1]
    height, width = city.valid.shape
    near = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    flat = city.reflectance.reshape(-1, height, width)
    inputs = {"spectral": flat[layers[:, None, None], *near]}
    if card.input.morphology:
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        inputs["morphology"] = city.morphology[:, *near] * inside
    return inputs
