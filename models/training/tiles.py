"""Training tiles cut from whole cities, procedural or real: drawn by class and place, turned, mirrored and re-lit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.classes import LOCAL_CLIMATE_ZONES
from models.data.cities.ground import BANDS as CITY_BANDS
from models.data.cities.ground import CELL, CityGround, read_city, registered
from models.data.procedural import BANDS, City, generate
from models.networks.magnet import STEP
from models.training.config import BadTraining, CityData, ProceduralData, RunConfig
from models.training.sources import BandStatistics, Batch, relit, turned

# Seeds of the cities: no city is in two of the sets. The sample that demonstrations map is seed 7: a test city.
TRAIN_SEEDS: Final = range(1001, 1033)
VALIDATION_SEEDS: Final = range(501, 503)
TEST_SEEDS: Final = range(1, 9)

_FEW: Final = 100  # cells: a class with less is not learnt well
_STRIP: Final = 24  # nodes of a strip of ground held back
_MOST_PIXELS: Final = 2_000_000  # are plenty for statistics of bands


@dataclass(frozen=True, slots=True)
class Ground:
    """A city as arrays, and where a window may be centred.

    `reflectance` (season, band, y, x), `morphology` (6, y, x), `truth` (y, x) codes 1-17, 0 where nothing is known.
    `pixels` holds flat indices of centres by class. `phase` is where the 100 m windows begin (row, column; None: they
    may begin anywhere).
    """

    reflectance: NDArray[np.float32]
    morphology: NDArray[np.float32]
    truth: NDArray[np.uint8]
    pixels: dict[int, NDArray[np.int64]]
    phase: tuple[int, int] | None = None

    @property
    def known(self) -> int:
        """How many centres there are."""
        return sum(map(len, self.pixels.values()))


@dataclass(frozen=True, slots=True)
class TileSource:
    """Tiles of `nodes` x `nodes` windows of some grounds, and strips of others that are held back."""

    config: RunConfig
    grounds: list[Ground]
    held: list[Ground]
    statistics: BandStatistics
    bands: tuple[str, ...]
    reflectance: str
    told: str
    held_back: str

    @property
    def steps_per_epoch(self) -> int:
        """Steps that draw as many windows as there are 100 m cells."""
        cells = sum(ground.known / (1 if ground.phase else STEP**2) for ground in self.grounds)
        return max(1, round(cells / (self.config.training.batch * self.config.nodes**2)))

    def batches(self, rng: np.random.Generator, first: int) -> Iterator[Batch]:  # noqa: ARG002 - the same at any step
        """See TrainingSource."""
        while True:
            tiles = [self._tile(rng) for _ in range(self.config.training.batch)]
            yield Batch(*(torch.from_numpy(np.stack(part)) for part in zip(*tiles, strict=True)))

    def validation(self) -> Iterator[list[Batch]]:
        """See TrainingSource."""
        window = self.config.window
        for ground in self.held:
            down, right = ground.phase or (0, 0)
            rows = ground.truth.shape[0]
            for top in range(down, rows - window + 1, _STRIP * STEP):
                cut = (slice(top, min(top + window + (_STRIP - 1) * STEP, rows)), slice(right, None))
                nodes = node_labels(ground.truth[cut], window)
                if (nodes >= 0).any():
                    labels = torch.from_numpy(nodes)[None]
                    form = torch.from_numpy(np.ascontiguousarray(ground.morphology[:, *cut]))[None]
                    yield [
                        Batch(torch.from_numpy(np.ascontiguousarray(season[:, *cut]))[None], form, labels)
                        for season in ground.reflectance
                    ]

    def _tile(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        augmentation, window = self.config.training.augmentation, self.config.window
        size = window + STEP * (self.config.nodes - 1)
        ground = self.grounds[rng.integers(len(self.grounds))]
        season = ground.reflectance[int(rng.integers(len(ground.reflectance))) if len(ground.reflectance) > 1 else 0]
        top, left = self._corner(ground, rng, size)
        cut = (slice(top, top + size), slice(left, left + size))
        turn, flip = (int(rng.integers(4)), bool(rng.random() < 0.5)) if augmentation.flips else (0, False)  # noqa: PLR2004
        layers = [turned(x, turn, flip=flip) for x in (season[:, *cut], ground.morphology[:, *cut])]
        nodes = node_labels(turned(ground.truth[None, *cut], turn, flip=flip)[0], window)
        form = layers[1] * np.float32(rng.random() >= augmentation.morphology_dropout)
        return relit(layers[0], rng, augmentation), np.ascontiguousarray(form), nodes

    def _corner(self, ground: Ground, rng: np.random.Generator, size: int) -> tuple[int, int]:
        """Draw a tile in which a pixel drawn by class, or by place, is the centre of a window."""
        rows, cols = ground.truth.shape
        if rng.random() < self.config.class_balance:
            code = list(ground.pixels)[rng.integers(len(ground.pixels))]
            row, column = divmod(int(rng.choice(ground.pixels[code])), cols)
        elif ground.phase is None:
            row, column = int(rng.integers(rows)), int(rng.integers(cols))
        else:
            at = int(rng.integers(ground.known))
            for pixels in ground.pixels.values():
                if at < len(pixels):
                    row, column = divmod(int(pixels[at]), cols)
                    break
                at -= len(pixels)
        corner = [
            int(np.clip(at - self.config.window // 2 - STEP * rng.integers(self.config.nodes), 0, most - size))
            for at, most in ((row, rows), (column, cols))
        ]
        if ground.phase is not None:
            corner = [at - (at - phase) % STEP for at, phase in zip(corner, ground.phase, strict=True)]
            corner = [at + STEP if at < 0 else at for at in corner]
        return corner[0], corner[1]


def node_labels(truth: NDArray[np.uint8], window: int) -> NDArray[np.int64]:
    """Return the labels of the windows of a cut that starts where the first window does."""
    rows, cols = (1 + (side - window) // STEP for side in truth.shape)
    return truth[window // 2 :: STEP, window // 2 :: STEP][:rows, :cols].astype(np.int64) - 1


def procedural_source(config: RunConfig, data: ProceduralData) -> TileSource:
    """Make the cities of a run; every third has stray blocks, so that edges inside districts are learnt too."""
    cities = training_cities(data)
    pixels = np.concatenate([city.reflectance.reshape(len(BANDS), -1) for city in cities], axis=1)
    held = [generate(seed, (data.side, data.side)) for seed in VALIDATION_SEEDS]
    seeds = f"seeds {TRAIN_SEEDS[0]}-{TRAIN_SEEDS[data.cities - 1]}"
    return TileSource(
        config=config,
        grounds=[ground_of(city) for city in cities],
        held=[ground_of(city) for city in held],
        statistics=BandStatistics.of(pixels),
        bands=BANDS,
        reflectance="synthetic",
        told=f"{data.cities} procedural cities of {data.side} x {data.side} pixels, {seeds}; no real place.",
        held_back=f"procedural cities, seeds {VALIDATION_SEEDS[0]}-{VALIDATION_SEEDS[-1]} (held out), 100 m nodes",
    )


def training_cities(data: ProceduralData) -> list[City]:
    """Return the cities to learn from."""
    shape = (data.side, data.side)
    return [generate(seed, shape, fragmentation=0.12 if seed % 3 == 0 else 0.0) for seed in TRAIN_SEEDS[: data.cities]]


def ground_of(city: City) -> Ground:
    """Return a procedural city as a ground whose every pixel may be a centre."""
    return Ground(city.reflectance[None], city.morphology(), city.truth, _by_class(city.truth))


def _by_class(truth: NDArray[np.uint8]) -> dict[int, NDArray[np.int64]]:
    flat = truth.ravel()
    return {int(code): np.flatnonzero(flat == code) for code in np.unique(flat) if code}


def city_source(config: RunConfig, data: CityData) -> TileSource:
    """Read the cities of a run and hold back a share of their square kilometres, drawn with the run's seed.

    With 3 bands every season is a sample of its own; with 3 a season they are stacked, in the order of the year. Cells
    are registered with the imagery, see models.data.cities.ground.registered.
    Raises BadCity or BadTraining naming the folder that does not fit.
    """
    for folder in data.folders:
        _refuse_missing(folder)
    cities = [registered(read_city(folder)) for folder in data.folders]
    for city in cities:
        _refuse_bands(city, config.bands)
        _refuse_small(city, config)
    names = CITY_BANDS if config.bands == len(CITY_BANDS) else stacked_names(cities[0])
    rng = np.random.default_rng([config.training.seed, 5])
    held = [_held_kilometres(city, data.holdout, rng) for city in cities]
    pairs = list(zip(cities, held, strict=True))
    told = ", ".join(f"{city.name} ({int((city.known & ~out).sum())} cells)" for city, out in pairs)
    told = (
        f"Sentinel-2 ({', '.join(cities[0].seasons)}) and OpenStreetMap buildings of {told}, 100 m cells{_rare(pairs)}."
    )
    count = sum(int((city.known & out).sum()) for city, out in pairs)
    return TileSource(
        config=config,
        grounds=[city_ground(city, city.known & ~out, config) for city, out in pairs],
        held=[city_ground(city, city.known & out, config) for city, out in pairs],
        statistics=_city_statistics(cities, config.bands),
        bands=names,
        reflectance="TOA",
        told=told,
        held_back=f"{count} cells of square kilometres held back, chosen by seed {config.training.seed}",
    )


def _rare(pairs: list[tuple[CityGround, NDArray[np.bool_]]]) -> str:
    """Tell which classes have too few cells to be learnt well."""
    counts = np.bincount(np.concatenate([city.truth[city.known & ~out] for city, out in pairs]), minlength=18)
    rare = [told.label for told in LOCAL_CLIMATE_ZONES if counts[told.code] < _FEW]
    return f"; fewer than {_FEW} cells, or none, of LCZ {', '.join(rare)}" if rare else ""


def city_ground(city: CityGround, known: NDArray[np.bool_], config: RunConfig) -> Ground:
    """Return a city as a ground whose centres are those of the `known` cells (row, column) of its lattice.

    Around it lies half a window, so that its outermost cells have whole ones.
    """
    bands, half = config.bands, config.window // 2
    stack = city.reflectance if bands == len(CITY_BANDS) else city.reflectance.reshape(1, bands, *city.valid.shape)
    truth = np.zeros(city.valid.shape, dtype=np.uint8)
    row, column = city.lattice
    whole = np.kron(np.where(known, city.truth, 0).astype(np.uint8), np.ones((CELL, CELL), dtype=np.uint8))
    part = truth[row : row + whole.shape[0], column : column + whole.shape[1]]
    part[:] = whole[: part.shape[0], : part.shape[1]]
    edge = ((half, half), (half, half))
    truth = np.pad(truth, edge)
    # A window starts half of itself before the middle of a cell.
    phase = ((row + CELL // 2) % STEP, (column + CELL // 2) % STEP)
    centres = np.zeros_like(truth)
    middle = (slice((phase[0] + half) % STEP, None, STEP), slice((phase[1] + half) % STEP, None, STEP))
    centres[middle] = truth[middle]
    return Ground(
        np.pad(stack, ((0, 0), (0, 0), *edge), mode="edge"),
        np.pad(city.morphology, ((0, 0), *edge)),
        truth,
        _by_class(centres),
        phase,
    )


def _held_kilometres(city: CityGround, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which cells (row, column) lie in kilometres held back."""
    blocks = np.unique(city.kilometre[city.known])
    if not share:
        return np.zeros(city.kilometre.shape, dtype=np.bool_)
    count = round(share * len(blocks))
    if not 1 <= count < len(blocks):
        raise BadTraining(f"holdout {share:g} of {city.name}'s {len(blocks)} square kilometres leaves none on one side")
    chosen = rng.choice(blocks, count, replace=False)
    found: NDArray[np.bool_] = np.isin(city.kilometre, chosen)
    return found


def _refuse_missing(folder: Path) -> None:
    if not folder.is_dir():
        raise BadTraining(f"data.folders names {folder}, which is not a folder")


def _refuse_bands(city: CityGround, bands: int) -> None:
    each, stacked = len(CITY_BANDS), len(CITY_BANDS) * len(city.seasons)
    if bands not in {each, stacked}:
        count = len(city.seasons)
        raise BadTraining(f"model.bands is {bands}; {city.name} has {count} seasons: {each} (any) or {stacked} (all)")


def _refuse_small(city: CityGround, config: RunConfig) -> None:
    side = config.window + STEP * (config.nodes - 1)
    if min(city.valid.shape) + 2 * (config.window // 2) < side + STEP:
        raise BadTraining(f"{city.name} is smaller than a sample of {side} pixels; ask for fewer training.nodes")


def stacked_names(city: CityGround) -> tuple[str, ...]:
    """Return the names of the bands of a city's seasons, stacked."""
    return tuple(f"{band} {season}" for season in city.seasons for band in CITY_BANDS)


def _city_statistics(cities: list[CityGround], bands: int) -> BandStatistics:
    parts = []
    for city in cities:
        seen = city.reflectance[:, :, city.valid]  # (season, band, n)
        parts.append(seen.reshape(bands, -1) if bands > len(CITY_BANDS) else np.concatenate(list(seen), axis=1))
    pixels = np.concatenate(parts, axis=1)
    return BandStatistics.of(pixels[:, :: max(1, pixels.shape[1] // _MOST_PIXELS)])
