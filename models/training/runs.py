"""Train a network on procedural cities, real cities or So2Sat: seeded, resumable, measured, with a card at the end."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import torch

from models.accuracy.metrics import scores
from models.data.procedural import generate
from models.evaluation.procedural import baseline_confusion, network_confusion
from models.export.card import write_run_card
from models.export.graph import export_network
from models.networks.variants import AnyNetwork, build
from models.networks.weights import load_weights, variant_of
from models.training.config import (
    MOST_CITIES,
    MOST_TESTS,
    BadTraining,
    CityData,
    ProceduralData,
    RunConfig,
    check,
    read_toml,
    run_of,
)
from models.training.curves import draw_curves
from models.training.folders import CURVES, HISTORY, REPORT, make_folder, refuse_overwriting, write_json
from models.training.landcover.config import CoverConfig
from models.training.landcover.runs import run_cover
from models.training.loop import CHECKPOINT as RESUMED
from models.training.loop import Run, begin, device_of, measure, normalise, optimise, restore, steps_of
from models.training.nodes import samples_of
from models.training.so2sat import So2SatSource
from models.training.sources import TrainingSource
from models.training.tiles import TEST_SEEDS, city_source, procedural_source, training_cities
from models.training.weights import round_weights, save_weights, start_file

_Config = TypeVar("_Config", RunConfig, CoverConfig)
CHECKPOINT: Final = "magnet.safetensors"
_BASELINE_CITIES: Final = 12  # are plenty for 17 centroids
NAMES: Final = {
    "magnet": "MAGNET (reconstruction)",
    "late-concatenation": "late concatenation",
    "spectral-only": "spectral branch alone",
    "neighbourhood-magnet": "MAGNET over window moments (reconstruction)",
    "neighbourhood-late-concatenation": "late concatenation of window moments",
    "neighbourhood-spectral-only": "spectral branch of window moments",
}


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """The demonstration run on procedural cities, whose weights are bundled; `run` makes any other.

    `tiles` tiles a step, each with `nodes` x `nodes` windows 100 m apart; `cities` of `side` pixels a side to learn
    from.
    """

    out: Path
    seed: int = 0
    steps: int = 1600
    tiles: int = 16
    nodes: int = 4
    cities: int = MOST_CITIES
    side: int = 400
    rate: float = 2e-3
    decay: float = 1e-2
    warm_up: int = 100
    ema: float = 0.995
    feedback: float = 0.5
    morphology_dropout: float = 0.25
    threads: int = 2
    test_side: tuple[int, int] = (500, 600)
    tests: int = MOST_TESTS

    def described(self) -> RunConfig:
        """Return the run; raises BadTraining where a number is impossible."""
        data = {"kind": "procedural", "cities": self.cities, "side": self.side, "tests": self.tests}
        names = ("seed", "steps", "nodes", "rate", "decay", "warm_up", "ema", "threads")
        training = {name: getattr(self, name) for name in names} | {
            "batch": self.tiles, "device": "cpu", "loss": {"feedback": self.feedback},
            "augmentation": {"morphology_dropout": self.morphology_dropout},
        }  # fmt: skip
        output = {"folder": self.out, "card": "magnet"}
        told = {"data": data | {"test_side": self.test_side}, "training": training, "output": output}
        return check(told, "the demonstration run")


def train(config: TrainingConfig) -> dict[str, Any]:
    """Make the demonstration run and write CHECKPOINT (float16) and REPORT into `config.out`.

    Returns the report: configuration, seconds, domain statistics and accuracy rows as a model card holds them.
    """
    described = config.described()
    made, source = _trained(described, folder=None)
    report = _report(made, source, described) | {"config": {**asdict(config), "out": None}}
    config.out.mkdir(parents=True, exist_ok=True)
    save_weights(made.average, config.out / CHECKPOINT, f"magnet, seed {config.seed}, {config.steps} steps")
    write_json(config.out / REPORT, report)
    return report


def train_file(path: Path, *, resume: bool = False) -> tuple[dict[str, Any], Path]:
    """Make the run a TOML file describes and return its report and folder.

    See docs/training.md for the keys, and `run` for what is written. `resume` goes on with a run that was
    stopped, as training.resume in the file does.
    """
    given, command = read_toml(path), f"cityzones models train {path.name}"
    data = given.get("data")
    if isinstance(data, dict) and data.get("kind") == "tiles":
        cover = _resuming(run_of(CoverConfig, given, path), resume=resume)
        return run_cover(cover, command), cover.output.folder
    config = _resuming(run_of(RunConfig, given, path), resume=resume)
    return run(config, command), config.output.folder


def _resuming(config: _Config, *, resume: bool) -> _Config:
    training = config.training.model_copy(update={"resume": config.training.resume or resume})
    return config.model_copy(update={"training": training})


def run(config: RunConfig, command: str) -> dict[str, Any]:
    """Make a run and write its card, ONNX, weights, report, history and learning curves into its output folder.

    Everything is checked first: nothing is computed for a run that cannot be made, and nothing written over an
    earlier one unless it is resumed. Returns the report.
    """
    folder, name = config.output.folder, config.output.card
    refuse_overwriting(config.output, resume=config.training.resume)
    device_of(config)
    made, source = _trained(config, folder)
    report = _report(made, source, config)
    buildings = has_buildings(config)
    save_weights(
        made.average, folder / f"{name}.safetensors", f"{name}, seed {config.training.seed}, {made.step} steps"
    )
    export_network(made.average, folder / f"{name}.onnx", morphology=buildings)
    write_json(folder / HISTORY, made.history)
    draw_curves(made.history, f"{name}: {NAMES[config.model.variant]}", folder / CURVES)
    write_json(folder / REPORT, report)
    write_run_card(report, source, folder / f"{name}.toml", command=command, morphology=buildings)
    return report


def has_buildings(config: RunConfig) -> bool:
    """Say whether the network learnt what buildings mean; if not, it is served without them."""
    blind = config.data.kind == "so2sat" and config.data.morphology is None
    return not config.model.variant.endswith("spectral-only") and not blind


def open_source(config: RunConfig) -> TrainingSource:
    """Open the data of a run; raises the error of the data set that is missing or damaged."""
    if isinstance(config.data, ProceduralData):
        return procedural_source(config, config.data)
    if isinstance(config.data, CityData):
        return city_source(config, config.data)
    return So2SatSource(config, config.data)


def _trained(config: RunConfig, folder: Path | None) -> tuple[Run, TrainingSource]:
    """Return a run after its last step, its averaged network on the CPU and rounded, and its data."""
    device, started = device_of(config), time.monotonic()
    torch.manual_seed(config.training.seed)
    # What may be wrong with files is told before the data, which take long to make or read.
    network = build(config.model.variant, config.bands).train()
    begun = None if config.model.start is None else _started(load_weights(start_file(config.model.start)), config)
    state = begin(begun or network, config, device)
    resumed = folder is not None and config.training.resume and (folder / RESUMED).exists()
    if folder is not None and resumed:
        restore(state, config, folder)
    source = open_source(config)
    # Only now: numba, which data are made with, shares OpenMP with torch and sets its threads when it first starts.
    torch.set_num_threads(config.training.threads)
    if begun is None and not resumed:
        normalise(network, source, config.training.seed)
        state = begin(network, config, device)
    if folder is not None:
        make_folder(folder)
    state.seconds += time.monotonic() - started
    optimise(state, samples_of(source, state.network, config), config, folder)
    state.average = state.average.cpu().eval()
    round_weights(state.average)
    return state, source


def _started(network: AnyNetwork, config: RunConfig) -> AnyNetwork:
    """Return the network of `model.start`, ready to learn; raises BadTraining where it is of another kind."""
    wanted = build(config.model.variant, config.bands)
    if set(network.state_dict()) != set(wanted.state_dict()) or network.bands != wanted.bands:
        msg = f"model.start holds a {variant_of(set(network.state_dict()))} of {network.bands} bands,"
        msg = f"{msg} not {config.model.variant} of"
        raise BadTraining(f"{msg} {config.bands}; name other weights, or change model.variant and model.bands")
    return network.train()


def _report(made: Run, source: TrainingSource, config: RunConfig) -> dict[str, Any]:
    """Return what the run was, how long it took and how right its network is."""
    return {
        "run": config.model_dump(mode="json", exclude={"output": {"folder"}}),
        "window": config.window,
        "steps": steps_of(config, source),
        "seconds": round(made.seconds),
        "device": str(device_of(config)),
        "torch": str(torch.__version__),
        "domain": source.statistics.rounded(),
        "accuracy": accuracy_rows(made.average, source, config),
    }


def accuracy_rows(network: AnyNetwork, source: TrainingSource, config: RunConfig) -> list[dict[str, Any]]:
    """Measure a network on what it never saw: cities of other seeds beside a baseline, or the ground held back."""
    method = NAMES[config.model.variant]
    if not isinstance(config.data, ProceduralData):
        matrix = measure(network, source, config)
        if not matrix.any():  # nothing was held back
            return []
        return [{"data": source.held_back, "method": method, "metrics": scores(matrix)}]
    data = config.data
    seeds = list(TEST_SEEDS[: data.tests])
    tests = [generate(seed, data.test_side) for seed in seeds]
    learnt = training_cities(data.model_copy(update={"cities": min(data.cities, _BASELINE_CITIES)}))
    told = f"procedural cities, seeds {seeds[0]}-{seeds[-1]} (held out), every pixel"
    rows = []
    for buildings, suffix in ((True, ""), (False, ", no buildings")):
        matrix = network_confusion(network, tests, buildings=buildings)
        rows.append({"data": told, "method": f"{method}{suffix}", "metrics": scores(matrix)})
        matrix = baseline_confusion(learnt, tests, buildings=buildings, seed=config.training.seed)
        rows.append({"data": told, "method": f"nearest centroid of window means{suffix}", "metrics": scores(matrix)})
    return rows
