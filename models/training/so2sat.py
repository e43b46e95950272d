"""So2Sat LCZ42 as training data: streamed in shuffled windows, with morphology rasters beside the patches if given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.so2sat.bands import S2_MEANS, S2_STDS
from models.data.so2sat.dataset import (
    BANDS,
    CITATION,
    SIDE,
    BadDataset,
    So2SatFile,
    dataset_of,
    open_hdf5,
    reading_hdf5,
)
from models.data.so2sat.stream import stream, verify
from models.training.config import RunConfig, So2SatData
from models.training.sources import BandStatistics, Batch, relit, turned

FORMS: Final = 6
_SAMPLE: Final = 2000  # patches the domain statistics are taken of
_LOOK: Final = 256  # patches of a batch of the validation
_CODES: Final = 17


class So2SatSource:
    """Patches of 32 x 32 pixels, one window each; files are checked on opening and never held whole.

    Normalisation is that of the published training set. Raises BadDataset with what is wrong in which file.
    """

    bands = BANDS["s2"]
    reflectance = "TOA"

    def __init__(self, config: RunConfig, data: So2SatData) -> None:
        self.config, self.data = config, data
        with So2SatFile(data.validation) as held, _forms(data.validation_morphology, len(held)):
            self.held = min(len(held), data.validation_patches)
        with So2SatFile(data.training) as file, _forms(data.morphology, len(file)):
            self.patches = len(file)
            self.weights = _weights(file.codes(), config.class_balance)
            self.statistics = _statistics(file)
        if data.verify and not config.training.resume:
            _verify(data.validation, data.validation_morphology)
            _verify(data.training, data.morphology)
        form = "" if data.morphology else " without buildings"
        self.told = f"{self.patches} patches of {data.training.name}{form}: {CITATION}."
        self.held_back = f"{self.held} patches of {data.validation.name}"

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see every patch once; the last of an epoch may be smaller."""
        return -(-self.patches // self.config.training.batch)

    def batches(self, rng: np.random.Generator, first: int) -> Iterator[Batch]:
        """See TrainingSource; to begin inside an epoch its earlier patches are read and passed over."""
        epoch, skipped = divmod(first, self.steps_per_epoch)
        with So2SatFile(self.data.training) as file, _forms(self.data.morphology, self.patches) as forms:
            while True:
                seed = self.config.training.seed + 1_000_003 * epoch
                drawn = stream(file, batch=self.config.training.batch, normalised=False, seed=seed)
                for k, batch in enumerate(drawn):
                    if k >= skipped:
                        yield self._sample(batch.patches, batch.codes, batch.places, forms, rng)
                epoch, skipped = epoch + 1, 0

    def validation(self) -> Iterator[list[Batch]]:
        """See TrainingSource; patches spread evenly over the file, one look each."""
        with So2SatFile(self.data.validation) as file, _forms(self.data.validation_morphology, len(file)) as forms:
            keep = np.zeros(len(file), dtype=bool)
            keep[np.linspace(0, len(file) - 1, self.held).astype(int)] = True
            for batch in stream(file, batch=_LOOK, normalised=False):
                rows = keep[batch.places]
                if rows.any():
                    form = _read_forms(forms, batch.places[rows])
                    labels = batch.codes[rows].astype(np.int64).reshape(-1, 1, 1) - 1
                    yield [Batch(*(torch.from_numpy(x) for x in (batch.patches[rows], form, labels)))]

    def _sample(
        self,
        patches: NDArray[np.float32],
        codes: NDArray[np.uint8],
        places: NDArray[np.int64],
        forms: Any,
        rng: np.random.Generator,
    ) -> Batch:
        """Draw by class inside the batch if asked, and change every patch."""
        augmentation = self.config.training.augmentation
        rows = np.arange(len(codes))
        if self.config.class_balance:
            chances = self.weights[codes]
            rows = rng.choice(rows, len(rows), p=chances / chances.sum())
        form = _read_forms(forms, places)[rows]
        form *= (rng.random(len(rows)) >= augmentation.morphology_dropout).astype(np.float32)[:, None, None, None]
        seen = np.empty_like(patches)
        for k, row in enumerate(rows):
            turn, flip = (int(rng.integers(4)), bool(rng.random() < 0.5)) if augmentation.flips else (0, False)  # noqa: PLR2004
            seen[k] = relit(turned(patches[row], turn, flip=flip), rng, augmentation)
            form[k] = turned(form[k], turn, flip=flip)
        labels = codes[rows].astype(np.int64).reshape(-1, 1, 1) - 1
        return Batch(torch.from_numpy(seen), torch.from_numpy(form), torch.from_numpy(labels))


def _verify(path: Path, morphology: Path | None) -> None:
    """Read a part and its morphology once; raises BadDataset naming the first patch that is not finite."""
    with So2SatFile(path) as file, _forms(morphology, len(file)) as forms:
        verify(file, ("s2",))
        if forms is not None:
            for start in range(0, len(file), _LOOK):
                _read_forms(forms, np.arange(start, min(start + _LOOK, len(file))))


@contextmanager
def _forms(path: Path | None, patches: int) -> Iterator[Any]:
    """Open the morphology beside a part, or None; raises BadDataset where it does not fit the patches."""
    if path is None:
        yield None
        return
    with open_hdf5(path) as file:
        found = dataset_of(file, "morphology", path)
        if found.shape != (patches, SIDE, SIDE, FORMS) or found.dtype.kind != "f":
            msg = f"morphology in {path.name} is {found.dtype} {found.shape}; floating point "
            raise BadDataset(msg + f"({patches}, {SIDE}, {SIDE}, {FORMS}) was expected, a raster for every patch")
        with reading_hdf5(path):
            yield found


def _read_forms(forms: Any, places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the morphology (n, 6, y, x) of patches at `places`; all 0, which means unknown, where there is none."""
    if forms is None:
        return np.zeros((len(places), FORMS, SIDE, SIDE), dtype=np.float32)
    order = np.argsort(places)
    found = np.empty((len(places), FORMS, SIDE, SIDE), dtype=np.float32)
    found[order] = forms[places[order]].transpose(0, 3, 1, 2)
    if not np.isfinite(found).all():
        msg = f"morphology in {Path(forms.file.filename).name} holds NaN or infinity; make it again"
        raise BadDataset(msg)
    return found


def _weights(codes: NDArray[np.uint8], balance: float) -> NDArray[np.float64]:
    """Return the chance of a patch by its code (18,): `balance` of them as if every class were as frequent."""
    counts = np.bincount(codes, minlength=_CODES + 1)
    present = np.count_nonzero(counts)
    each: NDArray[np.float64] = (1 - balance) + balance * len(codes) / (present * np.maximum(counts, 1))
    return each


def _statistics(file: So2SatFile) -> BandStatistics:
    """Return the published mean and deviation, and median and quartiles of patches spread over the file."""
    places = np.unique(np.linspace(0, len(file) - 1, min(_SAMPLE, len(file))).astype(int))
    pixels = np.concatenate([file.patch(int(k))[:, ::4, ::4].reshape(len(S2_MEANS), -1) for k in places], axis=1)
    measured = BandStatistics.of(pixels)
    mean, spread = (tuple(map(float, values)) for values in (S2_MEANS, S2_STDS))
    return BandStatistics(mean, spread, measured.median, measured.iqr)
