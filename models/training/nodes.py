"""Training over windows measured once: a city's moments do not change as tiles are turned, so they are taken first.

That saves measuring the pixels of every tile again, and gives the same gradients (a test). Only changes of light, which
act on pixels, forbid it: see RunConfig.on_nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812 - the usual name

from models.networks.magnet import STEP, Geography, Output
from models.networks.neighbourhood import REACH, Description, Neighbourhood
from models.networks.variants import AnyNetwork
from models.training.config import RunConfig
from models.training.sources import Batch, SampleSource, TrainingSource, turned
from models.training.tiles import Ground, TileSource, node_labels

_BORDER: Final = sum(REACH)  # windows a node sees to each side
_INNER: Final = _BORDER - REACH[2]  # windows to each side without geography
_PRIORS: Final = 7
_FACTS: Final = 2 * _PRIORS + 2


def samples_of(source: TrainingSource, network: AnyNetwork, config: RunConfig) -> SampleSource:
    """Return what steps are taken on: a source's windows measured once where the run allows it, else the source."""
    if config.on_nodes and isinstance(network, Neighbourhood) and isinstance(source, TileSource):
        return NodeSource.of(source, network)
    return source


@dataclass(frozen=True, slots=True)
class NodeBatch(Batch):
    """Windows measured before: `reflectance` (n, 3 bands, y, x) holds their spectral moments, `morphology` all else.

    Those are the moments of the buildings (none for a network without that branch), the share mapped, and the
    geography, see `_rasters`; labels are of the nodes in the middle, four windows from the border.
    """

    def seen_by(self, network: AnyNetwork, feedback: float = 0.0) -> Output:
        """Return what a network over moments says of the nodes, as its `grid` would of their pixels."""
        assert isinstance(network, Neighbourhood)  # noqa: S101 - for the type checker
        form, known, facts = torch.tensor_split(self.morphology, (-_FACTS - 1, -_FACTS), dim=1)
        facts = facts[:, :, _INNER:-_INNER, _INNER:-_INNER]
        geography = Geography(*torch.split(facts, [_PRIORS, _PRIORS, 1, 1], dim=1))
        moments = {"spectral": self.reflectance, "form": form}
        told = Description({name: moments[name] for name in network.stems}, known, geography)
        return network.decide(told, 1, feedback)


@dataclass(frozen=True, slots=True)
class MeasuredGround:
    """A ground as windows: `spectral` (look, c, y, x), `form` with buildings and `bare` without (look, c', y, x).

    `labels` (y - 8, x - 8) are those of the nodes in the middle, -1 where unknown; `places` (n, 2) the known ones, and
    `by_class` the same by class.
    """

    spectral: NDArray[np.float32]
    form: NDArray[np.float32]
    bare: NDArray[np.float32]
    labels: NDArray[np.int64]
    places: NDArray[np.int64]
    by_class: list[NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class NodeSource:
    """The tiles of a TileSource, as windows measured once; what is said of the data is the same."""

    tiles: TileSource
    grounds: list[MeasuredGround]
    held: list[MeasuredGround]

    @classmethod
    def of(cls, tiles: TileSource, network: Neighbourhood) -> NodeSource:
        """Measure every window of a source's grounds with a network that is standardised."""
        grounds, held = ([_measured(ground, network) for ground in some] for some in (tiles.grounds, tiles.held))
        return cls(tiles, grounds, held)

    @property
    def held_back(self) -> str:
        """See TileSource."""
        return self.tiles.held_back

    @property
    def steps_per_epoch(self) -> int:
        """See TileSource."""
        return self.tiles.steps_per_epoch

    def batches(self, rng: np.random.Generator, first: int) -> Iterator[Batch]:  # noqa: ARG002 - the same at any step
        """See TrainingSource; of NodeBatch."""
        while True:
            drawn = [self._tile(rng) for _ in range(self.tiles.config.training.batch)]
            yield NodeBatch(*(torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True)))

    def validation(self) -> Iterator[list[Batch]]:
        """See TrainingSource: all nodes of a ground at once."""
        for ground in self.held:
            labels = torch.from_numpy(ground.labels)[None]
            yield [
                NodeBatch(torch.from_numpy(x)[None], torch.from_numpy(m)[None], labels)
                for x, m in zip(ground.spectral, ground.form, strict=True)
            ]

    def _tile(self, rng: np.random.Generator) -> tuple[NDArray[Any], ...]:
        config = self.tiles.config
        augmentation, nodes = config.training.augmentation, config.nodes
        ground = self.grounds[rng.integers(len(self.grounds))]
        look = int(rng.integers(len(ground.spectral)))
        by_class = rng.random() < config.class_balance
        places = ground.by_class[rng.integers(len(ground.by_class))] if by_class else ground.places
        at = places[rng.integers(len(places))]
        most = np.array(ground.labels.shape) - nodes
        top, left = (int(v) for v in np.clip(at - rng.integers(nodes, size=2), 0, most))
        wide = (slice(top, top + nodes + 2 * _BORDER), slice(left, left + nodes + 2 * _BORDER))
        form = ground.form if rng.random() >= augmentation.morphology_dropout else ground.bare
        labels = ground.labels[top : top + nodes, left : left + nodes]
        layers = (ground.spectral[look][:, *wide], form[look][:, *wide], labels)
        turn, flip = (int(rng.integers(4)), bool(rng.integers(2))) if augmentation.flips else (0, False)
        return tuple(turned(x, turn, flip=flip) for x in layers)


@torch.no_grad()
def _measured(ground: Ground, network: Neighbourhood) -> MeasuredGround:
    assert ground.phase is not None  # noqa: S101 - a city's, always
    window, device = network.window, network.mean.device
    counts = [(side - at - window) // STEP + 1 for side, at in zip(ground.truth.shape, ground.phase, strict=True)]
    cut = tuple(slice(at, at + window + (count - 1) * STEP) for at, count in zip(ground.phase, counts, strict=True))
    form = torch.from_numpy(np.ascontiguousarray(ground.morphology[:, *cut]))[None].to(device)
    spectral, forms = [], []
    for look in ground.reflectance:
        image = torch.from_numpy(np.ascontiguousarray(look[:, *cut]))[None].to(device)
        told, bare = (network.describe(image, m, STEP) for m in (form, torch.zeros_like(form)))
        spectral.append(told.moments["spectral"][0].cpu().numpy())
        forms.append([_rasters(each) for each in (told, bare)])
    labels = node_labels(ground.truth[cut], window)
    known = labels[labels >= 0]
    return MeasuredGround(
        np.stack(spectral),
        np.stack([each[0] for each in forms]),
        np.stack([each[1] for each in forms]),
        labels,
        np.argwhere(labels >= 0),
        [np.argwhere(labels == code) for code in np.unique(known)],
    )


def _rasters(told: Description) -> NDArray[np.float32]:
    """Return the layers (c, y, x) of building moments, share known and geography, which is 0 near the border."""
    g = told.geography
    around = [_INNER] * 4
    inner = F.pad(torch.cat([g.priors, g.known, g.share, g.urban], dim=1), around)
    layers = [*([told.moments["form"]] if "form" in told.moments else []), told.known, inner]
    rasters: NDArray[np.float32] = torch.cat(layers, dim=1)[0].cpu().numpy()
    return rasters
