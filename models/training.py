"""Train MAGNET on procedural cities: seeded, on a few CPU cores, in minutes."""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch import Tensor

from models.data.procedural import City, generate
from models.errors import CityzonesError
from models.evaluation import HALF, baseline_confusion, network_confusion
from models.losses import LossWeights, total_loss
from models.metrics import confusion, overall_accuracy, scores
from models.networks.magnet import STEP, WINDOW, Magnet

# Seeds of the cities: no city is in two of the sets. The sample that demonstrations map is seed 7: a test city.
TRAIN_SEEDS: Final = range(1001, 1033)
VALIDATION_SEEDS: Final = range(501, 503)
TEST_SEEDS: Final = range(1, 9)
CHECKPOINT: Final = "magnet.safetensors"
REPORT: Final = "report.json"
_BASELINE_CITIES: Final = 12  # are plenty for 17 centroids


class BadTraining(CityzonesError):
    """A training run was asked for that cannot be made."""

    code = "bad-training"


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """What a run does; the same configuration gives the same weights on the same kind of machine.

    `tiles` tiles a step, each with `nodes` x `nodes` windows 100 m apart; `cities` of `side` pixels a side to learn
    from.
    """

    out: Path
    seed: int = 0
    steps: int = 1600
    tiles: int = 16
    nodes: int = 4
    cities: int = len(TRAIN_SEEDS)
    side: int = 400
    rate: float = 2e-3
    decay: float = 1e-2
    warm_up: int = 100
    ema: float = 0.995
    feedback: float = 0.5
    morphology_dropout: float = 0.25
    threads: int = 2
    test_side: tuple[int, int] = (500, 600)
    tests: int = len(TEST_SEEDS)

    def __post_init__(self) -> None:
        least = WINDOW + STEP * (self.nodes - 1)
        if not (1 <= self.cities <= len(TRAIN_SEEDS) and 1 <= self.tests <= len(TEST_SEEDS)):
            raise BadTraining(f"ask for 1-{len(TRAIN_SEEDS)} training and 1-{len(TEST_SEEDS)} test cities")
        if min(self.steps, self.tiles, self.nodes, self.threads) < 1 or self.side < least:
            raise BadTraining(
                f"steps, tiles, nodes and threads start at 1, and a side of {self.nodes} nodes at {least}"
            )


@dataclass(frozen=True, slots=True)
class _Ground:
    """A training city as arrays, and its pixels by class."""

    reflectance: NDArray[np.float32]
    morphology: NDArray[np.float32]
    truth: NDArray[np.uint8]
    pixels: dict[int, NDArray[np.int64]]


def train(config: TrainingConfig) -> dict[str, Any]:
    """Train, measure on cities never seen, and write CHECKPOINT (float16) and REPORT into `config.out`.

    Returns the report: configuration, seconds, domain statistics and accuracy rows as a model card holds them.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    started = time.monotonic()
    cities = [_train_city(seed, config.side) for seed in TRAIN_SEEDS[: config.cities]]
    network = Magnet()
    set_normalisation(network, cities)
    average = _optimise(network, [_ground(city) for city in cities], config)
    round_weights(average)
    seconds = time.monotonic() - started
    report = {
        "config": {**asdict(config), "out": None},
        "seconds": round(seconds),
        "domain": domain(cities),
        "accuracy": accuracy_rows(average, cities, config),
    }
    config.out.mkdir(parents=True, exist_ok=True)
    state = {name: value.half().contiguous() for name, value in average.state_dict().items()}
    # One entry only: safetensors writes several in an order that changes from run to run.
    save_file(state, config.out / CHECKPOINT, metadata={"run": f"magnet, seed {config.seed}, {config.steps} steps"})
    (config.out / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def set_normalisation(network: Magnet, cities: list[City]) -> None:
    """Store the mean and standard deviation of each band over the cities in the network."""
    pixels = np.concatenate([city.reflectance.reshape(10, -1) for city in cities], axis=1).astype(np.float64)
    network.mean.copy_(torch.from_numpy(pixels.mean(axis=1)).reshape(1, -1, 1, 1))
    network.spread.copy_(torch.from_numpy(pixels.std(axis=1)).reshape(1, -1, 1, 1))
    round_weights(network)


def round_weights(network: Magnet) -> None:
    """Round every weight to what float16 can hold, so that the small file and the served one are equal."""
    with torch.no_grad():
        for value in network.state_dict().values():
            value.copy_(value.half().float())


def domain(cities: list[City]) -> dict[str, list[float]]:
    """Return median and inter-quartile range of each band over the cities."""
    pixels = np.concatenate([city.reflectance.reshape(10, -1) for city in cities], axis=1)
    low, middle, high = np.percentile(pixels, (25, 50, 75), axis=1)
    return {"median": [round(float(v), 4) for v in middle], "iqr": [round(float(v), 4) for v in high - low]}


def accuracy_rows(network: Magnet, train_cities: list[City], config: TrainingConfig) -> list[dict[str, Any]]:
    """Measure network and baseline on the test cities, with and without buildings, over every inner pixel."""
    seeds = list(TEST_SEEDS[: config.tests])
    tests = [generate(seed, config.test_side) for seed in seeds]
    data = f"procedural cities, seeds {seeds[0]}-{seeds[-1]} (held out), every pixel"
    rows = []
    for buildings, suffix in ((True, ""), (False, ", no buildings")):
        matrix = network_confusion(network, tests, buildings=buildings)
        rows.append({"data": data, "method": f"MAGNET (reconstruction){suffix}", "metrics": scores(matrix)})
        matrix = baseline_confusion(train_cities[:_BASELINE_CITIES], tests, buildings=buildings, seed=config.seed)
        rows.append({"data": data, "method": f"nearest centroid of window means{suffix}", "metrics": scores(matrix)})
    return rows


def _train_city(seed: int, side: int) -> City:
    """Every third city has stray blocks, so that edges inside districts are learnt too."""
    return generate(seed, (side, side), fragmentation=0.12 if seed % 3 == 0 else 0.0)


def _ground(city: City) -> _Ground:
    flat = city.truth.ravel()
    pixels = {int(code): np.flatnonzero(flat == code) for code in np.unique(flat)}
    return _Ground(city.reflectance, city.morphology(), city.truth, pixels)


def _optimise(network: Magnet, grounds: list[_Ground], config: TrainingConfig) -> Magnet:
    """Run the steps and return the averaged network."""
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.decay)
    validation = [_ground(generate(seed, (config.side, config.side))) for seed in VALIDATION_SEEDS]
    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.completed}/{task.total} {task.description}"))
    with Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=config.steps)
        for step, batch in enumerate(_batches(grounds, config)):
            for group in optimiser.param_groups:
                group["lr"] = config.rate * _schedule(step, config)
            loss = _step(network, optimiser, batch, config)
            _average(average, network, min(config.ema, (step + 1) / (step + 10)))
            progress.update(task, advance=1)
            if step % 250 == 249 or step == config.steps - 1:  # noqa: PLR2004 - now and then
                found = _validate(average, validation)
                progress.update(task, description=f"loss {loss:.3f} validation OA {found:.3f}")
                progress.console.print(f"step {step + 1}: loss {loss:.3f}, validation OA {found:.3f} (100 m nodes)")
    return average


def _step(
    network: Magnet, optimiser: torch.optim.Optimizer, batch: tuple[Tensor, Tensor, Tensor], config: TrainingConfig
) -> float:
    reflectance, morphology, labels = batch
    loss = total_loss(network.grid(reflectance, morphology, config.feedback), labels, LossWeights())
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def _schedule(step: int, config: TrainingConfig) -> float:
    """Warm up in a line, then fall along a cosine to a hundredth."""
    if step < config.warm_up:
        return (step + 1) / config.warm_up
    along = (step - config.warm_up) / max(config.steps - config.warm_up, 1)
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * along)))


@torch.no_grad()
def _average(average: Magnet, network: Magnet, keep: float) -> None:
    for mine, new in zip(average.parameters(), network.parameters(), strict=True):
        mine.lerp_(new, 1 - keep)


@torch.no_grad()
def _validate(network: Magnet, grounds: list[_Ground]) -> float:
    total = np.zeros((17, 17), dtype=np.int64)
    for ground in grounds:
        reflectance, form = (torch.from_numpy(x)[None] for x in (ground.reflectance, ground.morphology))
        codes = network.grid(reflectance, form).logits[0].argmax(dim=0).numpy() + 1
        total += confusion(ground.truth[HALF::STEP, HALF::STEP][: codes.shape[0], : codes.shape[1]], codes)
    return overall_accuracy(total)


def _batches(grounds: list[_Ground], config: TrainingConfig) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield batches of tiles around pixels drawn half by class, half by area, turned, mirrored and re-lit."""
    rng = np.random.default_rng([config.seed, 77])
    for _ in range(config.steps):
        tiles = [_tile(grounds[rng.integers(len(grounds))], rng, config) for _ in range(config.tiles)]
        reflectance, morphology, labels = (np.stack(part) for part in zip(*tiles, strict=True))
        yield torch.from_numpy(reflectance), torch.from_numpy(morphology), torch.from_numpy(labels)


def _tile(
    ground: _Ground, rng: np.random.Generator, config: TrainingConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    size = WINDOW + STEP * (config.nodes - 1)
    rows, cols = ground.truth.shape
    if rng.random() < 0.5:  # noqa: PLR2004 - half by class
        code = list(ground.pixels)[rng.integers(len(ground.pixels))]
        row, column = divmod(int(rng.choice(ground.pixels[code])), cols)
    else:
        row, column = int(rng.integers(rows)), int(rng.integers(cols))
    top, left = (
        int(np.clip(at - HALF - STEP * rng.integers(config.nodes), 0, most - size))
        for at, most in ((row, rows), (column, cols))
    )
    cut = (slice(top, top + size), slice(left, left + size))
    turn, flip = int(rng.integers(4)), bool(rng.random() < 0.5)  # noqa: PLR2004 - a coin
    layers = [_turned(x, turn, flip=flip) for x in (ground.reflectance[:, *cut], ground.morphology[:, *cut])]
    labels = _turned(ground.truth[None, *cut], turn, flip=flip)[0]
    nodes = labels[HALF::STEP, HALF::STEP][: config.nodes, : config.nodes].astype(np.int64) - 1
    form = layers[1] * np.float32(rng.random() >= config.morphology_dropout)
    return _relit(layers[0], rng), np.ascontiguousarray(form), nodes


def _turned(x: NDArray[Any], turn: int, *, flip: bool) -> NDArray[Any]:
    turned = np.rot90(x, turn, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if flip else turned)


def _relit(reflectance: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change light and haze: a common gain U(.8, 1.25), and U(.93, 1.07) and an offset N(0, .005) each band."""
    gain = rng.uniform(0.8, 1.25) * rng.uniform(0.93, 1.07, (len(reflectance), 1, 1))
    offset = rng.normal(0, 0.005, (len(reflectance), 1, 1))
    return np.clip(reflectance * gain + offset, 0, None).astype(np.float32)


def main() -> None:
    """Run `python -m models.training --out DIR`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights and the report")
    usual = TrainingConfig(Path())
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--threads", type=int, default=usual.threads)
    given = parser.parse_args()
    report = train(TrainingConfig(given.out, seed=given.seed, steps=given.steps, threads=given.threads))
    print(json.dumps({"seconds": report["seconds"], "accuracy": report["accuracy"]}, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
