"""Small images and uploads that the tests of inspection and imagery make for themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

from jobs.inspection import inspect_file
from jobs.request import Inputs
from jobs.settings import Settings
from jobs.storage import Storage
from jobs.uploads import UploadStore
from models.cards import Card, card_of
from worker.imagery import Imagery, ImageryPlan, open_imagery, plan_imagery

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
CARD = card_of("so2sat-resnet20")
LEFT, TOP = 600_000.0, 5_300_000.0


def write(
    path: Path,
    data: np.ndarray,
    *,
    left: float = LEFT,
    top: float = TOP,
    pixel: float = 10.0,
    crs: str | None = "EPSG:32632",
    names: tuple[str, ...] | None = None,
    **options: Any,
) -> Path:
    """Write (band, y, x) as a GeoTIFF."""
    transform = options.pop("transform", from_origin(left, top, pixel, pixel))
    profile = {
        "driver": "GTiff",
        "count": data.shape[0],
        "height": data.shape[1],
        "width": data.shape[2],
        "dtype": data.dtype,
        "crs": crs,
        "transform": transform,
    } | options
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(data)
        for index, name in enumerate(names or (), 1):
            dataset.set_band_description(index, name)
    return path


def city(height: int, width: int, *, bands: int = 10, seed: int = 0) -> np.ndarray:
    """Return numbers like Sentinel-2's, (band, y, x) uint16."""
    random = np.random.default_rng(seed)
    return random.integers(200, 4000, (bands, height, width)).astype(np.uint16)


@dataclass
class Desk:
    """A store of uploads in a folder of the test's own."""

    folder: Path

    def __post_init__(self) -> None:
        self.settings = Settings(storage_url=f"file://{self.folder}/store")
        self.uploads = UploadStore(Storage(self.settings))

    def add(self, path: Path, filename: str | None = None) -> str:
        """Inspect and store a file, as POST /uploads does."""
        seen = inspect_file(path, filename or path.name, self.settings)
        name = filename or path.name
        return self.uploads.add(path, filename=name, kind=seen.kind, suffix=seen.suffix, facts=seen.facts).upload

    def plan(self, *paths: Path, area: Any = None, card: Card = CARD, **imagery: Any) -> ImageryPlan:
        """Upload files and plan a job on them; the plan has been through JSON, as in storage."""
        inputs = Inputs(imagery={"uploads": [self.add(p) for p in paths], **imagery})
        made = plan_imagery(inputs, card, area, self.uploads, self.settings, self.folder)
        return ImageryPlan.model_validate_json(made.model_dump_json())

    def open(self, plan: ImageryPlan, card: Card = CARD) -> Imagery:
        """Open what a plan chose."""
        return open_imagery(plan, card, self.uploads, self.settings, self.folder)


def codes(plan: ImageryPlan) -> set[str]:
    """Return the codes of a plan's warnings."""
    return {w.code for w in plan.warnings}
