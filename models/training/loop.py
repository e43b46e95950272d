"""The steps of a training run: optimise, average, measure, and keep a checkpoint from which a run goes on unchanged."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Generic, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from typing_extensions import TypeVar

from models.accuracy.metrics import confusion, scores
from models.networks.magnet import Output
from models.networks.neighbourhood import Neighbourhood
from models.networks.variants import AnyNetwork
from models.training.config import STEPS, BadTraining, Optimisation, RunConfig
from models.training.losses import LossWeights, total_loss
from models.training.sources import Batch, SampleSource, TrainingSource
from models.training.weights import round_weights

CHECKPOINT: Final = "checkpoint.pt"
_TOLD_EVERY: Final = 10  # steps of one row of the history
_MEASURED: Final = 4  # batches whose moments are taken before the first step
# What may differ between the two halves of a resumed run.
_FREE: Final = ("device", "threads", "checkpoint_every", "resume")

History = list[dict[str, float]]
N = TypeVar("N", bound=nn.Module, default=AnyNetwork)
B = TypeVar("B", default=Batch)


class Described(Protocol):
    """What a loop asks of the description of a run."""

    @property
    def training(self) -> Optimisation:
        """How it is optimised."""
        ...

    def model_dump(self, *, mode: str, exclude: Any) -> dict[str, Any]:
        """Return all of it as JSON can hold it, less what is excluded."""
        ...


@dataclass(frozen=True, slots=True)
class Objective(Generic[N, B]):
    """What a run strives for: the loss of a batch, and the accuracies of a network on what is held back."""

    loss: Callable[[N, B], Tensor]
    scores: Callable[[N], dict[str, float]]
    held_back: str


@dataclass(slots=True)
class Run(Generic[N]):
    """The state of a run after `step` steps: everything its next step depends on, and the seconds it took so far."""

    network: N
    average: N
    optimiser: torch.optim.Optimizer
    rng: np.random.Generator
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    history: History = field(default_factory=list)


def begin(network: N, config: Described, device: torch.device, groups: list[dict[str, Any]] | None = None) -> Run[N]:
    """Return a run before its first step.

    `groups` are those of the optimiser, all weights in one unless told; the rate of one with a `share` is multiplied
    by it.
    """
    network.to(device)
    training = config.training
    optimiser = torch.optim.AdamW(groups or network.parameters(), lr=training.rate, weight_decay=training.decay)
    return Run(network, copy.deepcopy(network), optimiser, np.random.default_rng([training.seed, 77]))


def normalise(network: AnyNetwork, source: TrainingSource, seed: int) -> None:
    """Give a fresh network the normalisation of its data, and weights that float16 can hold."""
    for buffer, values in ((network.mean, source.statistics.mean), (network.spread, source.statistics.spread)):
        buffer.copy_(torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1))
    round_weights(network)
    if isinstance(network, Neighbourhood):
        drawn = source.batches(np.random.default_rng([seed, 91]), 0)
        batches = [next(drawn) for _ in range(_MEASURED)]
        network.standardise(*(torch.cat([getattr(b, name) for b in batches]) for name in ("reflectance", "morphology")))
        round_weights(network)


def device_of(config: Described) -> torch.device:
    """Return the device a run computes on; raises BadTraining where it asks for a GPU that is not there."""
    asked, there = config.training.device, torch.cuda.is_available()
    if asked == "cuda" and not there:
        msg = "training.device is cuda, but torch sees no CUDA device here; use auto or cpu"
        raise BadTraining(msg)
    return torch.device("cuda" if there and asked != "cpu" else "cpu")


def steps_of(config: RunConfig, source: SampleSource) -> int:
    """Return how many steps a run has."""
    training = config.training
    if training.epochs is not None:
        return max(1, round(training.epochs * source.steps_per_epoch))
    return training.steps or STEPS


def optimise(run: Run, source: SampleSource, config: RunConfig, folder: Path | None) -> None:
    """Take the steps that remain of a run on Local Climate Zones, see `descend`."""
    weights = _weights(config)

    def loss(network: AnyNetwork, batch: Batch) -> Tensor:
        here = batch.to(next(network.parameters()).device)
        with precision(config, here.labels.device):
            output = here.seen_by(network, config.feedback)
        return total_loss(_whole(output), here.labels, weights)

    def found(network: AnyNetwork) -> dict[str, float]:
        return scores(measure(network, source, config))

    objective = Objective(loss, found, source.held_back)
    batches = source.batches(run.rng, run.step)
    descend(run, batches, objective, config, steps=steps_of(config, source), folder=folder)


def descend(
    run: Run[N], batches: Iterable[B], objective: Objective[N, B], config: Described, *, steps: int, folder: Path | None
) -> None:
    """Take the steps that remain, with a progress bar on standard error; checkpoints go to `folder` if there is one.

    Raises BadTraining where the loss is not finite.
    """
    training = config.training
    began = time.monotonic() - run.seconds
    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.completed}/{task.total} {task.description}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=steps, completed=run.step)
        for batch in batches:
            if run.step >= steps:
                break
            loss = _step(run, batch, objective, training, steps)
            run.losses.append(loss)
            run.step += 1
            run.seconds = time.monotonic() - began
            progress.advance(task)
            last = run.step == steps
            if run.step % _TOLD_EVERY == 0 or last:
                _tell(run, training, steps)
            if run.step % training.validate_every == 0 or last:
                found = _validated(run, objective)
                if not math.isnan(found):  # of a source that holds nothing back there is nothing to say
                    progress.update(task, description=f"loss {loss:.3f} validation OA {found:.3f}")
                    told = f"step {run.step}: validation OA {found:.3f} ({objective.held_back})"
                    progress.console.print(told, markup=False)
            if folder is not None and (run.step % training.checkpoint_every == 0 or last):
                save(run, config, folder)


def _step(run: Run[N], batch: B, objective: Objective[N, B], training: Optimisation, steps: int) -> float:
    for group in run.optimiser.param_groups:
        group["lr"] = training.rate * schedule(run.step, steps, training.warm_up) * group.get("share", 1.0)
    loss = objective.loss(run.network, batch)
    value = float(loss.detach())
    if not math.isfinite(value):
        msg = f"the loss became {value} at step {run.step + 1}; lower training.rate, or look for damage in the data"
        raise BadTraining(msg)
    run.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.optimiser.step()
    _average(run.average, run.network, min(training.ema, (run.step + 1) / (run.step + 10)))
    return value


def _weights(config: RunConfig) -> LossWeights:
    """Return the terms that count; variants without branches, geography and trust have the cross-entropy alone."""
    if not config.trusting:
        return LossWeights(0, 0, 0, 0)
    told = config.training.loss
    return LossWeights(told.branches, told.geography, told.trust, told.priors)


@contextmanager
def precision(config: Described, device: torch.device) -> Iterator[None]:
    """Compute in the run's precision inside the block; weights and losses stay float32."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.training.precision == "bf16"):
        yield


def _whole(output: Output) -> Output:
    """Return an output in float32: losses and softmax lose what bfloat16 cannot hold."""
    names = ("logits", "spectral", "morphological", "trust", "predicted")
    return replace(output, **{name: getattr(output, name).float() for name in names})


def schedule(step: int, steps: int, warm_up: int) -> float:
    """Return the share of the learning rate: up in a line, then down along a cosine to a hundredth."""
    if step < warm_up:
        return (step + 1) / warm_up
    along = (step - warm_up) / max(steps - warm_up, 1)
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * along)))


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, keep: float) -> None:
    for mine, new in zip(average.parameters(), network.parameters(), strict=True):
        mine.lerp_(new, 1 - keep)
    for kept, now in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(now)


def _tell(run: Run[N], training: Optimisation, steps: int) -> None:
    rate = training.rate * schedule(run.step - 1, steps, training.warm_up)
    run.history.append({"step": run.step, "loss": round(float(np.mean(run.losses)), 6), "rate": rate})
    run.losses.clear()


def _validated(run: Run[N], objective: Objective[N, B]) -> float:
    """Measure the averaged network, add it to the history and return the overall accuracy."""
    found = objective.scores(run.average)
    run.history.append({"step": run.step, **{f"validation_{name}": value for name, value in found.items()}})
    return found.get("OA", float("nan"))


@torch.no_grad()
def measure(network: AnyNetwork, source: SampleSource, config: RunConfig) -> NDArray[np.int64]:
    """Count (truth, predicted) over the ground held back, the mean of the probabilities of all looks."""
    device, total = next(network.parameters()).device, np.zeros((17, 17), dtype=np.int64)
    for looks in source.validation():
        mean: Any = 0
        for look in looks:
            here = look.to(device)
            with precision(config, device):
                logits = here.seen_by(network).logits
            mean = mean + torch.softmax(logits.float(), dim=1)
        total += confusion(looks[0].labels.numpy() + 1, mean.argmax(dim=1).cpu().numpy() + 1)
    return total


def fingerprint(config: Described) -> str:
    """Return a hash of all that decides the weights of a run: two halves of one run must agree on it."""
    told = config.model_dump(mode="json", exclude={"output": True, "training": set(_FREE)})
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def save(run: Run[N], config: Described, folder: Path) -> None:
    """Replace the checkpoint of a folder at once: it is either the old one or the new one, whenever we are killed."""
    state = {
        "fingerprint": fingerprint(config), "step": run.step, "seconds": run.seconds, "losses": list(run.losses),
        "history": json.dumps(run.history), "rng": json.dumps(run.rng.bit_generator.state),
        "torch_rng": torch.get_rng_state(),  # of dropout
        "network": run.network.state_dict(), "average": run.average.state_dict(),
        "optimiser": run.optimiser.state_dict(),
    }  # fmt: skip
    scratch = folder / f".{CHECKPOINT}.{secrets.token_hex(4)}"
    try:
        with scratch.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(folder / CHECKPOINT)
    finally:
        scratch.unlink(missing_ok=True)


def restore(run: Run[N], config: Described, folder: Path) -> None:
    """Put a run where the checkpoint of a folder left it; raises BadTraining if it is damaged or another run's."""
    path = folder / CHECKPOINT
    device = next(run.network.parameters()).device
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        if state["fingerprint"] != fingerprint(config):
            msg = f"{path} is of a run with another configuration; give the same one, or another output.folder"
            raise BadTraining(msg)
        run.network.load_state_dict(state["network"])
        run.average.load_state_dict(state["average"])
        run.optimiser.load_state_dict(state["optimiser"])
        run.rng.bit_generator.state = json.loads(state["rng"])
        torch.set_rng_state(state["torch_rng"].cpu())
        run.step, run.seconds, run.losses = state["step"], state["seconds"], list(state["losses"])
        run.history = json.loads(state["history"])
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, TypeError) as error:
        msg = f"{path} cannot be read as a checkpoint; remove it to begin again ({type(error).__name__})"
        raise BadTraining(msg) from error
