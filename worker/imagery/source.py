"""The two doors of this room: choose a job's imagery once, then open it for every block."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Final

from rasterio.io import DatasetReader

from jobs.area import Area
from jobs.inspection import safe_raster
from jobs.record import Warned
from jobs.request import Imagery as ImageryInput
from jobs.request import Inputs
from jobs.settings import Settings
from jobs.uploads import UploadStore
from models.cards import Card
from worker.imagery.block import Imagery, Opener
from worker.imagery.collections import plan_pictures
from worker.imagery.glances import empty_files
from worker.imagery.numbers import check_numbers
from worker.imagery.plan import FileRead, ImageryPlan
from worker.imagery.remote import remote_raster
from worker.imagery.sentinel2 import plan_stac
from worker.imagery.stretching import stretched
from worker.imagery.uploads import plan_uploads

_REMOTE_THREADS: Final = 8
_NAMED: Final = 5


def plan_imagery(  # noqa: PLR0917 - what a job is planned from, in the order the pipeline has it
    inputs: Inputs, card: Card, area: Area | None, uploads: UploadStore, settings: Settings, scratch: Path
) -> ImageryPlan:
    """Choose the scenes or files of a job and its grid; the answer is JSON-serialisable and never chosen again.

    `area` may be None for uploads: the whole image. Raises NoImagery, ImageryUnavailable, BadImage, WrongBands,
    InvalidRequest or UnknownUpload.
    """
    if inputs.imagery.stac is not None:
        assert area is not None  # noqa: S101 - Inputs asks for an aoi with stac
        plan_found = plan_pictures if card.input.reflectance == "digital" else plan_stac
        return plan_found(inputs.imagery.stac, card, area, settings)
    plan = plan_uploads(inputs.imagery, card, area, uploads)
    if card.input.reflectance == "digital":
        plan = _as_pictures(plan, inputs.imagery, uploads, _opener(uploads, settings, scratch))
    return check_numbers(plan, card, open_imagery(plan, card, uploads, settings, scratch))


def _as_pictures(plan: ImageryPlan, imagery: ImageryInput, uploads: UploadStore, opener: Opener) -> ImageryPlan:
    """Return the plan with what a look at the files shows: which are empty, and how numbers are stretched."""
    if imagery.scale is None and imagery.offset is None:
        plan = stretched(plan, opener)
    names = [uploads.read(file.upload).filename for file in empty_files(plan, opener) if file.upload]
    if not names:
        return plan
    listed = ", ".join(names[:_NAMED]) + (" and others" if names[_NAMED:] else "")
    detail = f"no valid pixel was found in the area to be mapped of: {listed}; these files add nothing to the map"
    told = Warned(code="image-empty", detail=detail)
    return plan.model_copy(update={"warnings": (*plan.warnings, told)})


def open_imagery(plan: ImageryPlan, card: Card, uploads: UploadStore, settings: Settings, scratch: Path) -> Imagery:
    """Open the imagery a plan chose; files are opened when a window is read."""
    return Imagery(
        plan, card, _opener(uploads, settings, scratch), threads=1 if plan.source == "uploads" else _REMOTE_THREADS
    )


def _opener(uploads: UploadStore, settings: Settings, scratch: Path) -> Opener:
    @cache
    def local(upload: str) -> Path:
        return uploads.local(upload, scratch)

    def opener(file: FileRead) -> AbstractContextManager[DatasetReader]:
        if file.upload is not None:
            return safe_raster(local(file.upload))
        assert file.href is not None  # noqa: S101 - FileRead has one of both
        return remote_raster(file.href, settings)

    return opener
