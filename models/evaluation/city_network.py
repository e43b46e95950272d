"""Runs a card's served network over a city and measures what it maps against the city's reference classes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.cards import Card
from models.data.cities.ground import BANDS, CELL, CityGround, cell_means
from models.data.cities.vectors import BadCity
from models.errors import BadCard, MissingExtra, WeightsUnavailable
from models.evaluation.city import measure, smoothed
from models.morphology import RESOLUTION
from models.onnx_signature import read_signature
from models.serving import check_contract
from models.weights import weights_path

_LEVELS: Final = 255.0  # of the bytes a served network answers with
_TURNS: Final = tuple((turn, flip) for turn in range(4) for flip in (False, True))


@dataclass(frozen=True, slots=True)
class Manner:
    """How a map is made of a network.

    `smooth` averages a cell's probabilities with its neighbours', see city.smoothed; `flips` averages the
    eight turned and mirrored views.
    """

    smooth: bool = True
    flips: bool = False


def evaluate_card(
    card: Card, session: Any, city: CityGround, manner: Manner, *, tell: Callable[[str], None] = print
) -> dict[str, Any]:
    """Map a city with the card's network, the mean over its seasons, and measure it on the known cells.

    `session` is what `open_network` returned. Returns the accuracies of city.measure with `intervals`,
    `smoothed`, and where smoothed the same accuracies `raw`. Raises BadCity without a cell to measure on.
    """
    if not city.known.any():
        raise BadCity(f"{city.name} has no cell with truth, imagery and mapped buildings; nothing can be measured")
    seen = np.argwhere(cell_means(city.valid, city.lattice, _shape(city)) > 0)
    layers = network_probabilities(card, session, city, flips=manner.flips, tell=tell)
    raw = np.ascontiguousarray(layers[:, seen[:, 0], seen[:, 1]].T)
    measured = city.known[seen[:, 0], seen[:, 1]]
    cells = seen[measured]
    truth, blocks = city.codes(cells), city.blocks(cells)
    plain = measure(truth, raw[measured].argmax(axis=1) + 1, blocks)
    told = plain
    if manner.smooth:
        told = measure(truth, smoothed(city, seen, raw)[measured].argmax(axis=1) + 1, blocks)
    found = {**told.accuracies, "intervals": told.intervals, "smoothed": manner.smooth}
    return {**found, "raw": plain.accuracies} if manner.smooth else found


def open_network(card: Card, weights: Path | None = None, *, threads: int = 0) -> Any:
    """Open a card's ONNX file after checking it against the card and against what a city's folder can give it.

    `weights` stands in for the card's own file; `threads` 0 is all cores. Raises BadCard where the network cannot
    read a city's folder, WeightsUnavailable, MissingExtra without onnxruntime.
    """
    if card.product != "local-climate-zones" or card.input.resolution != RESOLUTION:
        mapped = f"{card.product} at {card.input.resolution:g} m"
        raise BadCard(f"{card.id} maps {mapped}; give a model of Local Climate Zones at {RESOLUTION:g} m")
    lacking = [band for band in card.input.bands if band not in BANDS]
    if lacking:
        raise BadCard(f"{card.id} reads {', '.join(lacking)}; a city's folder has {', '.join(BANDS)} only")
    if CELL % card.geometry.step or card.geometry.tile % CELL:
        raise BadCard(f"{card.id} answers every {card.geometry.step} pixels; that must divide the {CELL} of a cell")
    weights = weights or _weights(card)
    check_contract(card, read_signature(weights))
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise MissingExtra("running a network here needs onnxruntime: pip install onnxruntime") from error
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors: warnings of its optimiser mean nothing to a person
    usable = runtime.get_available_providers()
    wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in usable]
    try:
        return runtime.InferenceSession(str(weights), options, providers=wanted)
    except _errors() as error:
        raise WeightsUnavailable(f"{weights.name} cannot be run: {error}; export it again") from error


def _errors() -> tuple[type[Exception], ...]:
    """Return the errors onnxruntime can raise: they share no root but Exception."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))


def network_probabilities(
    card: Card, session: Any, city: CityGround, *, flips: bool = False, tell: Callable[[str], None] = print
) -> NDArray[np.float32]:
    """Return the probabilities (17, row, column) of every cell, the mean over seasons; 0 where nothing was seen.

    A cell gets the mean of the nodes inside it. Beyond the imagery reflectance repeats its edge and nothing is built.
    """
    tiles = list(_tiles(card, city))
    found = np.zeros((len(card.classes), *city.truth.shape), dtype=np.float32)
    order = [BANDS.index(band) for band in card.input.bands]
    nodes = CELL // card.geometry.step
    for season, reflectance in zip(city.seasons, city.reflectance[:, order], strict=True):
        tell(f"{season}: {len(tiles)} tiles")
        for tile in tiles:
            inputs = {"spectral": _cut(reflectance, card, city, tile)}
            if card.input.morphology:
                inputs["morphology"] = _cut(city.morphology, card, city, tile) * _inside(card, city, tile)
            answer = _answer(session, inputs, flips=flips)
            side = answer.shape[-1] // nodes
            means = answer.reshape(-1, side, nodes, side, nodes).mean(axis=(2, 4))
            part = found[:, tile[0] : tile[0] + side, tile[1] : tile[1] + side]
            part += means[:, : part.shape[1], : part.shape[2]] / len(city.seasons)
    return found


def _weights(card: Card) -> Path:
    found = weights_path(card)
    if found is None:
        raise WeightsUnavailable(f"the weights of {card.id} are not here; run: cityzones models fetch {card.id}")
    return found


def _shape(city: CityGround) -> tuple[int, int]:
    return int(city.truth.shape[0]), int(city.truth.shape[1])


def _tiles(card: Card, city: CityGround) -> Iterator[tuple[int, int]]:
    """Yield the upper-left cells of the tiles in which anything was seen."""
    side = card.geometry.tile // CELL
    seen = cell_means(city.valid, city.lattice, _shape(city)) > 0
    for row in range(0, seen.shape[0], side):
        for column in range(0, seen.shape[1], side):
            if seen[row : row + side, column : column + side].any():
                yield row, column


def _places(card: Card, city: CityGround, tile: tuple[int, int]) -> list[NDArray[np.int64]]:
    """Return the rows and the columns of the pixels a tile with its halo covers; some lie beyond the grid."""
    side = np.arange(-card.geometry.halo, card.geometry.tile + card.geometry.halo)
    return [start + CELL * cell + side for start, cell in zip(city.lattice, tile, strict=True)]


def _cut(layers: NDArray[np.float32], card: Card, city: CityGround, tile: tuple[int, int]) -> NDArray[np.float32]:
    rows, columns = _places(card, city, tile)
    height, width = city.valid.shape
    return layers[:, np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)]


def _inside(card: Card, city: CityGround, tile: tuple[int, int]) -> NDArray[np.bool_]:
    rows, columns = _places(card, city, tile)
    height, width = city.valid.shape
    inside: NDArray[np.bool_] = ((rows >= 0) & (rows < height))[:, None] & (columns >= 0) & (columns < width)
    return inside


def _answer(session: Any, inputs: dict[str, NDArray[np.float32]], *, flips: bool) -> NDArray[np.float32]:
    """Ask for a tile's probabilities (class, y, x), as the mean over its turned and mirrored views if told so."""
    views = _TURNS if flips else _TURNS[:1]
    total: NDArray[np.float32] = np.zeros((), dtype=np.float32)
    for turn, flip in views:
        turned = {name: _turned(layers, turn, flip=flip)[None] for name, layers in inputs.items()}
        answer = session.run(["probabilities"], turned)[0][0].astype(np.float32) / np.float32(_LEVELS * len(views))
        back = np.rot90(answer[..., ::-1] if flip else answer, -turn, axes=(1, 2))
        total = total + back
    return total


def _turned(layers: NDArray[np.float32], turn: int, *, flip: bool) -> NDArray[np.float32]:
    turned = np.rot90(layers, turn, axes=(1, 2))
    return np.ascontiguousarray(turned[..., ::-1] if flip else turned)
