"""Trains the network of land cover on folders of tiles: seeded, resumable, measured, with a card at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.classes import LAND_COVER
from models.data.tiles.folder import TileFolder, open_tiles
from models.evaluation.tiles import Answer, scores_of, tile_confusion
from models.export.cover_card import write_cover_card
from models.export.graph import COVER, ServedCover, export_cover
from models.networks.land_cover import LandCoverNet
from models.networks.weights import load_cover
from models.training.config import BadTraining
from models.training.curves import draw_curves
from models.training.folders import CURVES, HISTORY, REPORT, make_folder, refuse_overwriting, write_json
from models.training.landcover.config import CoverConfig
from models.training.landcover.crops import CropBatch, CropSource
from models.training.landcover.losses import class_weights, cover_loss
from models.training.loop import CHECKPOINT, Objective, Run, begin, descend, device_of, precision, restore
from models.training.weights import round_weights, save_weights, start_file


@dataclass(frozen=True, slots=True)
class TrainedCover:
    """A run after its last step, its averaged network on the CPU and rounded, and the data it learnt from."""

    run: Run[LandCoverNet]
    source: CropSource
    tiles: TileFolder


def run_cover(config: CoverConfig, command: str) -> dict[str, Any]:
    """Make a run and write its card, ONNX, weights, report, history and learning curves into its output folder.

    Refuses what models.training.runs.run refuses, before anything is computed. Returns the report.
    """
    folder, name = config.output.folder, config.output.card
    refuse_overwriting(config.output, resume=config.training.resume)
    made = train_cover(config, folder)
    network = made.run.average
    told = f"{name}, seed {config.training.seed}, {made.run.step} steps"
    save_weights(network, folder / f"{name}.safetensors", told)
    export_cover(network, folder / f"{name}.onnx", COVER)
    report = _report(made, config)
    write_json(folder / HISTORY, made.run.history)
    draw_curves(made.run.history, f"{name}: land cover", folder / CURVES)
    write_json(folder / REPORT, report)
    write_cover_card(report, COVER, folder / f"{name}.toml", command=command, **_classes(made.source))
    return report


def train_cover(config: CoverConfig, folder: Path | None) -> TrainedCover:
    """Take all steps of a run.

    Checkpoints go to `folder`, if there is one; a run that resumes goes on from there. Raises BadTraining, BadTiles,
    and WeightsUnavailable for weights to start from that are not those of a network of land cover.
    """
    device, started = device_of(config), time.monotonic()
    tiles = open_tiles(config.data.folder)
    source = CropSource(config, {name: list(tiles.pictures((name,))) for name in _learnt(config, tiles)})
    torch.set_num_threads(config.training.threads)
    torch.manual_seed(config.training.seed)
    network = _network(config, source)
    run = begin(network, config, device, _groups(network, config))
    if folder is not None:
        make_folder(folder)
        if config.training.resume and (folder / CHECKPOINT).exists():
            restore(run, config, folder)
    run.seconds += time.monotonic() - started
    objective = Objective(_loss(config, source, device), _scores(config, tiles), ", ".join(config.data.holdout))
    descend(run, source.batches(run.rng), objective, config, steps=config.training.steps, folder=folder)
    run.average = run.average.cpu().eval()
    round_weights(run.average)
    return TrainedCover(run, source, tiles)


def served_answer(network: LandCoverNet, config: CoverConfig) -> Answer:
    """Return what asks a network as it would be served, in the precision of its run."""
    served, device = ServedCover(network, COVER), next(network.parameters()).device

    @torch.no_grad()
    def answer(image: NDArray[np.float32]) -> NDArray[np.uint8]:
        with precision(config, device):
            looked = torch.from_numpy(image).to(device).contiguous(memory_format=torch.channels_last)
            found: NDArray[np.uint8] = served(looked).cpu().numpy()
        return found

    return answer


def held_out(network: LandCoverNet, config: CoverConfig, tiles: TileFolder) -> dict[str, NDArray[np.int64]]:
    """Return the confusion matrix (truth, mapped) of each tile held out, mapped by the network as it is served."""
    training = network.training
    answer = served_answer(network.eval(), config)
    matrices = {name: tile_confusion(answer, COVER, tiles.pictures((name,))) for name in config.data.holdout}
    network.train(training)
    return matrices


def _report(made: TrainedCover, config: CoverConfig) -> dict[str, Any]:
    """Return what the run was, how long it took and how right its network is."""
    held = ", ".join(config.data.holdout)
    found = _scores(config, made.tiles)(made.run.average)
    row = {"data": f"{made.tiles.path.name}: {held}", "method": "the network", "metrics": found}
    learnt = ", ".join(_learnt(config, made.tiles))
    return {
        "run": config.model_dump(mode="json", exclude={"output": {"folder"}}),
        "steps": made.run.step,
        "seconds": round(made.run.seconds),
        "device": str(device_of(config)),
        "torch": str(torch.__version__),
        "data": f"{made.tiles.path.name}: {learnt} ({int(made.source.counts[1:].sum())} labelled pixels).",
        "domain": made.source.statistics.rounded(),
        "accuracy": [row] if found else [],
    }


def _classes(source: CropSource) -> dict[str, list[str]]:
    there = source.counts[1:] > 0
    return {
        "taught": [told.label for told, found in zip(LAND_COVER, there, strict=True) if found],
        "lacking": [told.label for told, found in zip(LAND_COVER, there, strict=True) if not found],
    }


def _learnt(config: CoverConfig, tiles: TileFolder) -> list[str]:
    """Return the tiles to learn from; raises BadTiles where one held out is not there, BadTraining of none left."""
    tiles.only(config.data.holdout)
    left = [name for name in tiles.tiles if name not in config.data.holdout]
    if not left:
        raise BadTraining("data.holdout holds out every tile; leave one to learn from")
    return left


def _network(config: CoverConfig, source: CropSource) -> LandCoverNet:
    start = config.model.start
    network = load_cover(start_file(start)) if isinstance(start, Path) else LandCoverNet()
    if start == "imagenet":
        network.encoder.load_imagenet()
    network.taught.copy_(torch.from_numpy(source.counts[1:] > 0).float())
    swift: LandCoverNet = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs
    return swift.train()


def _groups(network: LandCoverNet, config: CoverConfig) -> list[dict[str, Any]]:
    decoder = [weight for name, weight in network.named_parameters() if not name.startswith("encoder.")]
    return [{"params": [*network.encoder.parameters()], "share": config.training.encoder_rate}, {"params": decoder}]


def _loss(config: CoverConfig, source: CropSource, device: torch.device) -> Callable[[LandCoverNet, CropBatch], Tensor]:
    weights = class_weights(source.counts, config.training.balance).to(device)

    def loss(network: LandCoverNet, batch: CropBatch) -> Tensor:
        image = batch.image.to(device).contiguous(memory_format=torch.channels_last)
        with precision(config, device):
            logits = network(image)
        return cover_loss(logits, batch.labels.to(device), weights, config.training.overlap)

    return loss


def _scores(config: CoverConfig, tiles: TileFolder) -> Callable[[LandCoverNet], dict[str, float]]:
    def scores(network: LandCoverNet) -> dict[str, float]:
        total: Any = sum(held_out(network, config, tiles).values())
        if not np.any(total):  # nothing was held out
            return {}
        found = scores_of(total)
        return {"OA": found.overall_accuracy, "mIoU": found.mean_iou}

    return scores
